"""`tf.data` inputs: batches for training and for encoding."""

import dataclasses


def batches(
    dataset, size, augment=None, shuffle=False, index=True, seed=0, drop=False
):
    """Batches of a labelled dataset, ready for `fit`.

    Args:
        dataset: unbatched `tf.data.Dataset` of `(image, label)`.
        size: int, images a batch.
        augment: optional callable from a batch of images and a `[2]` seed to a
            batch of images, such as `FlipAndShift()`.
        shuffle: bool, whether to draw a new order for every epoch.
        index: bool, whether to yield `{"label", "index"}`, where the index is
            the position in `dataset`, in place of the label alone.
        seed: int, seed of order and augmentation.
        drop: bool, whether to drop a last batch that is not full.

    Returns:
        A `tf.data.Dataset` of `(images, {"label": ..., "index": ...})`.

    Raises:
        ValueError: the dataset is batched, infinite or not of pairs.
    """
    import tensorflow as tf

    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2 or spec[0].shape.rank != 3:
        raise ValueError(
            "`dataset` should yield unbatched (image, label) pairs; call "
            f"`dataset.unbatch()` first. Received: element_spec={spec}"
        )
    count = int(dataset.cardinality())
    if shuffle and count < 0:
        raise ValueError(
            "`dataset` should have a known size to be shuffled; "
            "use `dataset.apply(tf.data.experimental.assert_cardinality(n))`."
            f" Received: cardinality={count}"
        )
    if index:
        dataset = dataset.enumerate().map(
            lambda i, pair: (pair[0], {"label": pair[1], "index": i})
        )
    if shuffle:
        dataset = dataset.shuffle(count, seed=seed)
    dataset = dataset.batch(size, drop_remainder=drop)
    if augment is not None:
        seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
        dataset = tf.data.Dataset.zip(dataset, seeds.batch(2)).map(
            lambda pair, s: (augment(pair[0], s), pair[1]),
            num_parallel_calls=2,
            deterministic=True,
        )
    return dataset.prefetch(2)


@dataclasses.dataclass(frozen=True)
class FlipAndShift:
    """Training augmentation: random mirror image, shift, and cut-out square.

    Attributes:
        flip: bool, whether to mirror half of the images left to right.
        shift: int, largest shift in pixels, in all four directions; the edge
            is filled by reflection.
        cutout: int, side in pixels of a square that is replaced by the mean
            colour of its image, its centre anywhere in the image; 0 for none
            (DeVries and Taylor 2017).
    """

    flip: bool = True
    shift: int = 2
    cutout: int = 0

    def __call__(self, images, seed):
        """Augments a batch.

        Args:
            images: tensor `[n, h, w, 3]`.
            seed: int tensor `[2]`.

        Returns:
            A tensor of the shape and dtype of `images`.
        """
        import tensorflow as tf

        shape = tf.shape(images)
        count = shape[0]
        if self.shift:
            pad = self.shift
            padded = tf.pad(
                images, [[0, 0], [pad, pad], [pad, pad], [0, 0]], "REFLECT"
            )
            offsets = tf.random.stateless_uniform(
                [count, 2], seed, 0, 2 * pad + 1, tf.int32
            )
            rows = offsets[:, :1] + tf.range(shape[1])
            columns = offsets[:, 1:] + tf.range(shape[2])
            padded = tf.gather(padded, rows, axis=1, batch_dims=1)
            shifted = tf.gather(padded, columns, axis=2, batch_dims=1)
            images = tf.ensure_shape(shifted, images.shape)
        if self.flip:
            coins = tf.random.stateless_uniform([count, 1, 1, 1], seed + 1)
            images = tf.where(coins < 0.5, images, images[:, :, ::-1])
        if self.cutout:
            images = self._cut(images, seed + 2)
        return images

    def _cut(self, images, seed):
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


def image_batches(dataset, size, rank=3):
    """Batches of the images alone, whatever the dataset yields.

    Args:
        dataset: `tf.data.Dataset` of images or of tuples that start with the
            image, batched or not.
        size: int, batch size for an unbatched dataset.
        rank: int, rank of one image: 3, or 1 for feature vectors.

    Returns:
        A `tf.data.Dataset` of images `[n, h, w, 3]`.

    Raises:
        ValueError: the first component is no image.
    """
    spec = dataset.element_spec
    if isinstance(spec, tuple):
        dataset = dataset.map(lambda image, *_: image)
        spec = spec[0]
    found = getattr(getattr(spec, "shape", None), "rank", None)
    if found not in (rank, rank + 1):
        raise ValueError(
            "`images` should be a dataset of images [h, w, 3] or of batches "
            f"[n, h, w, 3], alone or first in a tuple. Received: {spec}"
        )
    dataset = dataset.batch(size) if found == rank else dataset
    return dataset.prefetch(2)
