"""What `fit` is fed: batches of a dataset, and labels and pixels checked."""

import collections.abc
import contextlib
import copy
import functools
import numbers

import keras
import numpy as np
from keras import ops

from keras_hash import devices
from keras_hash import forks
from keras_hash import similarity
from keras_hash.codes import check_int
from keras_hash.data import caches
from keras_hash.data import images as pixels
from keras_hash.data import reading
from keras_hash.data.augment import Augment
from keras_hash.data.samplers import SampledBatches


def batches(
    dataset,
    size,
    image_size=None,
    augment=None,
    shuffle=False,
    index=True,
    seed=0,
    drop=False,
    cache=None,
    shard=None,
    buffer=None,
    views=1,
):
    """Batches of a labelled dataset, ready for `fit`.

    Order and augmentation follow from the seed and the epoch: equal seeds give
    equal batches on every run, and a training that goes on in its tenth epoch
    gets those of the tenth. `fit` of a `keras_hash` model says which epoch it
    is; read otherwise, each pass over the batches is the next epoch.

    Args:
        dataset: unbatched, finite `tf.data.Dataset` of `(image, label)`, or of
            dicts with `image` and `label`, as TFDS makes them; features `[d]`
            may stand in place of images.
        size: int, images a batch.
        image_size: int or `(height, width)` that images are resized to, as
            models do it: bilinear with antialias. A dataset of several sizes,
            such as photos in a folder, needs it.
        augment: optional callable from a batch of images and a `[2]` seed to a
            batch of images, such as `Augment(flip=True)`; of several views a
            tuple of them too, one a view.
        shuffle: bool, whether to draw a new order for every epoch.
        index: bool, whether to yield `{"label", "index"}`, where the index is
            the position in `dataset`, in place of the label alone.
        seed: int, seed of order and augmentation.
        drop: bool, whether to drop a last batch that is not full, as replicas
            and `jit_compile` want it.
        cache: `None`; `True` to keep decoded images in memory; or the path of
            a file to keep them in, which later runs on the same dataset read,
            once one run has written it. Another dataset is told by its size and
            a sample of its images: remove the file where some have changed.
        shard: `None`, or `(worker, workers)`: every n-th image of n workers,
            so that their shards are disjoint and complete.
        buffer: int, images that are held in memory to be shuffled; all of them
            by default, which is the only even shuffle.
        views: int, how many times each image is augmented, for methods that
            compare views of an image. More than one need an `augment`, by
            default `Augment.strong()`, which mirrors no images.

    Returns:
        A `tf.data.Dataset` of `(images, {"label": ..., "index": ...})`, where
        images are `[n, views, h, w, 3]` if there are several views.

    Raises:
        ValueError: the dataset is batched, infinite or not of pairs, its
            images have several sizes and no `image_size` is given, `shard`
            names a worker that there is not, `cache` holds another dataset or
            is being written by another run, or `augment` is a tuple of another
            length than `views`.
    """
    tf = devices.tensorflow("`batches`", "take `SampledBatches` of arrays")
    forks.check()
    size = check_int(size, "size")
    seed = check_int(seed, "seed", 0)
    if buffer is not None:
        check_int(buffer, "buffer")
    views = check_int(views, "views")
    if views > 1 and augment is None:
        augment = Augment.strong()
    several = isinstance(augment, (tuple, list))
    each = tuple(augment) if several else (augment,) * views
    if len(each) != views:
        raise ValueError(
            "`augment` should be one function, or one a view. "
            f"Received: {len(each)} functions, views={views}"
        )
    reading.finite(dataset, "dataset")
    dataset = reading.pairs(dataset, "dataset")
    spec = dataset.element_spec
    features = spec[0].shape.rank == 1
    if features and (image_size or augment or views > 1):
        raise ValueError(
            "Features are neither resized nor augmented: leave `image_size`, "
            f"`augment` and `views` out. Received: element_spec={spec}"
        )
    if len(spec) != 2 or spec[0].shape.rank not in (1, 3):
        raise ValueError(
            "`dataset` should yield unbatched (image, label) pairs; call "
            f"`dataset.unbatch()` first. Received: element_spec={spec}"
        )
    if features and None in spec[0].shape:
        raise ValueError(
            "Features should be of one width that the dataset knows. "
            f"Received: element_spec={spec}"
        )
    if image_size is not None:
        dataset = of_one_size(dataset, pixels.pair(image_size))
    elif None in spec[0].shape:
        raise ValueError(
            "Images of several sizes fit no batch: pass `image_size=(height, "
            f"width)` to resize them. Received: element_spec={spec}"
        )
    given = dataset
    if index:
        dataset = dataset.enumerate().map(
            lambda i, pair: (pair[0], {"label": pair[1], "index": i})
        )
    if shard is not None:
        pair = isinstance(shard, (tuple, list)) and len(shard) == 2
        worker, workers = shard if pair else (0, 0)
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
        path = caches.checked(cache, given, index=index, shard=shard)
        dataset = dataset.cache(path)
    if not (shuffle and count) and augment is None:
        return dataset.batch(size, drop_remainder=drop).prefetch(2)
    with tf.device("CPU"):
        epoch = tf.Variable(0, trainable=False, dtype=tf.int64)

    def of_epoch(number):
        # Otherwise the seed of all of TensorFlow would count too.
        tf.compat.v1.set_random_seed(1)
        some = dataset
        if shuffle and count:
            some = some.shuffle(
                min(buffer or count, count),
                seed=tf.random.stateless_uniform(
                    [], [seed, number], None, None, tf.int64, "philox"
                ),
                reshuffle_each_iteration=False,
            )
        some = some.batch(size, drop_remainder=drop)
        return some.enumerate().map(lambda step, pair: (number, step, *pair))

    passes = tf.data.Dataset.from_tensors(0)
    found = passes.map(lambda _: epoch.assign_add(1) - 1).flat_map(of_epoch)

    def augmented(number, step, images, labels):
        if augment is None:
            return images, labels
        fold = tf.random.experimental.stateless_fold_in
        key = fold([seed, number], step)
        if views == 1:
            return each[0](images, key), labels
        found = [one(images, fold(key, i)) for i, one in enumerate(each)]
        return tf.stack(found, axis=1), labels

    found = found.map(
        augmented, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    if count >= 0:
        steps = count // size if drop else -(-count // size)
        found = found.apply(tf.data.experimental.assert_cardinality(steps))
    found = found.prefetch(2)
    # Derived datasets lead to it: `epoch_setters`.
    found._keras_hash_epoch = epoch
    return found


def epoch_setters(data):
    """Functions that tell data the number of the epoch that starts."""
    if isinstance(data, SampledBatches):
        return [functools.partial(setattr, data, "epoch")]
    return [variable.assign for variable in _epoch_variables(data)]


def _epoch_variables(data):
    """Where `batches`, or datasets derived from them, keep the next epoch."""
    if not reading.is_dataset(data):
        return []
    own = getattr(data, "_keras_hash_epoch", None)
    if own is not None:
        return [own]
    return [each for one in data._inputs() for each in _epoch_variables(one)]


def again(x, shape, size=256, views=True, index=None):
    """A function that reads once more what `fit` is fed, as a model encodes it.

    It yields batches of images, float32 `[n, *shape]`, of several views
    `[n, views, *shape]`, or with `views=False` the first one; and their index,
    or `None` where batches have none; that of arrays is given or counted. The
    epoch of the data, and with it the
    order and the augmentation of the next one, stay.
    """
    reading.finite(x, "x")
    hosted = isinstance(x, keras.utils.PyDataset)
    arrays = hasattr(x, "shape") or isinstance(x, (list, tuple))
    if not (arrays or hosted or reading.is_dataset(x)):
        raise ValueError(
            "These images are read more than once: pass arrays, a "
            "`tf.data.Dataset` or a `PyDataset`. "
            f"Received: x of type {type(x).__name__}"
        )

    def read():
        if arrays:
            images = reading.check_images(x, shape, False, views=True)
            places = np.arange(len(images)) if index is None else index
            for low in range(0, len(images), size):
                some = slice(low, low + size)
                yield images[some], {"index": places[some]}
            return
        data = x
        if hosted:
            data = (x[step] for step in range(x.num_batches))
        else:
            data = reading.pairs(data, "x", labelled=False)
            data = in_batches(data, shape, size).as_numpy_iterator()
        for batch in data:
            yield reading.parts(batch)[:2]

    def fitted():
        kept = [(each, each.numpy()) for each in _epoch_variables(x)]
        for each, number in kept:
            each.assign(max(number - 1, 0))
        try:
            for images, y in read():
                several = len(images.shape) == len(shape) + 2
                if several and not views:
                    images, several = images[:, 0], False
                sides = images.shape[:2] if several else images.shape[:1]
                if several:
                    images = images.reshape(-1, *images.shape[2:])
                rows = reading.fitted(images, shape)
                place = y.get("index") if isinstance(y, dict) else None
                yield rows.reshape(*sides, *shape), place
        finally:
            for each, number in kept:
                each.assign(number)

    return fitted


def feature_views(backbone, data, batch_size=256):
    """Features of all views of images, to train on `backbone="features"`.

    A frozen network sees each view once, and a head is trained in seconds on
    what it gave: `SampledBatches(features, labels, sampler, views=2)` draws two
    of the views of an image in each epoch.

    Args:
        backbone: `keras.Model` from images in 0..255 to features `[n, d]`, such
            as the `backbone` of a model of this library.
        data: images, arrays `[n, h, w, 3]` or `[n, views, h, w, 3]`; or batches
            with the index of each image, as `batches(dataset, size, views=4)`
            and `SampledBatches` yield them, of which each image has to be in
            one.
        batch_size: int, images that go through the network at once.

    Returns:
        `float32 [n, views, d]`, in the order of the index; of images without
        views `[n, 1, d]`.

    Raises:
        ValueError: batches without the index, images that are missing among
            them, or values that are no raw pixels.
    """
    batch_size = check_int(batch_size, "batch_size")
    shape = tuple(backbone.input_shape[1:])
    found, places = [], []
    for images, index in again(data, shape, batch_size)():
        if index is None:
            raise ValueError(
                "The index of every image is needed, as "
                "`keras_hash.data.batches` yields it. "
                "Received: batches without an index"
            )
        several = images.ndim == len(shape) + 2
        rows = images.reshape(-1, *shape)
        parts = [
            backbone.predict_on_batch(rows[low : low + batch_size])
            for low in range(0, len(rows), batch_size)
        ]
        rows = np.concatenate([np.asarray(p, "float32") for p in parts])
        views = images.shape[1] if several else 1
        found.append(rows.reshape(len(images), views, -1))
        places.append(ops.convert_to_numpy(index))
    places = np.concatenate(places) if places else np.zeros(0, int)
    images, first = np.unique(places, return_index=True)
    if not len(images) or images[-1] != len(images) - 1 or images[0] < 0:
        raise ValueError(
            "Every image should be in one of the batches. "
            f"Received: {len(images)} images, the last index "
            f"{max(images, default=None)}"
        )
    return np.concatenate(found)[first]


def in_batches(dataset, shape, size):
    """A dataset in batches, as it is or of single images, of one size then."""
    image = keras.tree.flatten(dataset.element_spec)[0]
    if len(image.shape) == len(shape):
        if None in image.shape:
            dataset = of_one_size(dataset, shape[:2])
        dataset = dataset.batch(size)
    return dataset


def of_one_size(dataset, size):
    """A dataset of images, or of tuples with them, resized where need be."""
    import tensorflow as tf

    def fit(image, *rest):
        image = pixels.fit_in_graph(image, size)
        return (image, *rest) if rest else image

    if keras.tree.flatten(dataset.element_spec)[0].shape[:2] == size:
        return dataset
    parallel = tf.data.AUTOTUNE
    return dataset.map(fit, num_parallel_calls=parallel, deterministic=True)


class TrainingFeed:
    """What `fit` and `evaluate` are fed, checked batch by batch: labels, and
    that images are raw pixels.

    In the input pipeline of a `tf.data.Dataset`, on the host for all else; not
    in the compiled step, which would pay for it. Class weights become weights
    of images here, as Keras knows none for labels with an index.

    `num_classes` is `None` where labels may be anything; `shape` is that of an
    image; `bank_size` is given where the memory bank is filled; `views` is how
    many views of an image are compared.
    """

    def __init__(
        self,
        num_classes,
        shape,
        soft=True,
        bank_size=None,
        class_weight=None,
        views=1,
    ):
        self.num_classes, self.shape, self.soft = num_classes, shape, soft
        self.views = views
        self.bank_size, self.class_weight = bank_size, class_weight
        if class_weight is not None:
            _check_class_weight(class_weight, num_classes)
        # TensorFlow passes on the text of an error, not its type.
        self.error = None

    @contextlib.contextmanager
    def errors(self):
        """Raises the error of a label or of a file in place of TensorFlow's of
        its text."""
        try:
            with reading.errors_of_files():
                yield
        except Exception:
            if self.error is not None:
                raise self.error from None
            raise

    def take(self, x, y=None, weights=None, steps=None, batch_size=None):
        """Images, labels and weights to hand on to Keras."""
        if steps is None:
            reading.finite(x, "x", ", or pass the number of steps")
        if reading.is_dataset(x):
            if int(x.cardinality()) == 0:
                raise ValueError(
                    "There are no images to train or measure on, or fewer than "
                    "one batch where `drop=True` drops the rest. Received: a "
                    "dataset of 0 batches"
                )
            return self._dataset(x, batch_size), y, weights
        if isinstance(x, keras.utils.PyDataset):
            return _CheckedBatches(x, self.batch), y, weights
        if isinstance(x, collections.abc.Iterator):
            return (self.batch(batch) for batch in x), y, weights
        if y is None and not hasattr(x, "shape") and not isinstance(x, list):
            return _checked_loader(x, self.batch), y, weights
        return (*self.batch((x, y, weights)), None, None)[:3]

    def batch(self, batch):
        """A batch with its labels checked, as a tuple."""
        images, y, *weights = reading.parts(batch)
        try:
            images = reading.gathered(images, self.shape)
            if self.views > 1 and images is not None:
                self._check_views(np.shape(images))
            count = np.shape(images)[0] if hasattr(images, "dtype") else None
            if count == 0:
                raise ValueError(
                    "There are no images to train or measure on. "
                    f"Received: images.shape={np.shape(images)}"
                )
            labels = self._checked(reading.label_of(y), y, count)
            if hasattr(images, "dtype"):
                values = "uint8" not in str(images.dtype)
                reading.check_images(images, self.shape, values, views=True)
            weights = [_checked_weights(w, count) for w in weights]
        except ValueError as error:
            self.error = error
            raise
        y = {**y, "label": labels} if isinstance(y, dict) else labels
        weights = [w for w in weights if w is not None]
        if self.class_weight is not None:
            _refuse_both(weights)
            weights = [self._weights(labels)]
        if y is None and weights:
            y = np.zeros(len(weights[0]), "int32")
        # `None` in a batch is more than TensorFlow and PyTorch can take.
        return (images,) if y is None else (images, y, *weights)

    def _check_views(self, shape):
        """Refuses images without the views that a loss compares: here, as a
        step that failed while it was traced is of no use afterwards."""
        found = shape[1] if len(shape) == len(self.shape) + 2 else 1
        if found is not None:
            reading.check_views(found, self.views)

    def _checked(self, labels, y=None, count=None):
        if self.num_classes is not None:
            labels = similarity.check_labels(
                labels, self.num_classes, count=count, soft=self.soft
            )
        index = y.get("index") if isinstance(y, dict) else None
        if self.bank_size is not None and index is not None:
            index = ops.convert_to_numpy(index)
            last = int(np.max(index, initial=-1))
            fits = count in (None, *np.shape(index)[:1])
            if not fits or np.min(index, initial=0) < 0:
                raise ValueError(
                    "`index` should be the position of each image among all "
                    "training images, from 0 on. Received: "
                    f"{np.shape(index)[0]} from {np.min(index, initial=0)} on, "
                    f"for {'some' if count is None else count} images"
                )
            if last >= self.bank_size:
                raise ValueError(
                    "`bank_size` should be the number of training images, "
                    f"{last + 1}. Received: bank_size={self.bank_size}"
                )
        return labels

    def _weights(self, labels):
        """The weight of each image; of several labels their mean."""
        labels = reading.flat(labels)
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
        dataset = reading.pairs(dataset, "x", labelled=looks)
        dataset = in_batches(dataset, self.shape, batch_size or 32)
        image = keras.tree.flatten(dataset.element_spec)[0]
        if self.views > 1:
            self._check_views(image.shape)
        sides = [1 if n is None else n for n in image.shape]
        reading.check_images(np.zeros(sides, "uint8"), self.shape, views=True)
        raw = image.dtype.name == "uint8"
        if not looks:
            return dataset if raw else dataset.map(self._look_at_images)
        import tensorflow as tf

        spec = dataset.element_spec
        if self.class_weight is not None:
            # `None` may stand for them.
            _refuse_both([w for w in spec[2:] if hasattr(w, "shape")])
        # What is known of the labels before any is read.
        label = reading.label_of(spec[1])
        shape, kind = label.shape, label.dtype
        if shape.rank is None:
            raise ValueError(
                "`x` should say how many axes its labels have, such as [None] "
                "or [None, num_classes] in the `output_signature` of a "
                f"generator. Received: element_spec={spec}"
            )
        sizes = [self.num_classes if n is None else n for n in shape]
        sizes[:1] = [1] * len(sizes[:1])
        self._checked(np.zeros(sizes, kind.as_numpy_dtype))

        def look(labels, index, images, weights):
            y = {"label": labels, "index": index if index.ndim else None}
            # Raw pixels need no look; there is nothing in their place.
            images = images if images.ndim else None
            given = [weights] if weights.ndim else []
            _, _, *found = self.batch((images, y, *given))
            own = self.class_weight is not None
            return found[0] if own else np.ones(0, "float32")

        def look_at(images, y, *weights):
            labels, none = reading.label_of(y), tf.zeros(())
            index = y.get("index", none) if isinstance(y, dict) else none
            plain = weights and tf.is_tensor(weights[0])
            seen = [labels, index, none if raw else images]
            seen.append(weights[0] if plain else none)
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

    def _look_at_images(self, images, *rest):
        """An element of a dataset, once its images are seen to be fine."""
        import tensorflow as tf

        def look(images):
            self.batch(images)
            return np.zeros((), "int32")

        seen = keras.tree.flatten(images)[:1]
        with tf.control_dependencies([tf.numpy_function(look, seen, tf.int32)]):
            images = keras.tree.map_structure(tf.identity, images)
        return (images, *rest) if rest else images


def _checked_weights(weights, count):
    """Weights of images as they are given; they are finite."""
    if weights is None or keras.tree.is_nested(weights):
        return weights
    found = np.asarray(ops.convert_to_numpy(weights))
    numbers = found.dtype.kind in "biuf"
    one_each = found.ndim == 1 or found.shape[1:] == (1,)
    if not (numbers and one_each) or count not in (None, len(found)):
        raise ValueError(
            f"`sample_weight` should be numbers [{count or 'n'}], one an "
            f"image. Received: shape={found.shape}, dtype={found.dtype}"
        )
    if not np.isfinite(found).all():
        raise ValueError(
            "`sample_weight` should be finite. Received: NaN or inf"
        )
    return weights


def _check_class_weight(weights, num_classes):
    """Refuses what is no dict from class numbers to numbers."""
    known = range(num_classes) if num_classes else None
    fine = isinstance(weights, dict) and all(
        isinstance(c, (int, np.integer))
        and (known is None or c in known)
        and isinstance(w, numbers.Real)
        and 0 <= w < np.inf
        for c, w in weights.items()
    )
    if not fine:
        raise ValueError(
            "`class_weight` should be a dict from class numbers, below "
            f"{num_classes or 'their number'}, to numbers of at least 0. "
            f"Received: class_weight={weights!r}"
        )


def _refuse_both(weights):
    if len(weights):
        raise ValueError(
            "`class_weight` and weights of images cannot go together. "
            "Received: both"
        )


def _checked_loader(loader, function):
    """A loader of another library whose batches go through a function."""
    modules = [kind.__module__ for kind in type(loader).mro()]
    # Datasets of others have a `map` too, which Keras does not know.
    of_grain = any(module.startswith("grain.") for module in modules)
    if of_grain and hasattr(loader, "map"):
        return loader.map(function)
    if not any(module.startswith("torch.utils.data") for module in modules):
        raise ValueError(
            "`x` should be arrays, a `tf.data.Dataset`, a `PyDataset`, a "
            "generator, PyTorch's `DataLoader`, or Grain's `MapDataset` or "
            f"`IterDataset`. Received: x of type {type(loader).__module__}."
            f"{type(loader).__name__}"
        )
    import torch

    class Checked(type(loader)):
        def __iter__(self):
            for batch in super().__iter__():
                yield keras.tree.map_structure(torch.as_tensor, function(batch))

    checked = copy.copy(loader)
    checked.__class__ = Checked
    return checked


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
