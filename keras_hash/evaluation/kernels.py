"""Counting pairs of codes by distance and shared labels, on packed words.

Three kernels with one contract and the same integers: loops compiled by Numba,
the fastest on CPU; plain NumPy, which needs nothing else; and a `tf.function`.
They turn a `Block` into `int64 [n, levels * (bits + 1)]`, shared labels major.
"""

import dataclasses
import importlib.util

import numpy as np

from keras_hash import codes
from keras_hash import forks
from keras_hash import loops

# Pairs that NumPy and TensorFlow handle at once: their distances stay in the
# cache. A pair takes at most 32 bytes, so a chunk takes 32 MiB.
_CHUNK = 1 << 20
# Below this many pairs, importing Numba takes longer than counting them.
_FEW_PAIRS = 1 << 24


@dataclasses.dataclass(frozen=True)
class Block:
    """Queries, and items to count against them."""

    # Code words, unsigned `[words, n]` and `[words, m]`.
    a: np.ndarray
    b: np.ndarray
    # Bit sets of labels, or class numbers, `[label_words, n]` and `[.., m]`.
    a_labels: np.ndarray
    b_labels: np.ndarray
    # How often each item counts, int64 `[m]`.
    weights: np.ndarray
    # Whether labels are bit sets.
    multi_hot: bool
    # The largest number of shared labels, plus one.
    levels: int
    bits: int
    similarity: str

    @property
    def shape(self):
        """Rows and columns of the table."""
        return self.a.shape[1], self.levels * (self.bits + 1)


def choose(name, pairs):
    """The kernel of that name; for `"auto"` the fastest on CPU for so many
    pairs: NumPy's where Numba does not work, or is not worth its import."""
    if name != "auto":
        return KERNELS[name]
    works = loops.find("counting", pairs, _FEW_PAIRS)
    return numba_kernel if works else numpy_kernel


def check(name):
    """Refuses a kernel that is unknown or does not work here."""
    codes.check_choice(name, "kernel", ("auto", *KERNELS))
    missing = {
        "numba": lambda: loops.load("counting") is None,
        "tensorflow": lambda: importlib.util.find_spec("tensorflow") is None,
    }
    if missing.get(name, bool)():
        raise ValueError(
            f"`kernel={name!r}` needs what is not installed, or is switched "
            f"off, here. Received: kernel={name!r}; 'auto' counts everywhere"
        )


def numba_kernel(block, chunk=1 << 12):
    """Compiled loops: no array of pairs is made, `chunk` items are keyed."""
    counts = np.zeros(block.shape, "int64")
    sides = block.a, block.b, block.a_labels, block.b_labels
    # The keys of four queries, with the weights, stay in the second level of
    # the cache.
    small = "uint16" if counts.shape[1] < 1 << 16 else "int32"
    loops.load("counting").count(
        tuple(map(np.ascontiguousarray, sides)),
        np.ascontiguousarray(block.weights),
        (bool(block.multi_hot), block.bits, block.similarity == "and"),
        np.empty((4, chunk), small),
        counts,
    )
    return counts


def numpy_kernel(block, chunk=_CHUNK):
    """Plain NumPy, at most `chunk` pairs at a time."""
    count, width = block.shape
    weights, bits = block.weights, block.bits
    a, a_labels = block.a[:, :, None], block.a_labels[:, :, None]
    total = np.zeros(count * width, "int64")
    # Items that stand for themselves alone need no weights, which cost most.
    once, more = np.flatnonzero(weights == 1), np.flatnonzero(weights != 1)
    for part in [*_parts(count, once, chunk), *_parts(count, more, chunk)]:
        keys = np.arange(0, count * width, width)[:, None]
        b, b_labels = block.b[:, None, part], block.b_labels[:, None, part]
        keys = keys + codes.levels_of_words(a, b, bits, block.similarity)
        if block.multi_hot:
            shared = codes.ones_of_words(a_labels, b_labels, "and")
        else:
            shared = a_labels[0] == b_labels[0]
        keys += np.multiply(shared, bits + 1, dtype="int64")
        repeats = None
        if weights[part[0]] != 1:
            # In float64: exact up to 2**53 items.
            repeats = np.broadcast_to(weights[part], keys.shape).ravel()
        found = np.bincount(keys.ravel(), repeats, count * width)
        total += found.astype("int64")
    return total.reshape(count, width)


def tensorflow_kernel(block, chunk=_CHUNK):
    """A `tf.function` on all cores, at most `chunk` pairs at a time."""
    forks.check()
    from keras_hash.evaluation import graph

    # TensorFlow counts the ones of signed words only.
    a, b, a_labels, b_labels = (
        np.ascontiguousarray(x).view(f"int{8 * x.itemsize}")
        for x in (block.a, block.b, block.a_labels, block.b_labels)
    )
    total = np.zeros(block.shape, "int64")
    for part in _parts(len(total), np.arange(len(block.weights)), chunk):
        total += graph.count_words(
            tuple(a),
            tuple(b[:, part]),
            tuple(a_labels),
            tuple(b_labels[:, part]),
            block.weights[part],
            # Tensors: other numbers need no other graph.
            np.array(block.levels),
            np.array(block.bits),
            bool(block.multi_hot),
            block.similarity,
        ).numpy()
    return total


KERNELS = {
    "numba": numba_kernel,
    "numpy": numpy_kernel,
    "tensorflow": tensorflow_kernel,
}


def _parts(rows, columns, chunk):
    """Some columns at a time: at most `chunk` pairs with so many rows."""
    step = max(1, chunk // rows)
    starts = range(0, len(columns), step)
    return [columns[start : start + step] for start in starts]
