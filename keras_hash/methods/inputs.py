"""One clear error for what cannot be images or labels."""

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


def check_labels(labels, num_classes):
    """Refuses labels that a model of so many classes cannot have.

    Args:
        labels: array, int `[n]` or `[n, 1]`, or multi-hot `[n, num_classes]`.
        num_classes: int.

    Raises:
        ValueError: another shape, or values out of range.
    """
    wrong_width = labels.ndim == 2 and labels.shape[1] not in (1, num_classes)
    if labels.ndim not in (1, 2) or wrong_width:
        raise ValueError(
            f"Labels should be ints [n] or multi-hot [n, {num_classes}]. "
            f"Received: labels.shape={labels.shape}"
        )
    numbers = labels.ndim == 1 or labels.shape[1] == 1
    top = num_classes - 1 if numbers else 1
    if len(labels) and not (labels.min() >= 0 and labels.max() <= top):
        raise ValueError(
            f"Labels should lie in 0 .. {top} for num_classes={num_classes}. "
            f"Received: values from {labels.min()} to {labels.max()}"
        )
