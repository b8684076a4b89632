"""Images and labels of all that can be fed, read batch by batch."""

import collections.abc
import contextlib
import functools
import itertools
import os

import keras
import numpy as np
from keras import ops

from keras_hash import files
from keras_hash import similarity
from keras_hash.data import images as pixels

# Photos of a camera that are held as they are: 36 MB each.
_WHOLE = 16


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

    if not is_dataset(dataset):
        raise ValueError(
            f"`{name}` should be a tf.data.Dataset of (image, label); "
            "`tf.data.Dataset.from_tensor_slices((images, labels))` makes one "
            f"of arrays. Received: {type(dataset).__name__}"
        )
    spec = dataset.element_spec
    if isinstance(spec, dict) and ("image" in spec or not labelled):
        of_dict(spec)
        dataset = dataset.map(of_dict)
        spec = dataset.element_spec
    found = spec[1] if isinstance(spec, tuple) and len(spec) > 1 else None
    if labelled and not isinstance(label_of(found), tf.TensorSpec):
        raise ValueError(
            f"`{name}` should yield (image, label), or dicts with 'image' and "
            "'label'; labels are arrays, or dicts with 'label'. "
            f"Received: element_spec={spec}"
        )
    return dataset


def of_dict(element):
    """The image and the label of a dict of TFDS, as a tuple."""
    if "image" not in element:
        raise ValueError(
            "Dicts should have 'image', and 'label' where labels are needed. "
            f"Received: {sorted(map(str, element))}"
        )
    return tuple(element[k] for k in ("image", "label") if k in element)


def check_images(images, shape, values=True, views=False):
    """Images as an array with a batch axis, of the kind that a model takes.

    `values` says whether all of them are looked at, `views` whether there may
    be several views of each, `[n, views, ...]`.
    """
    if isinstance(images, (str, bytes, os.PathLike)):
        raise ValueError(
            "`images` should be arrays or a list of paths; one file is a list "
            f"too, `[path]`. Received: {type(images).__name__} {images!r:.80}"
        )
    if np.ma.is_masked(images):
        raise ValueError(
            "`images` should be whole. Received: an array of which some is "
            "masked"
        )
    images = images if hasattr(images, "dtype") else np.asarray(images)
    images = ops.convert_to_numpy(images)
    if views and images.ndim == len(shape) + 2:
        flat = images.reshape(-1, *images.shape[2:])
        return check_images(flat, shape, values).reshape(images.shape)
    if images.ndim == len(shape):
        images = images[None]
    if len(shape) == 1:
        if images.ndim != 2 or images.shape[1] != shape[0]:
            raise ValueError(
                f"This model takes features [n, {shape[0]}]. "
                f"Received: shape={images.shape}"
            )
    elif images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape[1:]:
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


def check_views(found, views):
    """Refuses another number of views than a method compares."""
    if found != views:
        raise ValueError(
            f"This method compares {views} views of each image: pass "
            f"`keras_hash.data.batches(dataset, size, views={views})`, or "
            f"arrays [n, {views}, ...]. Received: {found} "
            + ("view" if found == 1 else "views")
        )


@contextlib.contextmanager
def errors_of_files():
    """Raises the error of a file that a dataset of TensorFlow reads."""
    try:
        yield
    except Exception as error:
        said = files.said_in_dataset(error)
        if said is None:
            raise
        raise ValueError(said) from None


def read(images, labels, size, shape):
    """Batches of images, float32 `[n, *shape]`, and of their labels, or `None`;
    and the number of batches where it is known.

    Of all that can be fed: arrays, lists of images of several sizes, paths of
    files, `tf.data` in batches or not, `PyDataset`, generators and loaders of
    batches.
    `shape` is that of an image, as a model takes it.
    """
    finite(images, "images")
    checked = False
    hosted = isinstance(images, keras.utils.PyDataset)
    # Generators, and loaders of batches such as those of PyTorch and Grain.
    looped = hasattr(images, "__iter__") and (
        not hasattr(images, "__getitem__") or hasattr(images, "to_iter_dataset")
    )
    if hosted or looped or is_dataset(images):
        if labels is not None:
            raise ValueError(
                "A dataset yields its labels itself. Received: a dataset and "
                "labels"
            )
        if is_dataset(images):
            dataset = pairs(images, "images", labelled=False)
            return stream(dataset, "images", size, len(shape), shape)
        batches, steps = images, None
        if hosted:
            # Before Keras 3.11 a loop over one does not end.
            steps = images.num_batches
            batches = map(images.__getitem__, range(steps))
        elif hasattr(images, "__len__"):
            with contextlib.suppress(TypeError):
                # PyTorch's of data whose number nobody knows.
                steps = len(images)
        found = map(_pair, batches)
    else:
        if labels is not None:
            labels = similarity.check_labels(labels, count=len(images))
        images = _listed(images)
        several = isinstance(images, (list, tuple)) and len(images)
        of_files = isinstance(images, pixels.ImageFiles)
        if several and _are_paths(images):
            images, of_files = pixels.ImageFiles(images), True
        elif not of_files and (not several or len(_shapes(images)) < 2):
            # Checked as a whole: some of them alone may be nearly black.
            images, checked = check_images(images, shape), True
        starts = range(0, len(images), size)
        parts, steps = [slice(i, i + size) for i in starts], len(starts)

        def some(part):
            if not of_files:
                return images[part]
            # Fitted one by one: photos of cameras take 36 MB each.
            return images.iterate(range(len(images))[part])

        found = (
            (some(part), None if labels is None else labels[part])
            for part in parts
        )
    fit = functools.partial(fitted, shape=shape, checked=checked)
    return ((fit(x), y) for x, y in found), steps


def stream(dataset, name, size, rank, shape=None):
    """Batches of images as a dataset has them, a list of those of several
    sizes, with their labels, or `None`; and their number where it is known.

    With `shape` they are fitted, one by one where their sizes differ.
    """
    steps = int(dataset.cardinality())
    spec = keras.tree.flatten(dataset.element_spec)[0]
    if is_batched(dataset, name, rank):
        pass
    elif None in spec.shape[: rank - 1]:
        singles = map(_pair, dataset.as_numpy_iterator())
        if shape is not None:
            singles = ((_fitted_one(x, shape), y) for x, y in singles)
        else:
            size = min(size, _WHOLE)
        found = _batches_of(singles, size)
        if shape is not None:
            found = ((np.stack(x), y) for x, y in found)
        return found, -(-steps // size) if steps >= 0 else None
    else:
        dataset = dataset.batch(size)
        steps = int(dataset.cardinality())
    found = map(_pair, dataset.prefetch(2).as_numpy_iterator())
    if shape is not None:
        found = ((fitted(x, shape), y) for x, y in found)
    return found, steps if steps >= 0 else None


def is_batched(dataset, name, rank):
    """Whether a dataset of images, or of tuples with them, yields batches."""
    spec = keras.tree.flatten(dataset.element_spec)[0]
    found = getattr(getattr(spec, "shape", None), "rank", None)
    if found not in (rank, rank + 1):
        raise ValueError(
            f"`{name}` should be a dataset of images, of rank {rank}, or of "
            f"batches of them, alone or first in a tuple. Received: {spec}"
        )
    return found == rank + 1


def _batches_of(pairs, size):
    """Lists of images, and arrays of labels, of pairs of single ones."""
    while some := list(itertools.islice(pairs, size)):
        images, labels = zip(*some)
        yield images, None if labels[0] is None else np.stack(labels)


def fitted(images, shape, checked=False):
    """A batch as a model takes it, of an array or images of several sizes."""
    if isinstance(images, (list, tuple, collections.abc.Iterator)):
        return np.stack([_fitted_one(image, shape) for image in images])
    images = images if checked else check_images(images, shape)
    images = images.astype("float32")
    if len(shape) == 3:
        images = ops.convert_to_numpy(pixels.resize(images, shape[:2]))
    return images


def _fitted_one(image, shape):
    """A single image as a model takes it."""
    if np.ndim(image) != len(shape):
        raise ValueError(
            "A list of images should hold single ones, "
            f"{'[height, width, 3]' if len(shape) == 3 else '[d]'}. "
            f"Received: one of shape {np.shape(image)}"
        )
    image = check_images(image, shape)[0]
    if len(shape) == 1:
        return image.astype("float32")
    return pixels.fitted(image, shape[:2])


def parts(batch):
    """Images, labels or `None`, and what else is in a batch as data yield it,
    alone, in a tuple, a list, or a dict of TFDS."""
    batch = of_dict(batch) if isinstance(batch, dict) else batch
    batch = batch if isinstance(batch, (tuple, list)) else (batch,)
    return batch if len(batch) > 1 else (*batch, None)


def _pair(batch):
    """Images and labels, or `None`, of a batch as data yield it."""
    images, y, *_ = batch = parts(batch)
    if len(batch) > 3 or np.ndim(label_of(y)) > 2:
        raise ValueError(
            "A batch should be images, or a tuple of images and labels; "
            "`np.stack` makes an array of a list of images. Received: "
            f"{len(batch)} things of shapes {[*map(np.shape, batch[:3])]}"
        )
    return images, label_of(y)


def gathered(images, shape):
    """A list of images, or of paths of files, as one array, of the size that a
    model takes where theirs differ."""
    if isinstance(images, pixels.ImageFiles):
        images = images.paths
    images = _listed(images)
    if not isinstance(images, (list, tuple)) or not len(images):
        return images
    if _are_paths(images):
        found = pixels.ImageFiles(images).iterate(range(len(images)))
        size = shape[:2]
        # Photos are large: all of them would not fit into memory as they are.
        images = [
            one if one.shape[:2] == size else pixels.fitted(one, size)
            for one in found
        ]
        return np.stack(images)
    if len(_shapes(images)) < 2:
        return np.asarray(images)
    return fitted(list(images), shape)


def _listed(images):
    """Paths, or images of several sizes, in an array or a column as a list;
    tensors in a list as arrays."""
    if isinstance(images, (list, tuple)):
        return [
            ops.convert_to_numpy(one) if ops.is_tensor(one) else one
            for one in images
        ]
    kind = getattr(getattr(images, "dtype", None), "kind", "")
    texts = kind and kind in "UTO" and getattr(images, "ndim", 0) == 1
    return list(images) if texts else images


def _are_paths(images):
    """Whether a list is one of paths of files; it holds nothing else then."""
    paths = [isinstance(image, (str, os.PathLike)) for image in images]
    if any(paths) and not all(paths):
        other = images[paths.index(False)]
        raise ValueError(
            "A list should hold images or paths of files, not both. "
            f"Received: {type(other).__name__} among paths"
        )
    return any(paths)


def _shapes(images):
    """The different shapes of the images in a list."""
    try:
        return {np.shape(image) for image in images}
    except ValueError as error:
        raise ValueError(
            "A list of images should hold arrays. Received: "
            f"{type(images[0]).__name__} in it ({error})"
        ) from error


def label_of(labels):
    """Labels without the index that a batch may have beside them."""
    return labels.get("label") if isinstance(labels, dict) else labels


def flat(labels):
    """Labels of a batch without an axis of one."""
    labels = np.asarray(label_of(labels))
    column = labels.ndim == 2 and labels.shape[1] == 1
    return labels[:, 0] if column else labels
