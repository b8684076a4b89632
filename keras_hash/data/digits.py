"""scikit-learn's 1,797 real handwritten digits: the embedded benchmark."""

import numpy as np

from keras_hash.data import draws
from keras_hash.data import protocols
from keras_hash.data.benchmark import Benchmark

PROTOCOLS = (
    protocols.of_each(
        "class",
        query=36,
        dataset="digits",
        name="official",
        counts=dict(query=360, train=1437, database=1437),
        labels="10 classes",
        notes="Ours.",
    ),
    protocols.disjoint(
        dataset="digits",
        counts=dict(query=180, train=714, database=723),
        labels="10 classes, 5 of them trained",
        whole=protocols.drawn(draws.draw_per_class, query=36),
    ),
)


def load(plan):
    """The digits, enlarged from 8x8 to 32x32 and scaled to 0..255."""
    from scipy import ndimage
    from sklearn import datasets

    digits = datasets.load_digits()
    grey = ndimage.zoom(
        digits.images, (1, 4, 4), order=1, mode="nearest", grid_mode=True
    )
    grey = np.round(np.clip(grey, 0, 16) * (255 / 16)).astype("uint8")
    targets = digits.target.astype("int64")
    return Benchmark(
        name=plan.dataset,
        protocol=plan.name,
        images=np.repeat(grey[..., None], 3, axis=-1),
        targets=targets,
        ids=np.array([f"digit_{i:04d}" for i in range(len(targets))]),
        parts=plan.draw(targets, None),
        labels=[str(name) for name in digits.target_names],
        licence="CC BY 4.0 (UCI, Alpaydin and Kaynak 1998)",
        mirrors=False,
    )
