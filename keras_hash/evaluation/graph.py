"""The table of counts inside TensorFlow graphs.

Importing this module imports TensorFlow, so only what needs it does.
"""

import tensorflow as tf

from keras_hash.codes import check_similarity
from keras_hash.codes import levels_of_words
from keras_hash.codes import num_bytes
from keras_hash.codes import ones_of_words


@tf.function(reduce_retracing=True, autograph=False)
def count_words(
    a, b, a_labels, b_labels, weights, levels, bits, multi_hot, similarity
):
    """What `kernels.tensorflow_kernel` is made of: words come as tuples."""
    keys = _keys(a, b, a_labels, b_labels, bits, multi_hot, similarity)
    return _bincount(keys, weights, levels * (bits + 1), tf.int64)


# Not with `reduce_retracing`, which would forget the number of classes.
@tf.function
def count_table(
    query_codes, query_labels, codes, labels, bits, similarity="hamming"
):
    """Counts a database by shared labels and distance, for each query.

    The table from which every ranking metric follows, as a `tf.function`: in a
    graph, on a GPU, or in each replica of a `tf.distribute` strategy. Tables of
    several shards of a database add up.

    Args:
        query_codes: packed codes `uint8 [q, ceil(bits / 8)]`.
        query_labels: int `[q]` or `[q, 1]`, -1 for a query without a label; or
            multi-hot `[q, num_classes]` with a `num_classes` that is known when
            the graph is built.
        codes: packed codes `uint8 [m, ceil(bits / 8)]` of the database; `m` may
            be 0.
        labels: int `[m]` or `[m, 1]`, or multi-hot `[m, num_classes]`. An item
            without a label, -1, shares none with any query.
        bits: int, code length.
        similarity: `"hamming"`, or `"and"`: the distance is `bits` less the
            ones in common.

    Returns:
        `int64 [q, levels, bits + 1]`: database items by the number of labels
        that they share with the query, and by distance. `levels` is 2 for class
        numbers (another class, the same class) and `num_classes + 1` for
        multi-hot labels. A row sums to `m`.

    Raises:
        ValueError: codes of another width, labels of two kinds, of another
            number or that are no numbers, or a `num_classes` that is unknown
            when the graph is built.
        tf.errors.InvalidArgumentError: when it runs, codes with bits set after
            the first `bits`, or multi-hot labels other than 0 and 1.

    Example:

    >>> count_table = keras_hash.evaluation.count_table
    >>> table = count_table(query_codes, query_labels, codes, labels, bits=48)
    >>> same_class_within_2 = tf.reduce_sum(table[:, 1, :3], axis=-1)
    """
    return _table(query_codes, query_labels, codes, labels, bits, similarity)


def _table(
    query_codes,
    query_labels,
    codes,
    labels,
    bits,
    similarity,
    chunk=1 << 22,
):
    """`count_table`, so many pairs at once: one takes up to 32 bytes."""
    check_similarity(similarity)
    a = _code_words(query_codes, bits, "query_codes")
    b = _code_words(codes, bits, "codes")
    query_labels = _labels(query_labels, "query_labels")
    labels = _labels(labels, "labels")
    shapes = query_labels.shape[1:], labels.shape[1:]
    if shapes[0] != shapes[1] or None in shapes[0]:
        raise ValueError(
            "`query_labels` and `labels` should both be class numbers, or "
            "multi-hot with a `num_classes` that is known when the graph is "
            f"built. Received: query_labels.shape={query_labels.shape}, "
            f"labels.shape={labels.shape}"
        )
    for name, words, side in (
        ("query_labels", a, query_labels),
        ("labels", b, labels),
    ):
        rows = words[0].shape[0], side.shape[0]
        if None not in rows and rows[0] != rows[1]:
            raise ValueError(
                f"`{name}` should be one a code. "
                f"Received: {rows[1]} labels, {rows[0]} codes"
            )
    multi_hot = query_labels.shape.rank == 2
    levels = query_labels.shape[1] + 1 if multi_hot else 2
    a_labels, b_labels = (
        _bit_sets(side) if multi_hot else (tf.cast(side, tf.int64),)
        for side in (query_labels, labels)
    )
    if not multi_hot:
        # Items without a label are like no query, not even like one without.
        b_labels = (tf.where(b_labels[0] < 0, tf.int64.min, b_labels[0]),)
    cells = levels * (bits + 1)
    queries, items = tf.shape(a[0])[0], tf.shape(b[0])[0]
    table = tf.zeros([queries, cells], tf.int64)
    step = tf.maximum(1, chunk // tf.maximum(queries, 1))
    for low in tf.range(0, items, step):
        part = tuple(word[low : low + step] for word in b)
        part_labels = tuple(word[low : low + step] for word in b_labels)
        keys = _keys(
            a, part, a_labels, part_labels, bits, multi_hot, similarity
        )
        # A chunk's counts fit 32 bits, in which GPUs count.
        found = _bincount(keys, None, cells, tf.int32)
        table += tf.ensure_shape(tf.cast(found, tf.int64), table.shape)
    return tf.reshape(table, [queries, levels, bits + 1])


def _keys(a, b, a_labels, b_labels, bits, multi_hot, similarity):
    """The cell of each pair in a row of the table, int64 `[n, m]`."""
    rows = tuple(word[:, None] for word in a)
    keys = levels_of_words(rows, b, bits, similarity, "int64")
    if multi_hot:
        rows = tuple(word[:, None] for word in a_labels)
        shared = ones_of_words(rows, b_labels, "and", "int64")
        return keys + shared * (bits + 1)
    # The two may differ in width.
    own, others = (tf.cast(side[0], tf.int64) for side in (a_labels, b_labels))
    same = tf.cast(own[:, None] == others, tf.int64)
    return keys + same * (bits + 1)


def _bincount(keys, weights, cells, dtype):
    """The table of a chunk: how often each row has each key."""
    if weights is not None:
        weights = tf.broadcast_to(weights, tf.shape(keys))
    return tf.math.bincount(
        keys, weights, minlength=cells, maxlength=cells, axis=-1, dtype=dtype
    )


def _code_words(codes, bits, name):
    """Packed codes as a tuple of words, `int64 [n]` each."""
    codes = tf.convert_to_tensor(codes)
    width = num_bytes(bits)
    known = codes.shape.rank == 2 and codes.shape[1] in (None, width)
    if codes.dtype != tf.uint8 or not known:
        raise ValueError(
            f"`{name}` should be packed codes, uint8 [n, {width}]. "
            f"Received: {name}.shape={codes.shape}, dtype={codes.dtype.name}"
        )
    codes = tf.ensure_shape(codes, [None, width])
    # More than `bits` apart would be counted as another number of labels.
    spare = tf.constant((1 << (8 * width - bits)) - 1, tf.uint8)
    tf.debugging.assert_equal(
        tf.bitwise.bitwise_and(codes[:, -1], spare),
        tf.zeros([], tf.uint8),
        f"`{name}` should have no bits set after its first {bits}: it was "
        "packed with another code length or another bit order.",
    )
    return _words(codes, width)


def _words(rows, width):
    rows = tf.pad(rows, [[0, 0], [0, -width % 8]])
    rows = tf.bitcast(tf.reshape(rows, [-1, -(-width // 8), 8]), tf.int64)
    return tuple(tf.unstack(rows, axis=1))


def _labels(labels, name):
    """Labels `[n]`, or multi-hot `[n, num_classes]`."""
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    multi_hot = labels.shape.rank == 2
    known = labels.dtype.is_integer or labels.dtype.is_bool
    if labels.shape.rank not in (1, 2) or not (
        known or (multi_hot and labels.dtype.is_floating)
    ):
        raise ValueError(
            f"`{name}` should be int [n] or multi-hot [n, num_classes]. "
            f"Received: {name}.shape={labels.shape}, "
            f"dtype={labels.dtype.name}"
        )
    if multi_hot and not labels.dtype.is_bool:
        tf.debugging.Assert(
            tf.reduce_all((labels == 0) | (labels == 1)),
            [f"`{name}` of rank 2 should be multi-hot, 0 and 1 only."],
        )
    return labels


def _bit_sets(labels):
    """Multi-hot labels as a tuple of words."""
    # Any fixed order of the bits will do, as both sides have it.
    size = -(-labels.shape[1] // 8)
    ones = tf.cast(tf.cast(labels, tf.bool), tf.int32)
    ones = tf.pad(ones, [[0, 0], [0, -labels.shape[1] % 8]])
    ones = tf.reshape(ones, [-1, size, 8])
    values = tf.constant([128, 64, 32, 16, 8, 4, 2, 1])
    return _words(tf.cast(tf.reduce_sum(ones * values, -1), tf.uint8), size)
