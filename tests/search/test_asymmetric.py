"""The order by real codes of the queries, against loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

import keras_hash
from keras_hash import codes


def by_loops(real, items, bits, k, candidates):
    """Places and distances of each query, item by item."""
    rows = []
    for query in real:
        ranked = []
        for place, item in enumerate(codes.unpack(items, bits)):
            differ = [r for r, b in zip(query, item) if (r >= 0) != (b > 0)]
            ranked.append((len(differ), place, sum(map(abs, differ))))
        near = sorted(ranked)[:candidates]
        near.sort(key=lambda item: (round(item[2], 4), item[0], item[1]))
        rows.append(near[:k])
    return rows


@settings(max_examples=20, deadline=None)
@given(
    bits=st.sampled_from([3, 8, 12, 64]),
    count=st.integers(1, 40),
    k=st.integers(1, 12),
    more=st.integers(0, 30),
    seed=st.integers(0, 2**16),
)
def test_against_loops(bits, count, k, more, seed):
    rng = np.random.RandomState(seed)
    # Steps of an eighth: sums are exact, and ties are ties.
    real = rng.randint(-16, 17, (5, bits)).astype("float32") / 8
    items = codes.pack(rng.randn(count, bits))[rng.randint(count, size=count)]
    index = keras_hash.Index(bits, items, [f"item {i}" for i in range(count)])
    far, found = index.search(real_codes=real, k=k, candidates=k + more)
    assert far.dtype == "float32"
    expected = by_loops(real, items, bits, k, k + more)
    assert [
        [f"item {p}" for _, p, _ in row] for row in expected
    ] == found.tolist()
    np.testing.assert_allclose(far, [[d for *_, d in row] for row in expected])


def test_items_of_some_ids_and_the_default_number_of_candidates(rng):
    items = codes.pack(rng.randn(3000, 32))
    real = rng.randn(4, 32).astype("float32")
    index = keras_hash.Index(32, items)
    whole = index.search(real_codes=real, k=9)
    same = index.search(real_codes=real, k=9, candidates=1000)
    np.testing.assert_array_equal(whole, same)
    every = index.search(real_codes=real, k=9, candidates=3000)
    assert (every[0] <= whole[0]).all()
    few = np.sort(rng.permutation(3000)[:50])
    _, found = index.search(real_codes=real, k=9, among=few)
    alone = keras_hash.Index(32, items[few], few)
    np.testing.assert_array_equal(found, alone.search(real_codes=real, k=9)[1])


def test_what_is_refused(rng):
    index = keras_hash.Index(8, codes.pack(rng.randn(9, 8)))
    real = rng.randn(2, 8)
    for options, message in (
        (
            {"real_codes": real, "codes": codes.pack(real)},
            "in place of `codes`",
        ),
        ({"real_codes": real, "rerank": (real, real)}, "in place of `rerank`"),
        ({"real_codes": real[:, :5]}, r"floats \[q, 8\]"),
        ({"real_codes": real * np.nan}, "finite"),
        ({"real_codes": real * 1e300}, "finite"),
        ({"real_codes": real > 0}, r"floats \[q, 8\]"),
        ({"real_codes": np.sign(real).astype(int)}, r"floats \[q, 8\]"),
        ({"real_codes": (real > 0).astype("uint8")}, r"floats \[q, 8\]"),
        ({"real_codes": real, "k": 5, "candidates": 4}, "candidates"),
        ({"codes": codes.pack(real), "candidates": 4}, "needs `rerank` or"),
    ):
        with pytest.raises(ValueError, match=message):
            index.search(**options)
    both = keras_hash.Index(8, codes.pack(real), similarity="and")
    with pytest.raises(ValueError, match="Hamming distance"):
        both.search(real_codes=real)


def test_distances_are_sums_of_magnitudes(rng):
    """Also where they differ by many orders, or not at all."""
    real = np.array([[1e8, 1, 1, 1, 1, 1, 0.3, 0.2]], "float32")
    held = np.where(np.eye(8)[[6, 7, 0]], -real, real)
    index = keras_hash.Index(8, codes.pack(np.concatenate([held, real])))
    far, found = index.search(real_codes=real, k=4)
    np.testing.assert_array_equal(found, [[3, 1, 0, 2]])
    np.testing.assert_array_equal(far, np.float32([[0, 0.2, 0.3, 1e8]]))
    # With one magnitude the order is that of Hamming distances.
    held = codes.pack(rng.randn(300, 40))
    real = (rng.randint(0, 2, (5, 40)) * 0.2 - 0.1).astype("float32")
    expected = keras_hash.Index(40, held).search(codes.pack(real), k=300)[1]
    for found in (
        keras_hash.Index(40, held).search(real_codes=real, k=300),
        keras_hash.search.HammingSearch(held, 40, k=300)(
            codes.pack(real), real
        ),
    ):
        np.testing.assert_array_equal(found[1], expected)
