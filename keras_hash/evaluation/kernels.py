"""Counting pairs of codes by distance and shared labels, on packed words.

Two kernels with one contract and the same integers: NumPy, which needs nothing
else and is the faster one on CPU, and one `tf.function`.
"""

import functools

import numpy as np

# Up to this many values, counting them in pairs is cheaper.
_PAIR_SIZE = 80
# Below this many items, the queries are counted in one histogram.
_FEW = 1 << 10


def numpy_kernel(
    a, b, a_labels, b_labels, weights, multi_hot, levels, bits, similarity
):
    """Counts the pairs of two sets of codes by shared labels and distance.

    Args:
        a: code words, integers `[n, words]`.
        b: code words, integers `[m, words]`.
        a_labels: `[n, label_words]`: bit sets of labels, or class numbers.
        b_labels: `[m, label_words]`; class numbers in rising order.
        weights: `int64 [m]`, multiplicity of each item, or `None` for ones.
        multi_hot: bool, whether labels are bit sets.
        levels: int, largest number of shared labels, plus one.
        bits: int, code length.
        similarity: `"hamming"` or `"and"`.

    Returns:
        `int64 [n, levels * (bits + 1)]`, shared labels major.
    """
    if weights is not None or len(b) < _FEW:
        return _count_together(
            a,
            b,
            a_labels,
            b_labels,
            weights,
            multi_hot,
            levels,
            bits,
            similarity,
        )
    distances = bits + 1
    counts = np.empty((len(a), levels * distances), "int64")
    found = levels_of_pairs(a.T[:, :, None], b.T[:, None, :], bits, similarity)
    if multi_hot:
        width = levels * distances
        shared = _ones(a_labels.T[:, :, None], b_labels.T[:, None, :])
        narrow = "uint16" if width < 1 << 16 else "int32"
        keys = np.multiply(shared, distances, dtype=narrow)
        keys += found
        for row, values in enumerate(keys):
            counts[row] = _count_values(values.astype("int32"), width)
        return counts
    # Items of one class stand together, so those that share the class of the
    # query are a slice.
    first = np.searchsorted(b_labels[:, 0], a_labels[:, 0], "left")
    last = np.searchsorted(b_labels[:, 0], a_labels[:, 0], "right")
    for row, total in enumerate(_count_rows(found, distances)):
        own = found[row, first[row] : last[row]].astype("int32")
        own = _count_values(own, distances)
        counts[row, :distances] = total - own
        counts[row, distances:] = own
    return counts


def _count_rows(found, size):
    """Counts of the values below `size` in each row of `found`, one by one."""
    if found.dtype != "uint8" or size > _PAIR_SIZE:
        for row in found.astype("int32"):
            yield _count_values(row, size)
        return
    # Two neighbours at a time, as one 16-bit number: half the work.
    even = found.shape[1] // 2 * 2
    pairs = np.ascontiguousarray(found[:, :even]).view("uint16").astype("int32")
    for row, last in zip(pairs, found[:, even:]):
        cells = _count_values(row, 256 * size).reshape(size, 256)[:, :size]
        counts = cells.sum(axis=0) + cells.sum(axis=1)
        counts[last] += 1
        yield counts


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


def _count_values(keys, size):
    """`np.bincount(keys, minlength=size)` of int32 keys below `size`."""
    try:
        import faiss
    except ImportError:
        return np.bincount(keys, None, size)
    # Three times as fast: it neither widens the keys nor looks for their range.
    counts = np.zeros(size, "int32")
    pointers = (faiss.swig_ptr(keys), faiss.swig_ptr(counts))
    faiss.ivec_hist(len(keys), pointers[0], size, pointers[1])
    return counts


def _count_together(
    a, b, a_labels, b_labels, weights, multi_hot, levels, bits, similarity
):
    """`numpy_kernel` for few items: all queries in one histogram."""
    width = levels * (bits + 1)
    planes, base = 1, np.zeros(len(b), "int32")
    if weights is not None:
        # An item counts once for every binary digit of its weight, in the
        # histogram of that digit: cheaper than adding weights one by one.
        planes = int(weights.max()).bit_length()
        item, digit = np.nonzero((weights[:, None] >> np.arange(planes)) & 1)
        b, b_labels = b[item], b_labels[item]
        base = (digit * width).astype("int32")
    rows = np.arange(len(a), dtype="int32")[:, None] * (planes * width)
    keys = rows + base
    keys += levels_of_pairs(a.T[:, :, None], b.T[:, None, :], bits, similarity)
    if multi_hot:
        shared = _ones(a_labels.T[:, :, None], b_labels.T[:, None, :])
    else:
        shared = a_labels[:, :1] == b_labels[:, 0]
    keys += np.multiply(shared, bits + 1, dtype="int32")
    counts = _count_values(keys.ravel(), len(a) * planes * width)
    counts = counts.reshape(len(a), planes, width).astype("int64")
    return (counts << np.arange(planes)[:, None]).sum(axis=1)


def tensorflow_kernel(
    a, b, a_labels, b_labels, weights, multi_hot, levels, bits, similarity
):
    """`numpy_kernel` as one `tf.function`, on all cores.

    Args:
        a: code words, integers `[n, words]`.
        b: code words, integers `[m, words]`.
        a_labels: `[n, label_words]`: bit sets of labels, or class numbers.
        b_labels: `[m, label_words]`.
        weights: `int64 [m]`, multiplicity of each item, or `None` for ones.
        multi_hot: bool, whether labels are bit sets.
        levels: int, largest number of shared labels, plus one.
        bits: int, code length.
        similarity: `"hamming"` or `"and"`.

    Returns:
        `int64 [n, levels * (bits + 1)]`, shared labels major.
    """
    import tensorflow as tf

    # TensorFlow counts the ones of signed words only.
    counts = _graph()(
        *(x.view(f"int{8 * x.itemsize}") for x in (a, b, a_labels, b_labels)),
        weights,
        tf.constant(levels),
        tf.constant(bits),
        # Python numbers: the graph holds one step for each word.
        (a.shape[1], a_labels.shape[1]),
        multi_hot,
        similarity == "and",
    )
    return counts.numpy()


@functools.cache
def _graph():
    import tensorflow as tf

    def ones(x, y, words, combine):
        """Ones of `combine(x, y)` for all pairs, int32 `[n, m]`."""
        total = 0
        for word in range(words):
            both = combine(x[:, word, None], y[None, :, word])
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
            same = a_labels[:, :1] == b_labels[None, :, 0]
            keys += tf.where(same, bits + 1, 0)
        width = levels * (bits + 1)
        if weights is not None:
            weights = tf.broadcast_to(weights, tf.shape(keys))
        return tf.math.bincount(
            keys,
            weights,
            minlength=width,
            maxlength=width,
            axis=-1,
            dtype=tf.int64,
        )

    return count
