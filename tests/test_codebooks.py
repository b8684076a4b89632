"""Code books against their definitions and the counts in the specification."""

import warnings

import numpy as np
import pytest

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
