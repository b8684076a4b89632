"""Benchmarks with fixed protocols, and `tf.data` inputs for training."""

import functools

from keras_hash.data import cifar10
from keras_hash.data import corel5k
from keras_hash.data import digits
from keras_hash.data import multidigits
from keras_hash.data import tfds_sets
from keras_hash.data.augment import Augment
from keras_hash.data.benchmark import Benchmark
from keras_hash.data.feed import batches
from keras_hash.data.images import ImageFiles
from keras_hash.data.own import from_arrays
from keras_hash.data.own import from_csv
from keras_hash.data.own import from_dataset
from keras_hash.data.own import from_folder
from keras_hash.data.protocols import disjoint_classes
from keras_hash.data.samplers import ClassSampler
from keras_hash.data.samplers import EpochSampler
from keras_hash.data.samplers import ListSampler
from keras_hash.data.samplers import SampledBatches

_LOADERS = {
    "cifar10": cifar10.load,
    "corel5k": corel5k.load,
    "digits": digits.load,
    "multidigits": multidigits.load,
    **{
        name: functools.partial(tfds_sets.load, name)
        for name in tfds_sets.SOURCES
    },
}

__all__ = [
    "Augment",
    "Benchmark",
    "ClassSampler",
    "EpochSampler",
    "ImageFiles",
    "ListSampler",
    "SampledBatches",
    "batches",
    "disjoint_classes",
    "from_arrays",
    "from_csv",
    "from_dataset",
    "from_folder",
    "load",
]


def load(name, protocol="official", validation=0.0, seed=0):
    """Loads a benchmark with its fixed query, database and training sets.

    Args:
        name: `"cifar10"` (through TensorFlow Datasets), `"digits"`
            (scikit-learn's 1,797 real digits, needs no data), or, with several
            labels an image, `"corel5k"` (photos, from a folder) or
            `"multidigits"` (scenes of one to four digits, needs no data); or
            one that TensorFlow Datasets has prepared, whose images stay on
            disk: `"cifar100"`, `"coco"`, `"imagenet100"`, `"mirflickr25k"`,
            `"nus_wide"`, `"voc2007"`, `"voc2012"`.
        protocol: str, which split: `protocols.PROTOCOLS` lists them, and
            `keras-hash info cifar10:dshc` shows one.
        validation: float in [0, 1), share of the training set, stratified by
            class, that is cut off as `.validation`. The queries are never used
            for it.
        seed: int, seed of that cut.

    Returns:
        A `Benchmark`.

    Raises:
        ValueError: unknown name or protocol, or `validation` out of range.
        FileNotFoundError: the images are neither here nor downloadable; the
            message says where to put them.
    """
    if name not in _LOADERS:
        raise ValueError(
            f"`name` should be one of {sorted(_LOADERS)}. "
            f"Received: name={name!r}"
        )
    if not 0 <= validation < 1:
        raise ValueError(
            "`validation` should be a share in [0, 1). "
            f"Received: validation={validation}"
        )
    benchmark = _LOADERS[name](protocol)
    return benchmark.hold_out(validation, seed) if validation else benchmark
