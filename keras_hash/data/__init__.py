"""Benchmarks with fixed protocols, and `tf.data` inputs for training."""

# The guides ask `keras_hash.data.cifar10.is_prepared()`.
from keras_hash.data import cifar10 as cifar10
from keras_hash.data import draws
from keras_hash.data import protocols
from keras_hash.data.augment import Augment
from keras_hash.data.benchmark import Benchmark
from keras_hash.data.feed import batches
from keras_hash.data.feed import feature_views
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
    "feature_views",
    "from_arrays",
    "from_csv",
    "from_dataset",
    "from_folder",
    "load",
    "names",
]


def names():
    """The data sets that `load` knows.

    Returns:
        A sorted list of str. A file of this folder that holds `PROTOCOLS`, and
        `load` to make a `Benchmark` of one of them, is a data set.
    """
    return list(protocols.sets())


def load(name, protocol="official", validation=0.0, seed=0):
    """Loads a benchmark with its fixed query, database and training sets.

    Args:
        name: `"cifar10"` (through TensorFlow Datasets), `"digits"`
            (scikit-learn's 1,797 real digits, 32x32, needs no data), or, with
            several labels an image, `"corel5k"` and `"mirflickr20k"` (photos,
            from a folder) or
            `"multidigits"` (scenes of one to four digits, 32x32, needs no
            data); or one that TensorFlow Datasets has prepared, whose images
            stay on disk, of their own sizes: `"coco"`, `"imagenet100"`,
            `"mirflickr25k"`, `"nus_wide"`, `"voc2007"`, `"voc2012"`, and
            `"cifar100"`, which is kept in memory at 32x32. `names()` lists
            them all.
        protocol: str, which split: docs/protocols.md lists them, and
            `keras-hash info cifar10:dshc` shows one.
        validation: float in [0, 1), share of the training set, stratified by
            label, that is cut off as `.validation`. The queries are never used
            for it.
        seed: int from 0 to 2**32 - 1, seed of that cut.

    Returns:
        A `Benchmark`.

    Raises:
        ValueError: unknown name or protocol, or `validation` or `seed` out of
            range.
        FileNotFoundError: the images are neither here nor downloadable; the
            message says where to put them.
    """
    plan = protocols.find(name, protocol)
    draws.check_share(validation, "validation")
    draws.check_seed(seed)
    benchmark = protocols.sets()[name].load(plan)
    return benchmark.hold_out(validation, seed) if validation else benchmark
