"""`HammingSearch`: exact nearest codes inside a TensorFlow graph."""

import keras
import numpy as np

from keras_hash.codes import check
from keras_hash.codes import check_int
from keras_hash.codes import check_similarity
from keras_hash.codes import levels_of_words
from keras_hash.codes import num_bytes
from keras_hash.codes import pack
from keras_hash.codes import padded
from keras_hash.codes import unpack
from keras_hash.search import asymmetric
from keras_hash.search.ids import check_different
from keras_hash.search.ids import check_ids


class HammingSearch(keras.layers.Layer):
    """Finds the nearest of the codes that it holds, exactly.

    All distances of a query are counted by XOR and popcount on 64-bit words,
    one query after the other, so that a batch needs no more memory than one:
    `8 * ceil(bits / 64)` bytes an item for the codes, 8 for its id, and about
    16 while searching. Items at equal distance come in the order of their ids.

    Args:
        codes: packed codes `uint8 [n, ceil(bits / 8)]`.
        bits: int, code length.
        ids: `[n]` ints or strings, what a search returns, all different and of
            one kind; positions by default.
        k: int, items a query; all items where there are fewer.
        similarity: `"hamming"`, or `"and"`: the distance is `bits` less the
            ones in common.

    Call arguments:
        codes: packed codes `uint8 [q, ceil(bits / 8)]` of the queries.
        real_codes: optional float32 `[q, bits]`, the real codes that they are
            packed from: the nearest 1,000 items, or `k`, are ordered by the sum
            of their magnitudes at the bits that differ, as `Index.search` does.

    Returns (of a call):
        A pair: distances `int32 [q, k]` and ids `[q, k]`.

    Raises:
        ValueError: codes that do not fit `bits`, no codes, ids that
            `keras_hash.Index` would not take, or `k` below 1; in a call, codes
            or real codes that do not fit, or real codes for
            `similarity="and"`.
        RuntimeError: Keras does not run on TensorFlow.

    Example:

    >>> search = keras_hash.search.HammingSearch(codes, bits=48, k=10)
    >>> distances, ids = search(query_codes)
    """

    def __init__(
        self, codes, bits, ids=None, k=10, similarity="hamming", **kwargs
    ):
        if keras.backend.backend() != "tensorflow":
            raise RuntimeError(
                "HammingSearch needs Keras on TensorFlow; keras_hash.Index "
                "searches without. "
                f"Received: backend={keras.backend.backend()!r}"
            )
        import tensorflow as tf

        super().__init__(trainable=False, **kwargs)
        codes = check(codes, bits)
        if len(codes) == 0:
            raise ValueError(
                "`codes` should be at least one. Received: 0 codes"
            )
        ids = range(len(codes)) if ids is None else ids
        ids = check_ids(ids, count=len(codes))
        check_different(ids)
        check_similarity(similarity)
        self.bits, self.similarity = int(bits), similarity
        self.k = min(check_int(k, "k"), len(codes))
        order = np.argsort(ids, kind="stable")
        width = codes.shape[1]
        words = padded(codes[order], width + -width % 8).view("int64")
        # Words first: each is one run in memory.
        self.words = tf.Variable(words.T, trainable=False, name="words")
        if ids.dtype == object:
            # Names of files need not be UTF-8.
            names = [one.encode("utf-8", "surrogateescape") for one in ids]
            ids = np.array(names, object)
        self.ids = tf.Variable(ids[order], trainable=False, name="ids")
        self.built = True

    def call(self, codes, real_codes=None):
        import tensorflow as tf

        codes = tf.convert_to_tensor(codes)
        width = num_bytes(self.bits)
        packed = codes.dtype == tf.uint8 and codes.shape.rank == 2
        if not packed or codes.shape[1] != width:
            raise ValueError(
                f"`codes` should be packed, uint8 [q, {width}] for {self.bits} "
                f"bits. Received: codes.shape={codes.shape}, "
                f"dtype={codes.dtype.name}"
            )
        if tf.executing_eagerly():
            check(codes, self.bits)
        wide = tf.pad(codes, [[0, 0], [0, -width % 8]])
        queries = tf.bitcast(
            tf.reshape(wide, [-1, self.words.shape[0], 8]), tf.int64
        )
        find, given = self._nearest, queries
        if real_codes is not None:
            real = self._real(real_codes, codes)
            find, given = self._nearest_by_real, (queries, real)
        distances, places = tf.map_fn(
            find,
            given,
            fn_output_signature=(
                tf.TensorSpec([self.k], tf.int32),
                tf.TensorSpec([self.k], tf.int32),
            ),
        )
        return distances, tf.gather(self.ids, places)

    def _real(self, real_codes, codes):
        """Real codes of the queries as a tensor that is finite."""
        import tensorflow as tf

        asymmetric.check_similarity(self.similarity)
        if tf.executing_eagerly():
            real_codes = asymmetric.check(real_codes, self.bits)
            if not np.array_equal(pack(real_codes), codes):
                raise ValueError(
                    "`codes` should be packed from `real_codes`. Received: "
                    "other codes, or another number of them"
                )
        real = tf.convert_to_tensor(real_codes)
        asymmetric.check_kind(real.dtype.name, real.shape, self.bits)
        if not codes.shape[:1].is_compatible_with(real.shape[:1]):
            raise ValueError(
                "`real_codes` should be those of the queries. Received: "
                f"{real.shape[0]} real codes, {codes.shape[0]} codes"
            )
        finite = "`real_codes` should be finite"
        return tf.debugging.check_numerics(tf.cast(real, "float32"), finite)

    def _nearest(self, query, count=None):
        """Distances and places of the nearest items of one query."""
        import tensorflow as tf

        far = levels_of_words(self.words, query, self.bits, self.similarity)
        # Among equals the first is taken: that of the smallest id.
        nearness, places = tf.math.top_k(-far, count or self.k)
        return -nearness, places

    def _nearest_by_real(self, query):
        """Those of one query, a pair of words and real code."""
        import tensorflow as tf

        words, real = query
        count = max(self.k, asymmetric.CANDIDATES)
        far, places = self._nearest(words, min(count, self.words.shape[1]))
        found = tf.gather(self.words, places, axis=1)
        differing = tf.bitwise.bitwise_xor(found, words[:, None])
        # The bytes of an item, one after the other.
        differing = tf.transpose(tf.bitcast(differing, tf.uint8), [1, 0, 2])
        differing = tf.reshape(differing, [-1, 8 * self.words.shape[0]])
        ones = unpack(differing[:, : num_bytes(self.bits)], self.bits) > 0
        real = tf.abs(tf.cast(real, tf.float64))
        weights = tf.reduce_sum(tf.where(ones, real, 0.0), axis=1)
        order = tf.argsort(weights, stable=True)[: self.k]
        return tf.gather(far, order), tf.gather(places, order)
