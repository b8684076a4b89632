"""Code books against their definitions and the counts in the specification."""

import hashlib
import warnings

import numpy as np
import pytest

import keras_hash
from keras_hash import codebooks
from keras_hash import codes


def smallest_distances(bits, num_classes):
    """Smallest distance between classes, largest within, by nested loops."""
    table, classes = codebooks.subclasses(codebooks.cpbc(bits, num_classes))
    packed = codes.pack(table)
    distances = codes.hamming(packed, packed)
    same = classes[:, None] == classes
    return (
        distances[~same].min(),
        distances[same].max(),
        len(np.unique(packed, axis=0)),
    )


@pytest.mark.parametrize(
    "per_class, between, distinct",
    [(1, 0, 56), (2, 2, 210), (3, 4, 310), (6, 10, 610)],
)
def test_cpbc_of_ten_classes(per_class, between, distinct):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = smallest_distances(10 * per_class, 10)
    assert got == (between, 2, distinct)


def test_centres_differ_in_exactly_2h_bits():
    centres = codebooks.cpbc(12, 3)
    for i in range(3):
        for j in range(3):
            differing = sum(a != b for a, b in zip(centres[i], centres[j]))
            assert differing == (0 if i == j else 8)
    np.testing.assert_array_equal(centres[1], [-1] * 4 + [1] * 4 + [-1] * 4)


def test_subclasses_are_the_centre_and_its_single_flips():
    centres = codebooks.cpbc(6, 2)
    table, classes = codebooks.subclasses(centres)
    expected, owners = [], []
    for c in range(2):
        for flip in range(-1, 6):
            code = list(centres[c])
            if flip >= 0:
                code[flip] = -code[flip]
            expected.append(code)
            owners.append(c)
    np.testing.assert_array_equal(table, expected)
    np.testing.assert_array_equal(classes, owners)


def test_short_codes_warn_and_others_do_not():
    with pytest.warns(UserWarning, match="as near as 2 bits"):
        codebooks.cpbc(20, 10)
    codebooks.cpbc(30, 10)


@pytest.mark.parametrize("bits, classes", [(32, 10), (5, 10), (0, 2), (7, 2)])
def test_bits_that_classes_do_not_divide(bits, classes):
    with pytest.raises(ValueError, match="multiple of `num_classes`"):
        codebooks.cpbc(bits, classes)


def test_the_error_names_a_length_that_works():
    with pytest.raises(ValueError, match="for example bits=30"):
        codebooks.cpbc(32, 10)
    with pytest.raises(ValueError, match="at least 2"):
        codebooks.cpbc(3, 1)


@pytest.mark.parametrize("seed", range(6))
def test_kbc_at_ten_bits(seed):
    centres = codebooks.kbc(10, 10, seed)
    assert centres.shape == (10, 10) and set(np.unique(centres)) == {-1, 1}
    distances = [
        sum(a != b for a, b in zip(centres[i], centres[j]))
        for i in range(10)
        for j in range(i)
    ]
    assert min(distances) == 5
    table, classes = codebooks.dshc_table(10, 10, "kbc", seed)
    # Rule A by loops: near the own centre, far from every other one.
    every = [
        [1 if n >> (9 - bit) & 1 else -1 for bit in range(10)]
        for n in range(1024)
    ]
    expected = {}
    for code in every:
        away = [sum(a != b for a, b in zip(code, c)) for c in centres]
        own = int(np.argmin(away))
        if away[own] <= 1 and min(away[:own] + away[own + 1 :]) >= 3:
            expected[tuple(code)] = own
    found = {tuple(map(int, code)): int(c) for code, c in zip(table, classes)}
    assert found == expected
    assert len(found) == 110


def test_a_perfect_classifier_over_kbc_scores_one():
    table, classes = codebooks.dshc_table(10, 10, "kbc", 0)
    packed = codes.pack(table)
    report = keras_hash.evaluate(packed, classes, packed, classes, bits=10)
    assert report.metrics["map"] == pytest.approx(1)


def test_kbc_repeats_and_seeds_differ():
    first = codebooks.kbc.__wrapped__(8, 5, 1)
    np.testing.assert_array_equal(first, codebooks.kbc.__wrapped__(8, 5, 1))
    assert (first != codebooks.kbc.__wrapped__(8, 5, 2)).any()


@pytest.mark.parametrize("bits, classes", [(17, 4), (0, 4), (10, 1), (4, 12)])
def test_kbc_refuses(bits, classes):
    with pytest.raises(ValueError, match="KBC"):
        codebooks.kbc(bits, classes)


def test_unknown_construction():
    with pytest.raises(ValueError, match="'cpbc' or 'kbc'"):
        codebooks.dshc_table(30, 10, "random")


# Of the books that the first version drew.
HASHES = [
    ("hadamard", 16, 20, "e5755cfbed839e83"),
    ("hadamard", 48, 260, "4aa7b398cf80d54c"),
    ("balanced", 32, 10, "aa01cb0474c02bbc"),
    ("balanced", 13, 21, "5c112423d3ccfe9d"),
    ("balanced", 64, 500, "9b4135e98e032377"),
    ("max_min", 32, 10, "d2a5244d32d6bc7f"),
    ("max_min", 12, 40, "9676ad73444f7e8f"),
    ("max_min", 64, 260, "ac0f500adb4b66c1"),
    ("random", 48, 260, "c4cdd85aa09c10e6"),
    ("random", 8, 200, "ed4d91424380ffe6"),
]


@pytest.mark.parametrize("name, bits, classes, digest", HASHES)
def test_books_stay_as_they_were_drawn_first(name, bits, classes, digest):
    """Trained encoders, and seeds in papers, depend on them."""
    book = codebooks.CONSTRUCTIONS[name](bits, classes, seed=7)
    assert book.dtype == "int8" and book.shape == (classes, bits)
    assert hashlib.sha256(book.tobytes()).hexdigest()[:16] == digest


@pytest.mark.parametrize("name, least", [("balanced", 20), ("max_min", 20)])
def test_books_of_many_classes(name, least):
    """The distance that `_far_codes` settles for is what it keeps."""
    book = codebooks.CONSTRUCTIONS[name](64, 3000, seed=1)
    packed = codes.words(codes.pack(book))[:, 0]
    for place in range(0, 3000, 20):
        apart = np.bitwise_count(np.delete(packed, place) ^ packed[place])
        assert apart.min() >= least
    assert name != "balanced" or not book.sum(axis=1).any()


def test_random_books_of_many_classes():
    book = codebooks.random_codes(14, 12_000, seed=1)
    assert len(np.unique(book, axis=0)) == 12_000
    many = codebooks.random_codes(64, 50_000)
    assert many.shape == (50_000, 64)
    assert len(np.unique(codes.pack(many), axis=0)) == 50_000


@pytest.mark.parametrize(
    "num_classes, distances",
    [(10, (6, 13, 28)), (100, (4, 10, 24)), (196, (4, 10, 23))]
    + [(260, (4, 10, 22)), (555, (3, 9, 21))],
)
def test_separated_centres_keep_the_distance_of_the_paper(
    num_classes, distances
):
    """Its table 1, and means that no code book has larger."""
    for bits, distance in zip((16, 32, 64), distances):
        assert codebooks.separation(bits, num_classes) == distance
        centres = codebooks.separated(bits, num_classes, seed=1)
        apart = codes.hamming(*2 * [codes.pack(centres)])
        apart = apart[~np.eye(num_classes, dtype=bool)]
        assert apart.min() >= distance
        largest = bits * num_classes / 2 / (num_classes - 1)
        assert apart.mean() > 0.99 * largest
        again = codebooks.separated(bits, num_classes, seed=1)
        np.testing.assert_array_equal(again, centres)


def test_separated_centres_of_few_bits():
    # Random codes do not suffice, those in lexicographic order do.
    centres = codebooks.separated(8, 16)
    apart = codes.hamming(*2 * [codes.pack(centres)])
    assert apart[~np.eye(16, dtype=bool)].min() == 3
    with pytest.warns(UserWarning, match="1 bits apart at least, and not 2"):
        assert len(np.unique(codebooks.separated(4, 10), axis=0)) == 10
    with pytest.raises(ValueError, match="not enough codes"):
        codebooks.separated(3, 9)
