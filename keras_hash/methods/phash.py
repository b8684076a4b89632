"""PHash: the perceptual hash of an image, by its lowest frequencies.

Nothing is learned. The image becomes grey, of 64 x 64 pixels; of its cosine
transform the k x k lowest frequencies are compared with their median:

    C = D L D^T,   bit = C >= median(C),   bits = k^2

When to use: for copies of a photo that were stored anew, made smaller or turned
grey, among any number of others. It knows nothing of what a photo shows: for
likeness take `"photos_256"`. Mirrored and cropped copies have other codes, so
`encode(mirror=True)` is refused.
Cost: two products of 64 x 64 matrices an image, no weights.
Other code: coefficients are rounded to a quarter of a grey level first, so that
frequencies which an image does not have, whose values are rounding errors, all
give the same bit. Most perceptual hashes resize to 32 x 32 pixels; the others'
bits come in the order of rows as here.
Reference: Zauner, "Implementation and Benchmarking of Perceptual Image Hash
Functions", 2010.
"""

import math

import numpy as np
from keras import ops

from keras_hash import heads
from keras_hash.methods.base import HashModel


def transform(size, count):
    """The lowest rows of the orthonormal cosine transform, `[count, size]`."""
    places = np.pi * (np.arange(size) + 0.5) / size
    rows = np.cos(np.arange(count)[:, None] * places) * np.sqrt(2 / size)
    rows[0] /= np.sqrt(2)
    return rows.astype("float32")


class Frequencies(heads.Head):
    """The lowest frequencies of grey images `[n, h * w]`, less their median."""

    def __init__(self, side, image_shape):
        super().__init__()
        self.side, self.image_shape = side, image_shape

    def call(self, features):
        height, width = self.image_shape
        grey = ops.reshape(features, (-1, height, width))
        # Of what is the same everywhere the other frequencies have nothing.
        level = grey[:, :1, :1]
        down, across = (
            ops.convert_to_tensor(transform(size, self.side))
            for size in (height, width)
        )
        found = down @ (grey - level) @ ops.transpose(across)
        found = ops.reshape(found, (-1, self.side**2))
        first = ops.eye(1, self.side**2, dtype="float32")
        found = found + first * level[:, 0] * math.sqrt(height * width)
        found = ops.round(4 * found) / 4
        middle = ops.sort(found, axis=-1)
        half = self.side**2 // 2
        low = middle[:, (self.side**2 - 1) // 2 : half + 1]
        return found - ops.mean(low, axis=-1, keepdims=True)


class PHash(HashModel):
    """The perceptual hash: for copies of a photo, without any training.

    Args:
        bits: int, the square of a number of up to the smaller side of
            `input_shape`, such as 64 or 256.
        backbone: `"grey"`, the brightness of each pixel; there is no other.
        input_shape: image shape `(h, w, 3)` to which images are resized.

    Raises:
        ValueError: bits that are no square, another backbone, or as
            `HashModel`.

    Example:

    >>> model = keras_hash.models.PHash(256)
    >>> codes = model.encode(images)
    """

    supervised = False
    trained = False
    nests = False
    magnitudes = False
    augmentation = ()

    def __init__(
        self, bits, *, backbone="grey", input_shape=(64, 64, 3), **kwargs
    ):
        super().__init__(
            bits, backbone=backbone, input_shape=input_shape, **kwargs
        )
        # The average of a hash and that of the mirror image is neither.
        self.mirrors = False
        side = math.isqrt(self.bits)
        if side**2 != self.bits or side > min(self.image_shape[:2]):
            raise ValueError(
                "`bits` should be the square of a number of up to the smaller "
                f"side of the image. Received: bits={bits}, "
                f"input_shape={self.image_shape}"
            )
        if backbone != "grey" or self.hidden is not None:
            raise ValueError(
                "PHash looks at brightness alone: it has no other backbone "
                f"than 'grey' and no hidden layer. Received: {backbone=}"
            )
        self.finish()

    def add_head(self):
        side = math.isqrt(self.bits)
        self.head = Frequencies(side, self.image_shape[:2])

    def adapt(self, images, labels=None, batch_size=256, verbose="auto"):
        """Does nothing: there is nothing to learn.

        Args:
            images: as for `encode`.
            labels: not looked at.
            batch_size: not looked at.
            verbose: not looked at.
        """
