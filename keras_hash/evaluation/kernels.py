"""Counting pairs of codes by distance and shared labels, on packed words.

Three kernels with one contract and the same integers: loops compiled by Numba,
the fastest on CPU; plain NumPy, which needs nothing else; and one
`tf.function`.
"""

import functools
import importlib.util
import sys
import warnings

import numpy as np

# Pairs that NumPy and TensorFlow handle at once: their distances stay in the
# cache. A pair takes at most 32 bytes, so a chunk takes 32 MiB.
_CHUNK = 1 << 20
# Below this many pairs, importing Numba takes longer than counting them.
_FEW_PAIRS = 1 << 24


def choose(pairs):
    """The fastest kernel on CPU.

    Args:
        pairs: int, how many pairs there are to count.

    Returns:
        `numba_kernel`; or `numpy_kernel` where Numba does not work, or for few
        pairs while the loops are not imported.
    """
    ready = "keras_hash.evaluation.compiled" in sys.modules
    wanted = ready or pairs >= _FEW_PAIRS
    return numba_kernel if wanted and _loops() else numpy_kernel


@functools.cache
def _loops():
    """The module of compiled loops, or `None` where Numba does not work."""
    if importlib.util.find_spec("numba") is None:
        return None
    try:
        import numba

        from keras_hash.evaluation import compiled
    except Exception as error:
        warnings.warn(
            "Codes are counted by NumPy, at a tenth of the speed: Numba is "
            "installed but cannot be imported. It said: "
            f"{type(error).__name__}: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    # A switch of Numba for debugging, under which it cannot count ones.
    return None if numba.config.DISABLE_JIT else compiled


def numba_kernel(
    a, b, a_labels, b_labels, weights, multi_hot, levels, bits, similarity
):
    """`numpy_kernel` as compiled loops: no array of pairs is made.

    Args:
        a: code words, unsigned `[words, n]`.
        b: code words, unsigned `[words, m]`.
        a_labels: `[label_words, n]`: bit sets of labels, or class numbers.
        b_labels: `[label_words, m]`.
        weights: `int64 [m]`, multiplicity of each item.
        multi_hot: bool, whether labels are bit sets.
        levels: int, largest number of shared labels, plus one.
        bits: int, code length.
        similarity: `"hamming"` or `"and"`.

    Returns:
        `int64 [n, levels * (bits + 1)]`, shared labels major.
    """
    compiled = _loops()
    counts = np.zeros((a.shape[1], levels * (bits + 1)), "int64")
    compiled.count(
        *map(np.ascontiguousarray, (a, b, a_labels, b_labels, weights)),
        bool(multi_hot),
        bits,
        similarity == "and",
        compiled.scratch(counts.shape[1]),
        counts,
    )
    return counts


def numpy_kernel(
    a, b, a_labels, b_labels, weights, multi_hot, levels, bits, similarity
):
    """Counts the pairs of two sets of codes by shared labels and distance.

    Args:
        a: code words, unsigned `[words, n]`.
        b: code words, unsigned `[words, m]`.
        a_labels: `[label_words, n]`: bit sets of labels, or class numbers.
        b_labels: `[label_words, m]`.
        weights: `int64 [m]`, multiplicity of each item.
        multi_hot: bool, whether labels are bit sets.
        levels: int, largest number of shared labels, plus one.
        bits: int, code length.
        similarity: `"hamming"` or `"and"`.

    Returns:
        `int64 [n, levels * (bits + 1)]`, shared labels major.
    """
    count, width = a.shape[1], levels * (bits + 1)
    total = np.zeros(count * width, "int64")
    # Items that stand for themselves alone need no weights, which cost most.
    once, more = np.flatnonzero(weights == 1), np.flatnonzero(weights != 1)
    for chunk in [*_chunks(count, once), *_chunks(count, more)]:
        keys = np.arange(0, count * width, width)[:, None] + levels_of_pairs(
            a[:, :, None], b[:, None, chunk], bits, similarity
        )
        if multi_hot:
            shared = _ones(a_labels[:, :, None], b_labels[:, None, chunk])
        else:
            shared = a_labels[0][:, None] == b_labels[0][chunk]
        keys += np.multiply(shared, bits + 1, dtype="int64")
        repeats = None
        if weights[chunk[0]] != 1:
            # In float64: exact up to 2**53 items.
            repeats = np.broadcast_to(weights[chunk], keys.shape).ravel()
        found = np.bincount(keys.ravel(), repeats, count * width)
        total += found.astype("int64")
    return total.reshape(count, width)


def _chunks(rows, columns):
    """Some columns at a time: at most `_CHUNK` pairs with so many rows."""
    step = max(1, _CHUNK // rows)
    starts = range(0, len(columns), step)
    return [columns[start : start + step] for start in starts]


def _ones(a, b, combine=np.bitwise_and):
    """Ones of `combine(a, b)`, summed over the words of the first axis."""
    total = np.bitwise_count(combine(a[0], b[0]))
    if len(a) * a.itemsize * 8 > 255:
        total = total.astype("uint16")
    for left, right in zip(a[1:], b[1:]):
        total += np.bitwise_count(combine(left, right))
    return total


def levels_of_pairs(a, b, bits, similarity):
    """The level of pairs of codes: near ones have a low one.

    Args:
        a: code words with the words on the first axis; broadcasts against `b`.
        b: code words with the words on the first axis.
        bits: int, code length.
        similarity: `"hamming"`: the distance; `"and"`: `bits` less the ones in
            common.

    Returns:
        uint8, or uint16 for more than 255 bits, without the first axis.
    """
    if similarity == "hamming":
        return _ones(a, b, np.bitwise_xor)
    common = _ones(a, b)
    return common.dtype.type(bits) - common


def tensorflow_kernel(
    a, b, a_labels, b_labels, weights, multi_hot, levels, bits, similarity
):
    """`numpy_kernel` as one `tf.function`, on all cores.

    Args:
        a: code words, unsigned `[words, n]`.
        b: code words, unsigned `[words, m]`.
        a_labels: `[label_words, n]`: bit sets of labels, or class numbers.
        b_labels: `[label_words, m]`.
        weights: `int64 [m]`, multiplicity of each item.
        multi_hot: bool, whether labels are bit sets.
        levels: int, largest number of shared labels, plus one.
        bits: int, code length.
        similarity: `"hamming"` or `"and"`.

    Returns:
        `int64 [n, levels * (bits + 1)]`, shared labels major.
    """
    import tensorflow as tf

    # TensorFlow counts the ones of signed words only.
    a, b, a_labels, b_labels = (
        np.ascontiguousarray(x).view(f"int{8 * x.itemsize}")
        for x in (a, b, a_labels, b_labels)
    )
    total = np.zeros((a.shape[1], levels * (bits + 1)), "int64")
    for chunk in _chunks(a.shape[1], np.arange(len(weights))):
        total += _graph()(
            a,
            b[:, chunk],
            a_labels,
            b_labels[:, chunk],
            weights[chunk],
            tf.constant(levels),
            tf.constant(bits),
            # Python numbers: the graph holds one step for each word.
            (len(a), len(a_labels)),
            multi_hot,
            similarity == "and",
        ).numpy()
    return total


@functools.cache
def _graph():
    import tensorflow as tf

    def ones(x, y, words, combine):
        """Ones of `combine(x, y)` for all pairs, int32 `[n, m]`."""
        total = 0
        for word in range(words):
            both = combine(x[word, :, None], y[word])
            total += tf.cast(tf.raw_ops.PopulationCount(x=both), tf.int32)
        return total

    @tf.function(reduce_retracing=True)
    def count(
        a,
        b,
        a_labels,
        b_labels,
        weights,
        levels,
        bits,
        words,
        multi_hot,
        by_and,
    ):
        code_words, label_words = words
        if by_and:
            keys = bits - ones(a, b, code_words, tf.bitwise.bitwise_and)
        else:
            keys = ones(a, b, code_words, tf.bitwise.bitwise_xor)
        if multi_hot:
            shared = ones(
                a_labels, b_labels, label_words, tf.bitwise.bitwise_and
            )
            keys += shared * (bits + 1)
        else:
            # The two may differ in width.
            own, others = (
                tf.cast(a_labels, tf.int64),
                tf.cast(b_labels, tf.int64),
            )
            same = own[0][:, None] == others[0]
            keys += tf.where(same, bits + 1, 0)
        width = levels * (bits + 1)
        return tf.math.bincount(
            keys,
            tf.broadcast_to(weights, tf.shape(keys)),
            minlength=width,
            maxlength=width,
            axis=-1,
            dtype=tf.int64,
        )

    return count
