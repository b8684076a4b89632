"""Compiled loops and FAISS give the answers of a comparison with all codes."""

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_hash import codes
from keras_hash import loops
from keras_hash.search import scan


@pytest.fixture(params=["compiled", "faiss"])
def way(request, monkeypatch):
    """All searches go one way, in several threads."""
    fewest = 0 if request.param == "compiled" else np.inf
    monkeypatch.setattr(scan, "_MANY", fewest)
    monkeypatch.setattr(scan, "_MORE", 0)
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(2)
    yield request.param
    faiss.omp_set_num_threads(before)


def ranked(queries, items):
    """All distances and numbers `[2, q, n]`, nearest first, by sorting."""
    bits = np.unpackbits(queries, axis=1).astype("int64")
    other = np.unpackbits(items, axis=1).astype("int64")
    far = bits.sum(axis=1)[:, None] + other.sum(axis=1) - 2 * bits @ other.T
    order = np.argsort(far, axis=1, kind="stable")
    return np.stack([np.take_along_axis(far, order, 1), order])


def pairs(queries, items, limit, first):
    far, numbers = ranked(queries, items)
    near = (far <= limit) & (numbers >= first)
    rows = np.broadcast_to(np.arange(len(far))[:, None], far.shape)
    return set(zip(rows[near], far[near], numbers[near]))


def check(items, queries, ks, limits, firsts=(0,)):
    one = scan.Scan(items)
    expected = ranked(queries, items)
    for k in ks:
        found = one.nearest(queries, k)
        np.testing.assert_array_equal(found, expected[:, :, :k])
    for limit in limits:
        for first in firsts:
            rows, far, numbers = one.within(queries, limit, first)
            assert (np.diff(rows) >= 0).all()
            found = set(zip(rows, far, numbers))
            assert len(found) == len(rows)
            assert found == pairs(queries, items, limit, first)


@pytest.mark.parametrize("width", [4, 8, 16, 24, 32, 64, 72])
def test_words_of_all_widths_and_ends_of_blocks(way, width, rng):
    for count in (1, 64, 1023, 1024, 2500):
        items = codes.pack(rng.randn(count, 8 * width))
        queries = np.concatenate([items[:3], items[-2:] ^ 1])
        check(
            items,
            queries,
            {1, min(7, count), min(200, count)},
            [0, 2 * width, 4 * width, 8 * width],
            {0, count // 2, count - 1},
        )


def in_order(rng):
    """Near ones in one place: in a block of the sample, or passed over."""
    items = rng.randint(0, 256, (140_000, 8)).astype("uint8")
    near = np.eye(8, dtype="uint8")[rng.randint(8, size=40)]
    items[1:7] = items[0] ^ near[:6]
    items[1500:1540] = items[2000] ^ near
    return items, items[[0, 2000, 3]]


def alike(rng):
    """Each as far from each other one: the k nearest are the first ones."""
    items = np.zeros((140_000, 8), "uint8")
    items[:, :3] = rng.randint(0, 2, (140_000, 3))
    return items, items[[0, 5]] ^ np.uint8(255)


def spread(rng):
    items = rng.randint(0, 256, (140_000, 16)).astype("uint8")
    return items, rng.randint(0, 256, (70, 16)).astype("uint8")


@pytest.mark.parametrize("make", [in_order, alike, spread])
def test_samples_of_many_codes(way, make, rng):
    items, queries = make(rng)
    check(items, queries[:5], [1, 10, 300, 1500], [0, 3])
    if make is spread:
        one = scan.Scan(items)
        found = one.nearest(queries, 20)
        parts = [one.nearest(queries[i : i + 1], 20) for i in range(70)]
        np.testing.assert_array_equal(found, np.concatenate(parts, axis=1))


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_ties_everywhere(data):
    """Few bits vary, so that distances are few and most of them tie."""
    seed = data.draw(st.integers(0, 2**16))
    rng = np.random.RandomState(seed)
    width = data.draw(st.sampled_from([4, 8, 16, 32]))
    count = data.draw(st.integers(1, 3000))
    mask = rng.randint(0, 256, width) & rng.randint(0, 256, width)
    items = (rng.randint(0, 256, (count, width)) & mask).astype("uint8")
    queries = items[rng.randint(count, size=4)]
    k = data.draw(st.integers(1, count))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_MANY", 0)
        check(items, queries, [k], [data.draw(st.integers(0, 40))])


def test_loops_are_for_many_pairs(monkeypatch, rng):
    asked = []
    monkeypatch.setattr(loops, "load", lambda name: asked.append(name))
    items = rng.randint(0, 256, (1 << 10, 8)).astype("uint8")
    one = scan.Scan(items)
    one.nearest(items[:1000], 3)
    assert asked == []
    one.nearest(items, 3)
    assert asked == ["scanning"]


def test_columns_take_no_room_for_up_to_64_bits(rng):
    for width, room in ((8, 0), (16, 16 * 3000)):
        one = scan.Scan(rng.randint(0, 256, (3000, width)).astype("uint8"))
        assert one.nbytes == 0
        one.within(one.codes[:400], 3)
        assert one.nbytes == room
