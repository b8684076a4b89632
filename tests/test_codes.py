"""Codes: the bit convention, by loops over single bits."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import ops

import keras_hash
from keras_hash import codebooks
from keras_hash import codes
from keras_hash import search
from keras_hash.zoo.encoder import FileEncoder

shapes = st.tuples(st.integers(1, 70), st.integers(1, 6), st.integers(0, 999))


def random_real(shape):
    bits, count, seed = shape
    real = np.random.RandomState(seed).randn(count, bits).astype("float32")
    real[0, 0] = 0.0
    return real


def loop_pack(real):
    """The definition: first bit most significant, `>= 0` is 1, padding 0."""
    count, bits = real.shape
    packed = np.zeros((count, (bits + 7) // 8), "uint8")
    for row in range(count):
        for bit in range(bits):
            if real[row, bit] >= 0:
                packed[row, bit // 8] |= 1 << (7 - bit % 8)
    return packed


@settings(max_examples=60, deadline=None)
@given(shapes)
def test_pack_and_unpack(shape):
    real = random_real(shape)
    packed = codes.pack(real)
    np.testing.assert_array_equal(packed, loop_pack(real))
    assert packed.dtype == np.uint8
    signs = codes.unpack(packed, shape[0])
    assert signs.dtype == np.int8
    np.testing.assert_array_equal(signs, codes.sign(real))
    np.testing.assert_array_equal(codes.pack(signs), packed)
    np.testing.assert_array_equal(codes.pack(signs > 0), packed)


@settings(max_examples=30, deadline=None)
@given(shapes)
def test_tensors_agree_with_arrays(shape):
    real = random_real(shape)
    packed = codes.pack(real)
    tensor = codes.pack(ops.convert_to_tensor(real))
    assert ops.is_tensor(tensor)
    np.testing.assert_array_equal(ops.convert_to_numpy(tensor), packed)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(codes.unpack(tensor, shape[0])),
        codes.unpack(packed, shape[0]),
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(codes.sign(ops.convert_to_tensor(real))),
        codes.sign(real),
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(codes.hamming(tensor, packed)),
        codes.hamming(packed, packed),
    )


@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(1, 6))
def test_hamming_is_a_metric_that_counts_bits(shape, others):
    bits, _, seed = shape
    a = codes.sign(random_real(shape))
    b = codes.sign(random_real((bits, others, seed + 1)))
    packed_a, packed_b = codes.pack(a), codes.pack(b)
    distances = codes.hamming(packed_a, packed_b)
    for i in range(len(a)):
        for j in range(len(b)):
            assert distances[i, j] == sum(x != y for x, y in zip(a[i], b[j]))
    np.testing.assert_array_equal(
        distances, codes.hamming(packed_b, packed_a).T
    )
    assert not np.diag(codes.hamming(packed_a, packed_a)).any()
    # The inner product of +-1 codes gives the same: no half bits.
    np.testing.assert_array_equal(2 * distances, bits - a.astype(int) @ b.T)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 5), st.integers(0, 999))
def test_levels_are_distances_or_what_is_not_in_common(bits, others, seed):
    a = codes.sign(random_real((bits, 4, seed)))
    b = codes.sign(random_real((bits, others, seed + 1)))
    packed = codes.pack(a), codes.pack(b)
    for similarity in codes.SIMILARITIES:
        expected = [
            [
                sum(p != q for p, q in zip(x, y))
                if similarity == "hamming"
                else bits - sum(p == q == 1 for p, q in zip(x, y))
                for y in b
            ]
            for x in a
        ]
        for sides in (packed, (ops.convert_to_tensor(packed[0]), packed[1])):
            found = codes.levels(*sides, bits, similarity)
            assert keras.backend.standardize_dtype(found.dtype) == "int32"
            np.testing.assert_array_equal(found, expected)
        words = [codes.words(side) for side in packed]
        a_words, b_words = words[0].T[:, :, None], words[1].T[:, None]
        found = codes.levels_of_words(a_words, b_words, bits, similarity)
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="`similarity` should be one of"):
        codes.levels(*packed, bits, "cosine")


def test_zero_is_plus_one_even_when_negative_zero():
    real = np.array([[0.0, -0.0, -1e-30, 1e-30]])
    np.testing.assert_array_equal(
        codes.unpack(codes.pack(real), 4), [[1, 1, -1, 1]]
    )


def test_symbolic_tensors_can_be_packed():
    inputs = keras.Input((19,))
    model = keras.Model(inputs, codes.pack(inputs))
    real = random_real((19, 5, 0))
    np.testing.assert_array_equal(model(real), codes.pack(real))


@pytest.mark.parametrize(
    "real, message",
    [
        (np.zeros(4), r"real.shape=\(4,\)"),
        (np.zeros((4, 0)), "at least one bit"),
        (np.zeros((2, 8), "uint8"), r"bits.astype\(bool\)"),
        (np.array([[0, 1, 1]]), r"bits.astype\(bool\).*dtype=int64"),
        (np.zeros((2, 8), "int8"), r"bits.astype\(bool\).*dtype=int8"),
        ([[0, 1], [1, 2]], r"bits.astype\(bool\)"),
        (np.array([[1.0, np.nan]]), "NaN in 1 rows, first in row 0"),
    ],
)
def test_pack_refuses(real, message):
    with pytest.raises(ValueError, match=message):
        codes.pack(real)


@pytest.mark.parametrize(
    "real, expected",
    [
        (np.ones((2, 3), "int32"), [0b11100000] * 2),
        ([[0, 1, -1]], [0b11000000]),
        (np.array([[0, 1, 1]]) > 0, [0b01100000]),
        ([[False, True]], [0b01000000]),
        # A sigmoid's, which its docstring tells to centre.
        ([[0.0, 0.2, 0.7]], [0b11100000]),
        (2 * np.array([[0.0, 0.2, 0.7]]) - 1, [0b00100000]),
        (np.zeros((0, 3), "int64"), []),
    ],
)
def test_pack_takes(real, expected):
    np.testing.assert_array_equal(codes.pack(real).ravel(), expected)


PACKED = np.zeros((2, 1), "uint8")
INDEX = keras_hash.Index(8, PACKED)
EVALUATOR = keras_hash.HammingEvaluator(PACKED, [0, 1], 8)
EVALUATOR.update(PACKED, [0, 1])
IMAGES = np.zeros((2, 4, 4, 3), "uint8")
# Every argument that is a number of things: its name, the least and a use.
NUMBERS = {
    "num_bytes": ("bits", 1, codes.num_bytes),
    "check": ("bits", 1, lambda n: codes.check(PACKED, n)),
    "unpack": ("bits", 1, lambda n: codes.unpack(PACKED, n)),
    "levels": ("bits", 1, lambda n: codes.levels(PACKED, PACKED, n)),
    "Index": ("bits", 1, lambda n: keras_hash.Index(n)),
    "search": ("k", 1, lambda n: INDEX.search(PACKED, n)),
    "candidates": (
        "candidates",
        1,
        lambda n: INDEX.search(
            PACKED, 1, rerank=(PACKED, PACKED), candidates=n
        ),
    ),
    "threads": ("threads", 1, lambda n: INDEX.search(PACKED, threads=n)),
    "range": ("radius", 0, lambda n: INDEX.range_search(PACKED, n)),
    "layer": ("k", 1, lambda n: search.HammingSearch(PACKED, 8, k=n)),
    "layer bits": ("bits", 1, lambda n: search.HammingSearch(PACKED, n)),
    "result": ("k", 1, lambda n: EVALUATOR.result(n)),
    "results": ("k", 1, lambda n: EVALUATOR.result((2, n))),
    "AP": ("k", 1, lambda n: EVALUATOR.average_precision(n)),
    "evaluator": (
        "bits",
        1,
        lambda n: keras_hash.HammingEvaluator(PACKED, [0, 1], n),
    ),
    "evaluate": (
        "k",
        1,
        lambda n: keras_hash.evaluate(
            PACKED, [0, 1], PACKED, [0, 1], bits=8, k=n
        ),
    ),
    "every": ("every", 1, lambda n: measured(every=n)),
    "subset": ("subset", 1, lambda n: measured(subset=n)),
    "batch": ("batch_size", 1, lambda n: measured(batch_size=n)),
    "callback": ("k", 1, lambda n: measured(k=n)),
    "encode": ("batch_size", 1, lambda n: MODEL.encode(IMAGES, n)),
    "model": ("bits", 1, lambda n: keras_hash.models.DSH(n, 2)),
    "classes": ("num_classes", 2, lambda n: keras_hash.models.DSH(8, n)),
    "bank": (
        "bank_size",
        1,
        lambda n: keras_hash.models.DSH(8, 2, bank_size=n),
    ),
    "hidden": ("hidden", 1, lambda n: keras_hash.models.DSH(8, 2, hidden=n)),
    "side": (
        "input_shape[1]",
        1,
        lambda n: keras_hash.models.DSH(8, 2, input_shape=(32, n, 3)),
    ),
    "ITQ": ("iterations", 0, lambda n: keras_hash.models.ITQ(8, iterations=n)),
    "loss": ("bits", 1, lambda n: keras_hash.losses.CSQ(n, 2)),
    "loss classes": ("num_classes", 2, lambda n: keras_hash.losses.CSQ(8, n)),
    "cpbc": ("num_classes", 2, lambda n: codebooks.cpbc(24, n)),
    "files": ("batch_size", 1, lambda n: UNLOADED.queries([], n)),
}
MODEL = keras_hash.models.DSH(8, 2)
UNLOADED = object.__new__(FileEncoder)


def measured(**options):
    pair = IMAGES, np.zeros(2, int)
    return keras_hash.callbacks.RetrievalMetrics(pair, pair, **options)


@pytest.mark.parametrize("door", NUMBERS)
def test_a_number_is_checked_alike_at_every_door(door):
    name, least, use = NUMBERS[door]
    for wrong in (8.0, np.float32(8), True, "3", 2.5, least - 1, np.int8(-4)):
        expected = (
            f"`{name}` should be an int of at least {least}. "
            f"Received: {name}={wrong!r}"
        )
        with pytest.raises(ValueError) as error:
            use(wrong)
        assert str(error.value) == expected
    if door != "files":
        use(np.int32(8))
        use(8)


@pytest.mark.parametrize(
    "packed, bits, message",
    [
        (np.zeros((2, 2), "uint8"), 20, r"uint8 \[n, 3\]"),
        (np.zeros((2, 2), "int32"), 12, "int32"),
        (np.zeros(2, "uint8"), 12, r"codes.shape=\(2,\)"),
        (np.full((2, 2), 255, "uint8"), 12, "after its first 12"),
        (np.zeros((2, 2), "uint8"), 0, "at least 1"),
        (np.zeros((2, 2), "uint8"), 1.5, "should be an int"),
    ],
)
def test_unpack_refuses(packed, bits, message):
    with pytest.raises(ValueError, match=message):
        codes.unpack(packed, bits)


def test_hamming_refuses():
    a = np.zeros((2, 2), "uint8")
    with pytest.raises(ValueError, match="of one length"):
        codes.hamming(a, np.zeros((2, 3), "uint8"))
    with pytest.raises(ValueError, match="`b` should be packed codes"):
        codes.hamming(a, np.zeros((2, 2), "float32"))
    with pytest.raises(ValueError, match=r"Received: b.shape=\(1, 2\)"):
        codes.hamming(a, [[1, 2]])


@pytest.mark.parametrize("width", [1, 4, 5, 8, 9, 20])
def test_words_and_groups(width, rng):
    rows = rng.randint(0, 256, (9, width)).astype("uint8")
    rows = rows[rng.randint(9, size=40)]
    words = codes.words(rows)
    assert words.dtype == ("uint32" if width <= 4 else "uint64")
    counted = np.bitwise_count(words).sum(axis=1)
    np.testing.assert_array_equal(counted, np.bitwise_count(rows).sum(axis=1))
    first, inverse, counts = codes.group(rows)
    np.testing.assert_array_equal(rows[first][inverse], rows)
    expected, expected_counts = np.unique(rows, axis=0, return_counts=True)
    np.testing.assert_array_equal(rows[first], expected)
    np.testing.assert_array_equal(counts, expected_counts)


@pytest.mark.parametrize("number", [np.uint8, np.int8, np.int16, np.uint64])
def test_small_numbers_of_numpy_do_not_overflow(number):
    real = np.random.RandomState(0).randn(9, 100)
    packed, labels = codes.pack(real), np.arange(9) % 2
    bits, index = number(100), search.Index(number(100), packed)
    assert codes.num_bytes(bits) == 13
    np.testing.assert_array_equal(codes.check(packed, bits), packed)
    np.testing.assert_array_equal(codes.unpack(packed, bits) > 0, real >= 0)
    far = codes.levels(packed, packed, bits)
    np.testing.assert_array_equal(far, codes.hamming(packed, packed))
    case = packed, labels, packed, labels
    found = keras_hash.evaluate(*case, bits=bits).metrics
    assert found == keras_hash.evaluate(*case, bits=100).metrics
    for radius in (3, 50, 120):
        pairs = [[*map(list, part)] for part in index.pairs(number(radius))]
        assert pairs == [[*map(list, part)] for part in index.pairs(radius)]
        clusters = [*map(list, index.clusters(number(radius)))]
        assert clusters == [*map(list, index.clusters(radius))]


def test_codes_that_do_not_fit_are_refused_by_tensors_too():
    packed = codes.pack(np.random.RandomState(0).randn(5, 12))
    padded = packed | np.array([0, 1], "uint8")
    layer = search.HammingSearch(packed, 12, k=2)
    for door in (
        lambda x: codes.levels(x, packed, 12),
        lambda x: codes.levels(packed, x, 12, "and"),
        lambda x: codes.unpack(x, 12),
        lambda x: layer(x),
    ):
        with pytest.raises(ValueError, match="bits set after its first 12"):
            door(padded)
    for tensor, bits in ((packed[0], 12), (packed, 20), (packed[None], 12)):
        with pytest.raises(ValueError, match="should be packed codes, uint8"):
            codes.unpack(ops.convert_to_tensor(tensor), bits)


def test_signs_of_booleans_are_refused():
    for wrong in (np.array([True]), ops.convert_to_tensor([True])):
        with pytest.raises(ValueError, match="booleans are bits"):
            codes.sign(wrong)
    with pytest.raises(ValueError, match="should not hold NaN"):
        codes.sign(np.array([1.0, np.nan]))


def test_ids_have_an_order_and_one_kind():
    packed = codes.pack(np.random.RandomState(0).randn(5, 12))
    for ids in ({1, 2, 3, 4, 5}, frozenset("abcde")):
        with pytest.raises(ValueError, match="a set has none"):
            search.Index(12, packed, ids)
        with pytest.raises(ValueError, match="a set has none"):
            search.HammingSearch(packed, 12, ids=ids)
    numbers, names = (search.Index(12, packed, i) for i in (None, [*"abcde"]))
    for index, among, kind in ((numbers, ["1"], "ints"), (names, [1], "strin")):
        with pytest.raises(ValueError, match=f"`among` should be {kind}"):
            index.search(packed, k=1, among=among)
        with pytest.raises(ValueError, match=f"`among` should be {kind}"):
            index.range_search(packed, 1, among=among)
    rerank = np.full((5, 3), np.nan), np.zeros((5, 3))
    with pytest.raises(ValueError, match=r"`rerank\[0\]` should be finite"):
        numbers.search(packed, k=1, rerank=rerank)


@pytest.mark.parametrize("ties", ["expected", "stable", "best"])
def test_tensors_of_codes_are_evaluated(ties):
    packed = codes.pack(np.random.RandomState(0).randn(9, 12))
    labels, given = np.arange(9) % 2, ops.convert_to_tensor(packed)
    options = {"bits": 12, "ties": ties}
    found = keras_hash.evaluate(given, labels, given, labels, **options)
    expected = keras_hash.evaluate(packed, labels, packed, labels, **options)
    assert found.metrics == expected.metrics
