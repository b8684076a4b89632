"""Hash bit selection: the paper's figure, loops, and bad input."""

import math

import numpy as np
import pytest

from keras_hash import codes
from keras_hash import selection

EDGES = np.array([[0, 3, 4], [3, 0, 5], [4, 5, 0.0]])


@pytest.mark.parametrize(
    "worth, weights, value",
    [
        ([1, 1, 1], [0.227273, 0.363636, 0.409091], 2.727273),
        ([5, 3, 3], [0.375, 0.25, 0.375], 33.75),
    ],
)
def test_figure_2_of_the_paper(worth, weights, value):
    affinity = np.diag(worth) @ EDGES @ np.diag(worth)
    found = selection.dominant_set(affinity, 1e-13)
    np.testing.assert_allclose(found[0], weights, atol=1e-5)
    assert found[1] == pytest.approx(value, rel=1e-6)


def sample():
    """40 images of four bits, and the first one with its last four flipped."""
    k = np.arange(1, 201.0).reshape(40, 5)
    ones = (np.sin(0.8 * k**1.5 + 0.4) > 0).astype(float)
    last = np.arange(40) >= 36
    ones[:, 4] = np.where(last, 1 - ones[:, 0], ones[:, 0])
    return ones


def loop_information(a, b):
    total = 0.0
    for i in (0, 1):
        for j in (0, 1):
            p = sum(x == i and y == j for x, y in zip(a, b)) / len(a)
            left = sum(x == i for x in a) / len(a)
            right = sum(y == j for y in b) / len(b)
            if p:
                total += p * math.log2(p / (left * right))
    return total


def test_mutual_information():
    ones = sample()
    found = selection.mutual_information(ones)
    expected = [0.020734, 0.015399, 0.012133, 0.601752]
    np.testing.assert_allclose(found[0, 1:], expected, atol=1e-6)
    loops = [[loop_information(a, b) for b in ones.T] for a in ones.T]
    np.testing.assert_allclose(found, loops, atol=1e-9)


def test_roughness_against_pairs(rng):
    ones = rng.randint(0, 2, (12, 6)).astype(float)
    labels = rng.randint(0, 3, 12)
    total, most = np.zeros(6), 0
    for i in range(12):
        for j in range(12):
            if i != j and labels[i] == labels[j]:
                total += 2 * (ones[i] != ones[j])
                most += 2
    found = selection.roughness(ones, None, labels)
    np.testing.assert_allclose(found, total / most)
    hot = np.eye(3)[labels]
    np.testing.assert_allclose(selection.roughness(ones, None, hot), found)


def planted(rng, count=400):
    """Codes whose first 8 bits show the class; the rest are copies of one of
    them, noise, and constants. Features that show the class too."""
    labels = rng.randint(0, 16, count)
    table = rng.choice([-1, 1], (16, 8))
    good = table[labels]
    noise = rng.choice([-1, 1], (count, 12))
    same = np.repeat(good[:, :1], 4, axis=1)
    dull = np.ones((count, 4), int)
    features = np.eye(16)[labels] + 0.05 * rng.randn(count, 16)
    return np.concatenate([dull, noise, good, same], axis=1), features, labels


@pytest.mark.parametrize("by", ["features", "labels", "both"])
def test_good_bits_are_chosen(by, rng):
    signs, features, labels = planted(rng)
    known = {"features": features, "labels": labels}
    if by != "both":
        known = {by: known[by]}
    # A large weight of quality takes bits that neighbours agree in.
    found = codes.select_bits(codes.pack(signs), 8, quality=8.0, **known)
    assert found.dtype == np.int64 and len(set(found)) == 8
    assert set(found) <= set(range(16, 28))
    again = codes.select_bits(signs.astype(float), 8, quality=8.0, **known)
    np.testing.assert_array_equal(found, again)
    # Without quality constant bits stay out, and few are copies of each other.
    plain = codes.select_bits(codes.pack(signs), 12)
    assert not set(plain) & set(range(4))
    assert len(set(plain) & {16, 24, 25, 26, 27}) <= 2


def test_numbers_of_classes_are_read_in_either_shape(rng):
    signs, _, labels = planted(rng)
    packed = codes.pack(signs)
    found = codes.select_bits(packed, 8, labels=labels)
    column = codes.select_bits(packed, 8, labels=labels[:, None])
    np.testing.assert_array_equal(found, column)


@pytest.mark.parametrize("weight", [1e3, 1e5, 1e12])
def test_large_weights_leave_more_than_zeros(weight, rng):
    signs, features, _ = planted(rng)
    packed = codes.pack(signs)
    for name in ("quality", "independence"):
        found = codes.select_bits(packed, 8, features, **{name: weight})
        assert len(set(found)) == 8


def test_bad_input(rng):
    signs, features, labels = planted(rng)
    packed = codes.pack(signs)
    for bad, match in (
        ({"bits": 0}, "`bits`"),
        ({"bits": 99}, "fewer bits that tell images apart"),
        ({"bits": 25}, "fewer bits that tell images apart"),
        ({"bits": 4, "features": features[:3]}, "`features`"),
        ({"bits": 4, "labels": labels[:3]}, r"ints \[400\] or multi-hot"),
        ({"bits": 4, "quality": -1}, "`quality`"),
        ({"bits": 4, "independence": np.nan}, "`independence`"),
        ({"bits": 4, "quality": "a"}, "`quality`"),
        ({"bits": 4, "features": features[:, 0]}, "`features`"),
        ({"bits": 4, "features": features[None]}, "`features`"),
        ({"bits": 4, "features": features * np.nan}, "`features`"),
        ({"bits": 4, "labels": labels - 1}, "class numbers from 0"),
        ({"bits": 4, "labels": labels * np.nan}, "finite"),
        ({"bits": 4, "labels": 5}, "should be ints"),
    ):
        with pytest.raises(ValueError, match=match):
            codes.select_bits(packed, **bad)
    for bad in (packed[0], packed[:1], "codes"):
        with pytest.raises(ValueError, match="`codes`"):
            codes.select_bits(bad, 4)
