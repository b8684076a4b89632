"""Images as models take them: arrays and `tf.data`, batch by batch."""

import contextlib
import functools
import inspect
import itertools
import os

import keras
import numpy as np
from keras import ops

from keras_hash import similarity
from keras_hash.data import caches
from keras_hash.data import images as pixels


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
        dataset: unbatched, finite `tf.data.Dataset` of `(image, label)`, or of
            dicts with `image` and `label`, as TFDS makes them.
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

    finite(dataset, "dataset")
    dataset = pairs(dataset, "dataset")
    spec = dataset.element_spec
    if len(spec) != 2 or spec[0].shape.rank != 3:
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


def check_images(images, shape, values=True):
    """Images as an array with a batch axis, of the kind that a model takes.

    `values` says whether all of them are looked at.
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
    if values:
        pixels.check_values(images, raw=len(shape) == 3)
    return images


def is_dataset(data):
    """Whether data is a `tf.data.Dataset`, asked without TensorFlow."""
    return hasattr(data, "element_spec") and hasattr(data, "map")


def finite(data, name, instead=""):
    """Refuses a dataset that never ends, where all of it would be read."""
    if is_dataset(data):
        endless = int(data.cardinality()) == -1
    else:
        dataset = isinstance(data, keras.utils.PyDataset)
        endless = dataset and data.num_batches is None
    if endless:
        raise ValueError(
            f"`{name}` never ends: call `take(n)` on it{instead}. "
            "Received: an infinite dataset"
        )


def pairs(dataset, name, labelled=True):
    """A `tf.data.Dataset` of tuples, made of the dicts of TFDS too."""
    import tensorflow as tf

    spec = dataset.element_spec
    if isinstance(spec, dict) and "image" in spec:
        dataset = dataset.map(_of_dict)
        spec = dataset.element_spec
    found = spec[1] if isinstance(spec, tuple) and len(spec) > 1 else None
    if labelled and not isinstance(_label(found), tf.TensorSpec):
        raise ValueError(
            f"`{name}` should yield (image, label), or dicts with 'image' and "
            "'label'; labels are arrays, or dicts with 'label'. "
            f"Received: element_spec={spec}"
        )
    return dataset


def _of_dict(element):
    return tuple(element[k] for k in ("image", "label") if k in element)


def read(images, labels, size, shape):
    """Batches of images, float32 `[n, *shape]`, and of their labels, or `None`;
    and the number of batches where it is known.

    Of all that can be fed: arrays, lists of images of several sizes, paths of
    files, `tf.data` in batches or not, `PyDataset`, generators of batches.
    `shape` is that of an image, as a model takes it.
    """
    finite(images, "images")
    hosted = isinstance(images, keras.utils.PyDataset)
    if hosted or inspect.isgenerator(images) or is_dataset(images):
        if labels is not None:
            raise ValueError(
                "A dataset yields its labels itself. Received: a dataset and "
                "labels"
            )
        if is_dataset(images):
            return _read_dataset(images, size, shape)
        found = ((_fitted(x, shape), y) for x, y in map(_pair, images))
        return found, images.num_batches if hosted else None
    if labels is not None:
        labels = similarity.check_labels(labels, count=len(images))
    several = isinstance(images, (list, tuple)) and len(images)
    if several and isinstance(images[0], (str, os.PathLike)):
        images = pixels.ImageFiles(images)
    elif not several or len({np.shape(image) for image in images}) < 2:
        # Checked as a whole: some of them alone may be nearly black.
        images = check_images(images, shape)
        fit = functools.partial(_fitted, shape=shape, checked=True)
        several = False
    else:
        several = True
    if several:
        fit = functools.partial(_stacked, shape=shape)
    parts = [slice(i, i + size) for i in range(0, len(images), size)]
    found = (
        (fit(images[part]), None if labels is None else labels[part])
        for part in parts
    )
    return found, len(parts)


def _read_dataset(dataset, size, shape):
    dataset = pairs(dataset, "images", labelled=False)
    spec = keras.tree.flatten(dataset.element_spec)[0]
    rank = getattr(getattr(spec, "shape", None), "rank", None)
    if rank not in (len(shape), len(shape) + 1):
        raise ValueError(
            "`images` should be a dataset of images [h, w, 3] or of batches "
            f"[n, h, w, 3], alone or first in a tuple. Received: {spec}"
        )
    steps = int(dataset.cardinality())
    if rank == len(shape) and None in spec.shape[: len(shape) - 1]:
        found = _batches_of(map(_pair, dataset.as_numpy_iterator()), size)
        batches = ((_stacked(x, shape), y) for x, y in found)
        return batches, -(-steps // size) if steps >= 0 else None
    if rank == len(shape):
        dataset = dataset.batch(size)
        steps = int(dataset.cardinality())
    found = map(_pair, dataset.prefetch(2).as_numpy_iterator())
    batches = ((_fitted(x, shape), y) for x, y in found)
    return batches, steps if steps >= 0 else None


def _batches_of(pairs, size):
    """Lists of images, and arrays of labels, of pairs of single ones."""
    while some := list(itertools.islice(pairs, size)):
        images, labels = zip(*some)
        yield images, None if labels[0] is None else np.stack(labels)


def _fitted(images, shape, checked=False):
    """A batch as a model takes it."""
    images = images if checked else check_images(images, shape)
    images = images.astype("float32")
    if len(shape) == 3:
        images = ops.convert_to_numpy(pixels.resize(images, shape[:2]))
    return images


def _stacked(images, shape):
    """A batch of images of several sizes."""
    fitted = [
        pixels.fitted(one, shape[:2])
        if one.dtype == np.uint8
        else _fitted(one, shape)[0]
        for one in (check_images(image, shape)[0] for image in images)
    ]
    return np.stack(fitted)


def _pair(batch):
    """Images and labels, or `None`, of a batch as data yield it."""
    batch = _of_dict(batch) if isinstance(batch, dict) else batch
    batch = batch if isinstance(batch, (tuple, list)) else (batch,)
    images, y = (*batch, None)[:2]
    return images, _label(y)


class TrainingFeed:
    """What `fit` and `evaluate` are fed, checked batch by batch: labels, and
    that images are raw pixels.

    In the input pipeline of a `tf.data.Dataset`, on the host for all else; not
    in the compiled step, which would pay for it. Class weights become weights
    of images here, as Keras knows none for labels with an index.

    `num_classes` is `None` where labels may be anything; `shape` is that of an
    image; `bank_size` is given where the memory bank is filled.
    """

    def __init__(
        self, num_classes, shape, soft=True, bank_size=None, class_weight=None
    ):
        self.num_classes, self.shape, self.soft = num_classes, shape, soft
        self.bank_size, self.class_weight = bank_size, class_weight
        # TensorFlow passes on the text of an error, not its type.
        self.error = None

    @contextlib.contextmanager
    def errors(self):
        """Raises the error of a label in place of TensorFlow's of its text."""
        try:
            yield
        except Exception:
            if self.error is not None:
                raise self.error from None
            raise

    def take(self, x, y=None, weights=None, steps=None, batch_size=None):
        """Images, labels and weights to hand on to Keras."""
        if steps is None:
            finite(x, "x", ", or pass the number of steps")
        if is_dataset(x):
            return self._dataset(x, batch_size), y, weights
        if isinstance(x, keras.utils.PyDataset):
            return _CheckedBatches(x, self.batch), y, weights
        if inspect.isgenerator(x):
            return (self.batch(batch) for batch in x), y, weights
        if y is None and not hasattr(x, "shape") and not isinstance(x, list):
            # A loader of another library.
            return x, y, weights
        return (*self.batch((x, y, weights)), None)[:3]

    def batch(self, batch):
        """A batch with its labels checked, as a tuple."""
        batch = _of_dict(batch) if isinstance(batch, dict) else batch
        whole = isinstance(batch, (tuple, list)) and len(batch) > 1
        images, y, *weights = batch if whole else (batch, None)
        labels = self._checked(_label(y), y)
        if hasattr(images, "dtype"):
            self._check_images(images)
        y = {**y, "label": labels} if isinstance(y, dict) else labels
        weights = [w for w in weights if w is not None]
        if self.class_weight is not None:
            _check_weights(weights)
            weights = [self._weights(labels)]
        return images, y, *weights

    def _check_images(self, images):
        dtype = keras.backend.standardize_dtype(images.dtype)
        if dtype != "uint8" and len(self.shape) == 3:
            try:
                check_images(images, self.shape)
            except ValueError as error:
                self.error = error
                raise

    def _checked(self, labels, y):
        try:
            if self.num_classes is not None:
                labels = similarity.check_labels(
                    labels, self.num_classes, soft=self.soft
                )
            index = y.get("index") if isinstance(y, dict) else None
            if self.bank_size is not None and index is not None:
                last = int(np.max(ops.convert_to_numpy(index), initial=-1))
                if last >= self.bank_size:
                    raise ValueError(
                        "`bank_size` should be the number of training images, "
                        f"{last + 1}. "
                        f"Received: bank_size={self.bank_size}"
                    )
        except ValueError as error:
            self.error = error
            raise
        return labels

    def _weights(self, labels):
        """The weight of each image; of several labels their mean."""
        labels = flat_labels(labels)
        rows = labels.ndim == 2
        width = labels.shape[1] if rows else int(np.max(labels, initial=0)) + 1
        each = [self.class_weight.get(c, 1.0) for c in range(width)]
        each = np.array(each, "float32")
        if not rows:
            return each[labels.astype("int64")]
        sizes = labels.sum(axis=1, dtype="float32")
        total = labels.astype("float32") @ each
        return np.divide(total, sizes, np.ones_like(total), where=sizes > 0)

    def _dataset(self, dataset, batch_size):
        """A dataset in batches, whose map looks at them."""
        looks = self.num_classes is not None or self.class_weight is not None
        if looks:
            dataset = pairs(dataset, "x")
        image = keras.tree.flatten(dataset.element_spec)[0]
        if len(image.shape) == len(self.shape):
            dataset = dataset.batch(batch_size or 32)
        raw = image.dtype.name == "uint8" or len(self.shape) != 3
        if not looks:
            return dataset if raw else dataset.map(self._look_at_images)
        import tensorflow as tf

        spec = dataset.element_spec
        if self.class_weight is not None:
            _check_weights(spec[2:])
        # What is known of the labels before any is read.
        shape, kind = _label(spec[1]).shape, _label(spec[1]).dtype
        if shape.rank is not None:
            sizes = [self.num_classes if n is None else n for n in shape]
            sizes[:1] = [1] * len(sizes[:1])
            self._checked(np.zeros(sizes, kind.as_numpy_dtype), None)

        def look(labels, index, images=None):
            y = {"label": labels, "index": index}
            _, _, *weights = self.batch((images, y))
            return weights[0] if weights else np.ones(0, "float32")

        def look_at(images, y, *weights):
            labels = _label(y)
            index = tf.constant(0, tf.int64)
            if isinstance(y, dict):
                index = y.get("index", index)
            seen = [labels, index] if raw else [labels, index, images]
            each = tf.numpy_function(look, seen, tf.float32)
            with tf.control_dependencies([each]):
                column = shape.rank == 2 and shape[1] == 1
                labels = labels[:, 0] if column else tf.identity(labels)
            if shape.rank == 2 and shape[1] is None and self.num_classes:
                labels = tf.ensure_shape(labels, [None, self.num_classes])
            if self.class_weight is not None:
                weights = (tf.ensure_shape(each, [None]),)
            y = {**y, "label": labels} if isinstance(y, dict) else labels
            return images, y, *weights

        return dataset.map(look_at).prefetch(2)

    def _look_at_images(self, *element):
        """An element of a dataset, once its images are seen to be fine."""
        import tensorflow as tf

        def look(images):
            self._check_images(images)
            return np.zeros((), "int32")

        images = keras.tree.flatten(element)[0]
        seen = tf.numpy_function(look, [images], tf.int32)
        with tf.control_dependencies([seen]):
            kept = keras.tree.map_structure(tf.identity, element)
        return kept if len(kept) > 1 else kept[0]


def _check_weights(weights):
    if len(weights):
        raise ValueError(
            "`class_weight` and weights of images cannot go together. "
            "Received: both"
        )


class _CheckedBatches(keras.utils.PyDataset):
    """A `PyDataset` whose batches go through a function."""

    def __init__(self, data, function):
        super().__init__(
            data.workers, data.use_multiprocessing, data.max_queue_size
        )
        self.data, self.function = data, function

    @property
    def num_batches(self):
        return self.data.num_batches

    def __getitem__(self, step):
        return self.function(self.data[step])

    def on_epoch_begin(self):
        self.data.on_epoch_begin()

    def on_epoch_end(self):
        self.data.on_epoch_end()


class Source:
    """Labelled images, arrays or `tf.data`, read again each time by batches."""

    def __init__(self, data, name, pictures=None):
        self.name = name
        self.pictures = pictures
        self.dataset = None
        # The positions that are read, sorted; all if `None`.
        self.chosen = None
        self._count = None
        if is_dataset(data):
            finite(data, name)
            self.dataset = pairs(data, name)
            if int(data.cardinality()) == 0:
                raise self._empty()
            return
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise ValueError(
                f"`{name}` should be a pair of arrays (images, labels) or a "
                "tf.data.Dataset of (image, label). "
                f"Received: {name} of type {type(data).__name__}"
            )
        images, labels = data
        self.images = images if hasattr(images, "dtype") else np.asarray(images)
        if len(self.images) == 0:
            raise ValueError(
                f"`{name}` has no images. "
                f"Received: images.shape={tuple(self.images.shape)}"
            )
        self.labels = similarity.check_labels(
            _label(labels),
            name=f"{name}_labels",
            count=len(self.images),
            unlabelled=True,
        )
        self._set_count(len(self.images))

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
    return labels.get("label") if isinstance(labels, dict) else labels
