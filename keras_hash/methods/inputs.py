"""One clear error for what cannot be images."""

import numpy as np
from keras import ops


def check_images(images, shape, values=True):
    """Images as an array with a batch axis.

    Args:
        images: array or tensor `[n, h, w, 3]` or one image `[h, w, 3]`;
            features `[n, d]` or `[d]` for models that take them.
        shape: tuple, what the model takes: `(h, w, 3)`, where other sides will
            do as well, or `(d,)`.
        values: bool, whether floats are looked at for NaN and infinity.

    Returns:
        array `[n, h, w, 3]` or `[n, d]`.

    Raises:
        ValueError: wrong rank, channels or dtype, or NaN.
    """
    images = images if hasattr(images, "dtype") else np.asarray(images)
    images = ops.convert_to_numpy(images)
    if images.ndim == len(shape):
        images = images[None]
    if len(shape) == 1:
        if images.ndim != 2 or images.shape[1] != shape[0]:
            raise ValueError(
                f"This model takes features [n, {shape[0]}]. "
                f"Received: shape={images.shape}"
            )
    elif images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(
            "`images` should be raw pixels, [n, height, width, 3] or one "
            "image [height, width, 3]; repeat the channel of grey images. "
            f"Received: images.shape={images.shape}"
        )
    if images.dtype.kind not in "uif" and images.dtype.name != "bfloat16":
        raise ValueError(
            "`images` should be integers or floats in 0..255. "
            f"Received: images.dtype={images.dtype}"
        )
    if values and images.dtype.kind not in "ui":
        bad = ~np.isfinite(images).all(axis=tuple(range(1, images.ndim)))
        if bad.any():
            raise ValueError(
                "`images` should be finite. Received: NaN or infinity in "
                f"{bad.sum()} of {len(images)} images, first in image "
                f"{np.flatnonzero(bad)[0]} of the batch"
            )
    return images
