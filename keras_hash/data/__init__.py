"""Benchmarks with fixed protocols, and `tf.data` inputs for training."""

from keras_hash.data import cifar10
from keras_hash.data import corel5k
from keras_hash.data import digits
from keras_hash.data import multidigits
from keras_hash.data.augment import Augment
from keras_hash.data.benchmark import Benchmark
from keras_hash.data.pipeline import batches
from keras_hash.data.samplers import ClassSampler
from keras_hash.data.samplers import ListSampler
from keras_hash.data.samplers import SampledBatches

_LOADERS = {
    "cifar10": cifar10.load,
    "corel5k": corel5k.load,
    "digits": digits.load,
    "multidigits": multidigits.load,
}

__all__ = [
    "Augment",
    "Benchmark",
    "ClassSampler",
    "ListSampler",
    "SampledBatches",
    "batches",
    "load",
]


def load(name, protocol="official", validation=0.0, seed=0):
    """Loads a benchmark with its fixed query, database and training sets.

    Args:
        name: `"cifar10"` (through TensorFlow Datasets), `"digits"`
            (scikit-learn's 1,797 real digits, needs no data), or, with several
            labels an image, `"corel5k"` (photos, from a folder) or
            `"multidigits"` (scenes of one to four digits, needs no data).
        protocol: str, which split: `"official"` for all; see
            `cifar10.PROTOCOLS` for others.
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
