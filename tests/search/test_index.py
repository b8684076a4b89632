"""The index against sorting all distances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

import keras_hash
from keras_hash import codes


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 130),
    st.integers(1, 60),
    st.integers(1, 80),
    st.integers(0, 2**31 - 1),
)
def test_equals_a_stable_sort(bits, size, k, seed):
    random = np.random.RandomState(seed)
    pool = codes.pack(random.randn(5, bits))
    items = pool[random.randint(5, size=size)]
    query = pool[random.randint(5, size=7)]
    index = keras_hash.Index(bits=bits)
    half = size // 2
    index.add(items[:half], np.arange(100, 100 + half))
    index.add(items[half:], np.arange(100 + half, 100 + size))
    distances, ids = index.search(query, k=k)
    expected = codes.hamming(query, items)
    order = np.argsort(expected, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(ids, order + 100)
    np.testing.assert_array_equal(
        distances, np.take_along_axis(expected, order, 1)
    )


def test_ties_keep_their_order_in_a_large_set(rng):
    items = codes.pack(rng.randn(4, 30))[rng.randint(4, size=20_000)]
    index = keras_hash.Index(bits=30)
    index.add(items)
    distances, ids = index.search(items[:50], k=6000)
    expected = codes.hamming(items[:50], items)
    order = np.argsort(expected, axis=1, kind="stable")[:, :6000]
    np.testing.assert_array_equal(ids, order)


def test_save_and_load(tmp_path, rng):
    index = keras_hash.Index(bits=21)
    index.add(codes.pack(rng.randn(9, 21)), np.arange(9) * 7)
    path = tmp_path / "photos.index"
    index.save(path)
    again = keras_hash.Index.load(path)
    query = codes.pack(rng.randn(3, 21))
    for a, b in zip(index.search(query, 9), again.search(query, 9)):
        np.testing.assert_array_equal(a, b)
    content = path.read_bytes()
    for damaged in (content[:-40], b"", b"not an index"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="written by `Index.save`"):
            keras_hash.Index.load(path)
    flipped = bytearray(content)
    flipped[150] ^= 1
    path.write_bytes(bytes(flipped))
    with pytest.raises(ValueError, match="written by `Index.save`"):
        keras_hash.Index.load(path)


def test_clear_errors(rng):
    index = keras_hash.Index(bits=12)
    query = codes.pack(rng.randn(2, 12))
    with pytest.raises(ValueError, match="index is empty"):
        index.search(query)
    with pytest.raises(ValueError, match="`ids` should be ints"):
        index.add(query, ["a", "b"])
    with pytest.raises(ValueError, match=r"packed codes, uint8 \[n, 2\]"):
        index.add(query.astype("int32"))
    index.add(query)
    with pytest.raises(ValueError, match="`k` should be at least 1"):
        index.search(query, k=0)
    with pytest.raises(ValueError, match="`bits` should be"):
        keras_hash.Index(bits=0)
    distances, ids = index.search(query[:0], k=5)
    assert distances.shape == ids.shape == (0, 2)
