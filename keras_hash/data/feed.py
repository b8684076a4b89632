"""Images as models take them: arrays and `tf.data`, batch by batch."""

import numpy as np
from keras import ops

from keras_hash.data import caches


def batches(
    dataset,
    size,
    augment=None,
    shuffle=False,
    index=True,
    seed=0,
    drop=False,
    cache=None,
    shard=None,
    buffer=None,
):
    """Batches of a labelled dataset, ready for `fit`.

    Equal seeds give equal batches on every run, in every epoch of it.

    Args:
        dataset: unbatched `tf.data.Dataset` of `(image, label)`.
        size: int, images a batch.
        augment: optional callable from a batch of images and a `[2]` seed to a
            batch of images, such as `Augment(flip=True)`.
        shuffle: bool, whether to draw a new order for every epoch.
        index: bool, whether to yield `{"label", "index"}`, where the index is
            the position in `dataset`, in place of the label alone.
        seed: int, seed of order and augmentation.
        drop: bool, whether to drop a last batch that is not full, as replicas
            and `jit_compile` want it.
        cache: `None`; `True` to keep decoded images in memory; or the path of
            a file to keep them in, which later runs on the same dataset read.
        shard: `None`, or `(worker, workers)`: every n-th image of n workers,
            so that their shards are disjoint and complete.
        buffer: int, images that are held in memory to be shuffled; all of them
            by default, which is the only even shuffle.

    Returns:
        A `tf.data.Dataset` of `(images, {"label": ..., "index": ...})`.

    Raises:
        ValueError: the dataset is batched, infinite or not of pairs, `shard`
            names a worker that there is not, or `cache` holds another dataset.
    """
    import tensorflow as tf

    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2 or spec[0].shape.rank != 3:
        raise ValueError(
            "`dataset` should yield unbatched (image, label) pairs; call "
            f"`dataset.unbatch()` first. Received: element_spec={spec}"
        )
    given = dataset
    if index:
        dataset = dataset.enumerate().map(
            lambda i, pair: (pair[0], {"label": pair[1], "index": i})
        )
    if shard is not None:
        worker, workers = shard
        if not 0 <= worker < workers:
            raise ValueError(
                "`shard` should be (worker, workers), counted from 0. "
                f"Received: shard={shard}"
            )
        dataset = dataset.shard(workers, worker)
    count = int(dataset.cardinality())
    if shuffle and count < 0:
        raise ValueError(
            "`dataset` should have a known size to be shuffled; "
            "use `dataset.apply(tf.data.experimental.assert_cardinality(n))`."
            f" Received: cardinality={count}"
        )
    if cache is True:
        dataset = dataset.cache()
    elif cache:
        about = caches.identity(given, index=index, shard=shard)
        dataset = dataset.cache(caches.checked(cache, given, about))
    if shuffle and count:
        dataset = dataset.shuffle(buffer or count, seed=seed)
    dataset = dataset.batch(size, drop_remainder=drop)
    if augment is not None:
        seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
        dataset = tf.data.Dataset.zip(dataset, seeds.batch(2)).map(
            lambda pair, s: (augment(pair[0], s), pair[1]),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    return dataset.prefetch(2)


def image_batches(dataset, size, rank=3):
    """Batches of the images alone, whatever the dataset yields."""
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


def check_images(images, shape, values=True):
    """Images as an array with a batch axis, of the kind that a model takes."""
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


class Source:
    """Labelled images, arrays or `tf.data`, read again each time by batches."""

    def __init__(self, data, name, pictures=None):
        self.name = name
        self.pictures = pictures
        self.dataset = data if hasattr(data, "element_spec") else None
        # The positions that are read, sorted; all if `None`.
        self.chosen = None
        self._count = None
        if self.dataset is not None:
            self._check_dataset()
            return
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise ValueError(
                f"`{name}` should be a pair of arrays (images, labels) or a "
                "tf.data.Dataset of (image, label). "
                f"Received: {name} of type {type(data).__name__}"
            )
        images, labels = data
        self.images = images if hasattr(images, "dtype") else np.asarray(images)
        self.labels = flat_labels(labels)
        if len(self.images) == 0:
            raise ValueError(
                f"`{name}` has no images. "
                f"Received: images.shape={tuple(self.images.shape)}"
            )
        if self.labels.ndim == 0 or len(self.labels) != len(self.images):
            raise ValueError(
                f"`{name}` should have one label, or one row of labels, for "
                f"each of its {len(self.images)} images. "
                f"Received: labels.shape={self.labels.shape}"
            )
        self._set_count(len(self.images))

    def _check_dataset(self):
        spec = self.dataset.element_spec
        if not isinstance(spec, tuple) or len(spec) < 2:
            raise ValueError(
                f"`{self.name}` should yield (image, label). "
                f"Received: element_spec={spec}"
            )
        if isinstance(spec[1], dict) and "label" not in spec[1]:
            raise ValueError(
                f"The labels of `{self.name}` should be arrays, or dicts with "
                f"'label'. Received: {sorted(spec[1])}"
            )
        cardinality = int(self.dataset.cardinality())
        if cardinality == -1:
            raise ValueError(
                f"`{self.name}` never ends: call `take(n)` on it. "
                "Received: an infinite dataset"
            )
        if cardinality == 0:
            raise self._empty()

    def _empty(self):
        return ValueError(
            f"`{self.name}` has no images. Received: an empty dataset"
        )

    def _set_count(self, count):
        self._count = count
        if self.pictures is not None and len(self.pictures) != count:
            raise ValueError(
                f"`images` should have a picture for each of the {count} "
                f"items of `{self.name}`. Received: {len(self.pictures)}"
            )

    def _batched(self, rank):
        """Whether the dataset yields batches."""
        found = getattr(self.dataset.element_spec[0].shape, "rank", None)
        if found not in (rank, rank + 1):
            raise ValueError(
                f"The images of `{self.name}` should have rank {rank}, or "
                f"{rank + 1} in batches. "
                f"Received: {self.dataset.element_spec[0]}"
            )
        return found == rank + 1

    def count(self, rank):
        """The number of items; a dataset may be read once to find it."""
        if self._count is not None:
            return self._count
        batched = self._batched(rank)
        count = int(self.dataset.cardinality())
        if batched or count < 0:
            labels = self.dataset.map(lambda *pair: _label(pair[1]))
            count = sum(
                len(label) if batched else 1
                for label in labels.as_numpy_iterator()
            )
        if count == 0:
            raise self._empty()
        self._set_count(count)
        return count

    def choose(self, subset, seed, rank):
        """Takes a part of the items, which `seed` draws, or all of them."""
        self.chosen = None
        if subset is not None and subset < self.count(rank):
            order = np.random.RandomState(seed).permutation(self.count(rank))
            self.chosen = np.sort(order[:subset])

    def sample(self, size, seed, rank):
        """The positions of some of the items that are read."""
        pool = self.chosen
        if pool is None:
            pool = np.arange(self.count(rank))
        order = np.random.RandomState(seed).permutation(len(pool))
        return set(pool[order[:size]].tolist())

    def peek(self, rank):
        """Labels to check before the work: of an array all, else the first."""
        if self.dataset is None:
            return self.labels
        batched = self._batched(rank)
        for _, labels, *_ in self.dataset.take(1).as_numpy_iterator():
            labels = flat_labels(labels, batched)
            return labels if batched else labels[None]
        raise self._empty()

    def batches(self, size, rank):
        """Positions, images, labels and pictures of each batch, in order."""
        seen = 0
        for positions, images, labels in self._read(size, rank):
            if self.pictures is not None:
                pictures = self.pictures[positions]
            else:
                pictures = images if rank == 3 else None
            seen += len(positions)
            yield positions, images, labels, pictures
        if not seen:
            raise self._empty()

    def _read(self, size, rank):
        if self.dataset is None:
            chosen = self.chosen
            if chosen is None:
                chosen = np.arange(self._count)
            for low in range(0, len(chosen), size):
                part = chosen[low : low + size]
                # A slice reads faster than scattered rows.
                rows = part
                if self.chosen is None:
                    rows = slice(low, low + size)
                yield part, np.asarray(self.images[rows]), self.labels[part]
            return
        batched = self._batched(rank)
        dataset = self.dataset if batched else self.dataset.batch(size)
        start = 0
        for images, labels, *_ in dataset.prefetch(2).as_numpy_iterator():
            labels = flat_labels(labels)
            rows = np.arange(len(images))
            if self.chosen is not None:
                low, high = np.searchsorted(
                    self.chosen, (start, start + len(images))
                )
                rows = self.chosen[low:high] - start
            for low in range(0, len(rows), size):
                part = rows[low : low + size]
                yield start + part, images[part], labels[part]
            start += len(images)
            if self.chosen is not None and start > self.chosen[-1]:
                return


def flat_labels(labels, batched=True):
    """Labels without index and without an axis of one."""
    labels = np.asarray(_label(labels))
    if labels.ndim == 1 + batched and labels.shape[-1] == 1:
        return labels[..., 0]
    return labels


def _label(labels):
    return labels["label"] if isinstance(labels, dict) else labels
