"""Training augmentation, a batch at a time."""

import dataclasses

import numpy as np

from keras_hash.codes import as_array
from keras_hash.codes import check_int


@dataclasses.dataclass(frozen=True)
class Augment:
    """Random changes of training images, in this order; none by default.

    Everything is computed for a whole batch at once, from a seed.

    Attributes:
        crop: float in [0, 1): up to this share of the area of an image is cut
            off, and the rest enlarged (the sides keep their proportion).
        shift: int, largest shift in pixels, in all four directions; the edge
            is filled by reflection.
        flip: bool, whether to mirror half of the images left to right.
        colour: float in [0, 1): brightness, contrast and saturation are each
            multiplied by up to one plus or minus this.
        cutout: int, side in pixels of a square that is replaced by the mean
            colour of its image, its centre anywhere in the image (DeVries and
            Taylor 2017).

    Raises:
        ValueError: a value out of range.
    """

    crop: float = 0.0
    shift: int = 0
    flip: bool = False
    colour: float = 0.0
    cutout: int = 0

    def __post_init__(self):
        if not (0 <= self.crop < 1 and 0 <= self.colour < 1):
            raise ValueError(
                "`crop` and `colour` should be in [0, 1). "
                f"Received: crop={self.crop}, colour={self.colour}"
            )
        check_int(self.shift, "shift", 0)
        check_int(self.cutout, "cutout", 0)

    def __call__(self, images, seed):
        """Augments a batch.

        Args:
            images: tensor `[n, h, w, 3]`, pixels in 0..255.
            seed: int tensor `[2]`.

        Returns:
            A tensor of the shape and dtype of `images`.
        """
        if self.crop or self.shift or self.flip:
            images = self._place(images, seed)
        if self.colour:
            images = self._colour(images, seed + 3)
        if self.cutout:
            images = self._cutout(images, seed + 4)
        return images

    def on_arrays(self, images, *seed):
        """Augments a batch without TensorFlow, with draws of its own.

        Args:
            images: array `[n, h, w, 3]`, pixels in 0..255.
            *seed: ints, such as epoch and step.

        Returns:
            An array of the shape and dtype of `images`.

        Raises:
            ValueError: `images` is no batch.
        """
        random = np.random.default_rng(seed)
        images = as_array(images, "images")
        if images.ndim != 4:
            raise ValueError(
                "`images` should be a batch [n, h, w, 3]. "
                f"Received: images.shape={images.shape}"
            )
        changed = images
        if self.crop or self.shift or self.flip:
            changed = self._place_arrays(changed, random)
        if self.colour:
            changed = changed.astype("float32")
            factors = random.uniform(
                1 - self.colour, 1 + self.colour, (3, len(images), 1, 1, 1)
            ).astype("float32")
            changed = _mixed(changed * factors[0], (1, 2, 3), factors[1])
            changed = _mixed(changed, 3, factors[2])
        if images.dtype.kind in "iu":
            changed = np.round(changed)
        changed = np.clip(changed, 0, 255).astype(images.dtype)
        return self._cutout_arrays(changed, random) if self.cutout else changed

    def _place_arrays(self, images, random):
        count, *sides = images.shape[:3]
        side = np.sqrt(1 - self.crop * random.random(count))
        places = []
        for size in sides:
            start = (1 - side) * random.random(count) * (size - 1)
            start += random.integers(-self.shift, self.shift + 1, count)
            places.append(start[:, None] + side[:, None] * np.arange(size))
        if self.flip:
            mirrored = random.random(count) < 0.5
            places[1] = np.where(
                mirrored[:, None], places[1][:, ::-1], places[1]
            )
        for axis, place in enumerate(places, 1):
            images = _read(images, place, axis, whole=not self.crop)
        return images

    def _cutout_arrays(self, images, random):
        count, *sides = images.shape[:3]
        inside = []
        for size in sides:
            centre = random.integers(0, size, count)[:, None]
            offset = np.arange(size) - centre + self.cutout // 2
            inside.append((offset >= 0) & (offset < self.cutout))
        hole = inside[0][:, :, None, None] & inside[1][:, None, :, None]
        mean = images.mean((1, 2), "float32", keepdims=True)
        return np.where(hole, mean.astype(images.dtype), images)

    def _place(self, images, seed):
        """Crop, shift and mirror in one pass: boxes on the padded images.

        A box whose left side is the larger one gives a mirror image.
        """
        import tensorflow as tf

        shape, pad = tf.shape(images), self.shift
        count = shape[0]
        last = tf.cast(shape[1:3] - 1, tf.float32)
        draws = tf.random.stateless_uniform([3, count], seed)
        side = tf.sqrt(1 - self.crop * draws[0])
        ends = []
        offsets = tf.random.stateless_uniform(
            [2, count], seed + 1, 0, 2 * pad + 1, tf.int32
        )
        for axis in (0, 1):
            start = (1 - side) * draws[1 + axis] * last[axis]
            start += tf.cast(offsets[axis], tf.float32)
            end = start + side * last[axis]
            ends.append(tf.stack([start, end]) / (last[axis] + 2 * pad))
        (top, bottom), (left, right) = map(tf.unstack, ends)
        if self.flip:
            mirrored = tf.random.stateless_uniform([count], seed + 2) < 0.5
            left, right = (
                tf.where(mirrored, right, left),
                tf.where(mirrored, left, right),
            )
        padded = tf.pad(
            images, [[0, 0], [pad, pad], [pad, pad], [0, 0]], "REFLECT"
        )
        placed = tf.image.crop_and_resize(
            padded,
            tf.stack([top, left, bottom, right], axis=1),
            tf.range(count),
            shape[1:3],
            # Whole pixels only, unless a part is enlarged.
            method="bilinear" if self.crop else "nearest",
        )
        return _like(placed, images)

    def _colour(self, images, seed):
        import tensorflow as tf

        changed = tf.cast(images, tf.float32)
        factors = tf.random.stateless_uniform(
            [3, tf.shape(images)[0], 1, 1, 1],
            seed,
            1 - self.colour,
            1 + self.colour,
        )
        changed *= factors[0]
        mean = tf.reduce_mean(changed, axis=[1, 2, 3], keepdims=True)
        changed = mean + factors[1] * (changed - mean)
        grey = tf.reduce_mean(changed, axis=3, keepdims=True)
        return _like(grey + factors[2] * (changed - grey), images)

    def _cutout(self, images, seed):
        import tensorflow as tf

        shape = tf.shape(images)
        centres = tf.random.stateless_uniform([2, shape[0], 1], seed)
        inside = []
        for centre, side in zip(tf.unstack(centres), (shape[1], shape[2])):
            first = tf.cast(
                tf.floor(centre * tf.cast(side, tf.float32)), tf.int32
            )
            offset = tf.range(side) - first + self.cutout // 2
            inside.append((offset >= 0) & (offset < self.cutout))
        hole = inside[0][:, :, None, None] & inside[1][:, None, :, None]
        mean = tf.reduce_mean(
            tf.cast(images, tf.float32), axis=[1, 2], keepdims=True
        )
        return tf.where(hole, tf.cast(mean, images.dtype), images)


def _mixed(images, axes, factor):
    """Images moved away from their mean over some axes, or towards it."""
    mean = images.mean(axes, keepdims=True)
    return mean + factor * (images - mean)


def _read(images, places, axis, whole):
    """Rows or columns of images at real places, edges filled by reflection."""
    last = images.shape[axis] - 1
    shape = (len(images), -1, 1, 1) if axis == 1 else (len(images), 1, -1, 1)

    def at(place):
        place = np.abs(place.astype(int))
        place = last - np.abs(last - place)
        return np.take_along_axis(images, place.reshape(shape), axis)

    if whole:
        return at(places)
    low = np.floor(places)
    share = (places - low).reshape(shape).astype("float32")
    return (1 - share) * at(low) + share * at(low + 1)


def _like(changed, images):
    """Float images in the range, dtype and static shape of the given ones."""
    import tensorflow as tf

    changed = tf.clip_by_value(changed, 0, 255)
    if images.dtype.is_integer:
        changed = tf.round(changed)
    return tf.ensure_shape(tf.cast(changed, images.dtype), images.shape)
