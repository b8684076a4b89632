"""scikit-learn's 1,797 real handwritten digits: the embedded benchmark."""

import numpy as np

from keras_hash.data import protocols
from keras_hash.data.benchmark import Benchmark


def load(protocol="official"):
    """Loads the digits, enlarged from 8x8 to 32x32 and scaled to 0..255."""
    plan = protocols.find("digits", protocol)
    from scipy import ndimage
    from sklearn import datasets

    digits = datasets.load_digits()
    grey = ndimage.zoom(
        digits.images, (1, 4, 4), order=1, mode="nearest", grid_mode=True
    )
    grey = np.round(np.clip(grey, 0, 16) * (255 / 16)).astype("uint8")
    targets = digits.target.astype("int64")
    return Benchmark(
        name="digits",
        protocol=protocol,
        images=np.repeat(grey[..., None], 3, axis=-1),
        targets=targets,
        ids=np.array([f"digit_{i:04d}" for i in range(len(targets))]),
        parts=plan.draw(targets, None),
        labels=[str(name) for name in digits.target_names],
        licence="CC BY 4.0 (UCI, Alpaydin and Kaynak 1998)",
    )
