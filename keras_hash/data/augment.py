"""Training augmentation, a batch at a time."""

import dataclasses

import numpy as np

from keras_hash import devices
from keras_hash.codes import as_array
from keras_hash.codes import check_int

# Brightness as eyes see it (ITU-R BT.601).
_LUMA = np.array([0.299, 0.587, 0.114])
# The cross product with (1, 1, 1): turns colours about the grey axis.
_ACROSS = np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]])


@dataclasses.dataclass(frozen=True)
class Augment:
    """Random changes of training images, in this order; none by default.

    Everything is computed for a whole batch at once, from a seed.

    Attributes:
        crop: float in [0, 1): up to this share of the area of an image is cut
            off, and the rest enlarged.
        aspect: float, at least 1: the sides of what a crop leaves change their
            proportion by up to this factor, either way.
        shift: int, largest shift in pixels, in all four directions; the edge
            is filled by reflection.
        flip: bool, whether to mirror half of the images left to right.
        colour: float in [0, 1): brightness, contrast and saturation are each
            multiplied by up to one plus or minus this.
        hue: float in [0, 0.5]: colours are turned by up to this share of the
            colour circle, either way.
        jitter: float in [0, 1], share of the images whose `colour` and `hue`
            change.
        grey: float in [0, 1], share of the images that lose their colours.
        blur: float in [0, 1], share of the images that are blurred, by a
            Gaussian of 0.1 to 2 pixels for a side of 224, in proportion for
            others.
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
    aspect: float = 1.0
    hue: float = 0.0
    jitter: float = 1.0
    grey: float = 0.0
    blur: float = 0.0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, (int, float, np.generic)):
                raise ValueError(
                    f"`{field.name}` should be a number. Received: "
                    f"{field.name}={value!r}"
                )
        if not (0 <= self.crop < 1 and 0 <= self.colour < 1):
            raise ValueError(
                "`crop` and `colour` should be in [0, 1). "
                f"Received: crop={self.crop}, colour={self.colour}"
            )
        if not (1 <= self.aspect < float("inf") and 0 <= self.hue <= 0.5):
            raise ValueError(
                "`aspect` should be at least 1 and `hue` in [0, 0.5]. "
                f"Received: aspect={self.aspect}, hue={self.hue}"
            )
        for name in ("jitter", "grey", "blur"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"`{name}` should be a share in [0, 1]. "
                    f"Received: {name}={getattr(self, name)}"
                )
        check_int(self.shift, "shift", 0)
        check_int(self.cutout, "cutout", 0)

    @classmethod
    def strong(cls, **changed):
        """The strong augmentation that methods with two views are trained with.

        Random resized crops, colour jitter, grey and blur, as in SimCLR (Chen
        et al. 2020) and CIMON (Luo et al. 2021). Photos may be mirrored too,
        which would change what digits and text mean.

        Args:
            **changed: attributes with another value, such as `flip=True`.

        Returns:
            An `Augment`.

        Raises:
            ValueError: a value out of range.
        """
        usual = dict(crop=0.8, aspect=4 / 3, colour=0.4, hue=0.1, jitter=0.8)
        return cls(**{**usual, "grey": 0.2, "blur": 0.5, **changed})

    def __call__(self, images, seed):
        """Augments a batch.

        Args:
            images: tensor `[n, h, w, 3]`, pixels in 0..255.
            seed: int tensor `[2]`.

        Returns:
            A tensor of the shape and dtype of `images`.

        Raises:
            ValueError: `shift` is no less than the sides of the images.
        """
        self._check_sides(images.shape[1:3])
        if self.crop or self.aspect > 1 or self.shift or self.flip:
            images = self._place(images, seed)
        if self.colour or self.hue or self.grey or self.blur:
            images = self._look(images, seed)
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
            ValueError: `images` is no batch, or `shift` is no less than the
                sides of the images.
        """
        random = np.random.default_rng(seed)
        images = as_array(images, "images")
        if images.ndim != 4:
            raise ValueError(
                "`images` should be a batch [n, h, w, 3]. "
                f"Received: images.shape={images.shape}"
            )
        self._check_sides(images.shape[1:3])
        changed = images
        if self.crop or self.aspect > 1 or self.shift or self.flip:
            changed = self._place_arrays(changed, random)
        if self.colour or self.hue or self.grey or self.blur:
            changed = self._look_of(
                changed.astype("float32"),
                lambda place, *shape: random.random((*shape, len(images))),
                np,
            )
        if images.dtype.kind in "iu":
            changed = np.round(changed)
        changed = np.clip(changed, 0, 255).astype(images.dtype)
        return self._cutout_arrays(changed, random) if self.cutout else changed

    def _check_sides(self, sides):
        """Edges are filled by what mirrors them, once."""
        known = [side for side in sides if side is not None]
        if self.shift and self.shift >= min(known, default=self.shift + 1):
            raise ValueError(
                "`shift` should be less than the sides of the images. "
                f"Received: shift={self.shift}, images of {tuple(sides)}"
            )

    def _place_arrays(self, images, random):
        count, *sides = images.shape[:3]
        side = np.sqrt(1 - self.crop * random.random(count))
        turn = random.random(count) if self.aspect > 1 else None
        places = []
        for size, share in zip(sides, self._sides(side, turn, np)):
            start = (1 - share) * random.random(count) * (size - 1)
            start += random.integers(-self.shift, self.shift + 1, count)
            places.append(start[:, None] + share[:, None] * np.arange(size))
        if self.flip:
            mirrored = random.random(count) < 0.5
            places[1] = np.where(
                mirrored[:, None], places[1][:, ::-1], places[1]
            )
        for axis, place in enumerate(places, 1):
            images = _read(
                images, place, axis, whole=self.crop == 0 and self.aspect == 1
            )
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
        tf = devices.tensorflow("Augmenting tensors", "call `on_arrays`")
        shape, pad = tf.shape(images), self.shift
        count = shape[0]
        last = tf.cast(shape[1:3] - 1, tf.float32)
        draws = tf.random.stateless_uniform([3, count], seed)
        side = tf.sqrt(1 - self.crop * draws[0])
        ends = []
        offsets = tf.random.stateless_uniform(
            [2, count], seed + 1, 0, 2 * pad + 1, tf.int32
        )
        turn = None
        if self.aspect > 1:
            turn = tf.random.stateless_uniform([count], seed + 5)
        for axis, share in enumerate(self._sides(side, turn, tf)):
            start = (1 - share) * draws[1 + axis] * last[axis]
            start += tf.cast(offsets[axis], tf.float32)
            end = start + share * last[axis]
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
            method="bilinear" if self.crop or self.aspect > 1 else "nearest",
        )
        return _like(placed, images)

    def _sides(self, side, turn, xp):
        """Shares of height and width that a crop leaves, for uniform draws."""
        if turn is None:
            return side, side
        root = xp.exp((turn - 0.5) * np.float32(np.log(self.aspect)))
        return xp.minimum(side * root, 1), xp.minimum(side / root, 1)

    def _look(self, images, seed):
        """Colours, grey and blur, by `_look_of`."""
        import tensorflow as tf

        count = tf.shape(images)[0]

        def draw(place, *shape):
            return tf.random.stateless_uniform([*shape, count], seed + place)

        changed = self._look_of(tf.cast(images, tf.float32), draw, tf)
        return _like(changed, images)

    def _look_of(self, images, draw, xp):
        """Colours, grey and blur of float images, by NumPy or TensorFlow.

        `draw` gives uniform numbers `[..., n]`, for a place of its own each.
        """
        changed = images
        if self.colour:
            factors = 1 + self.colour * (2 * _column(draw(3, 3)) - 1)
            changed = _mixed(changed * factors[0], (1, 2, 3), factors[1], xp)
            changed = _mixed(changed, 3, factors[2], xp)
        if self.hue:
            angle = 2 * np.pi * self.hue * (2 * _column(draw(6)) - 1)
            changed = _turned(changed, angle, xp)
        if self.jitter < 1:
            some = _column(draw(7)) < self.jitter
            changed = xp.where(some, changed, images)
        if self.grey:
            grey = changed @ (np.ones((3, 3)) * _LUMA[:, None]).astype("f4")
            changed = xp.where(_column(draw(8)) < self.grey, grey, changed)
        if self.blur:
            unit = min(images.shape[1:3]) / 224
            widths = unit * (0.1 + 1.9 * draw(9))
            blurred = _blurred(changed, widths, int(np.ceil(6 * unit)), xp)
            changed = xp.where(_column(draw(10)) < self.blur, blurred, changed)
        return changed

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


def _column(draws):
    """Numbers of images as factors of their pixels, float32."""
    draws = draws[..., None, None, None]
    return draws.astype("float32") if isinstance(draws, np.ndarray) else draws


def _mean(images, axes, xp):
    mean = xp.mean if xp is np else xp.reduce_mean
    return mean(images, axes, keepdims=True)


def _mixed(images, axes, factor, xp):
    """Images moved away from their mean over some axes, or towards it."""
    mean = _mean(images, axes, xp)
    return mean + factor * (images - mean)


def _turned(images, angle, xp):
    """Images whose colours are turned about the grey axis."""
    grey = _mean(images, 3, xp)
    across = images @ (_ACROSS / np.sqrt(3)).astype("float32")
    return grey + xp.cos(angle) * (images - grey) + xp.sin(angle) * across


def _blurred(images, widths, radius, xp):
    """Images under Gaussians of their own, edges filled by reflection."""
    offsets = np.arange(-radius, radius + 1, dtype="float32")
    weights = xp.exp(-((offsets / widths[:, None]) ** 2) / 2)
    for axis in (1, 2):
        pad = [[0, 0] for _ in range(4)]
        pad[axis] = [radius, radius]
        padded, total = xp.pad(images, pad, mode="reflect"), 0
        size, sums = images.shape[axis], 0
        for place in range(2 * radius + 1):
            weight = _column(weights[:, place])
            shifted = slice(place, place + size)
            part = padded[:, shifted] if axis == 1 else padded[:, :, shifted]
            total, sums = total + weight * part, sums + weight
        images = total / sums
    return images


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
