"""Pairs and clusters of an index, against comparing all with all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

import keras_hash
from keras_hash import codes
from keras_hash.search import joins


def by_loops(items, radius):
    """All pairs as `{(i, j): distance}`, and clusters as lists."""
    bits = np.unpackbits(items, axis=1).astype("int64")
    far = np.abs(bits[:, None] - bits).sum(axis=-1)
    near = np.triu(far <= radius, 1)
    pairs = {(i, j): far[i, j] for i, j in zip(*np.nonzero(near))}
    whose = list(range(len(items)))
    for i, j in pairs:
        old, new = whose[j], whose[i]
        whose = [new if one == old else one for one in whose]
    parts = [[i for i, w in enumerate(whose) if w == one] for one in set(whose)]
    return pairs, sorted(part for part in parts if len(part) > 1)


def check(index, items, radius):
    pairs, clusters = by_loops(items, radius)
    found = {}
    for first, second, distances in index.pairs(radius):
        assert len(first) == len(second) == len(distances)
        assert distances.dtype == "int32"
        triples = zip(first.tolist(), second.tolist(), distances.tolist())
        for one, other, far in triples:
            assert (one, other) not in found
            found[one, other] = far
    names = index.ids.tolist()
    expected = {(names[i], names[j]): far for (i, j), far in pairs.items()}
    assert found == expected
    parts = [part.tolist() for part in index.clusters(radius)]
    assert parts == [[names[i] for i in part] for part in clusters]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_against_all_with_all(data):
    rng = np.random.RandomState(data.draw(st.integers(0, 2**16)))
    bits = data.draw(st.sampled_from([1, 7, 12, 30, 64, 72, 130]))
    count = data.draw(st.integers(1, 60))
    # Few bits vary, and codes repeat.
    signs = rng.randn(count, bits) * (rng.rand(bits) < 8 / bits) + 0.0
    items = codes.pack(signs)[rng.randint(count, size=count)]
    method = data.draw(st.sampled_from(["auto", "scan", "multi-index"]))
    with pytest.MonkeyPatch.context() as patch:
        cost = data.draw(st.sampled_from([0, 2, 10**9]))
        patch.setattr(joins, "_COST", cost)
        patch.setattr(joins, "_ROWS", data.draw(st.sampled_from([1, 7, 4096])))
        patch.setattr(joins, "_PAIRS", data.draw(st.sampled_from([1, 5, 4096])))
        patch.setattr(joins, "_TASK", data.draw(st.sampled_from([1, 9, 4096])))
        index = keras_hash.Index(bits, items, method=method)
        check(index, items, data.draw(st.integers(0, bits + 1)))


def test_names_and_what_was_removed(rng):
    items = codes.pack(rng.randn(30, 16))[rng.randint(30, size=80)]
    index = keras_hash.Index(16, items, [f"photo {i}" for i in range(80)])
    index.remove([f"photo {i}" for i in range(0, 80, 3)])
    kept = [i for i in range(80) if i % 3]
    check(index, items[kept], 3)


@pytest.mark.parametrize("method", ["auto", "scan"])
def test_planted_pairs_among_many(method, rng):
    items = codes.pack(rng.randn(100_000, 64))
    spots = rng.permutation(100_000)[:400].reshape(2, -1)
    items[spots[1]] = items[spots[0]]
    items[spots[1][100:], 3] ^= 0b101
    index = keras_hash.Index(64, items, method=method)
    for radius, count in ((0, 100), (2, 200)):
        found = [np.stack(part) for part in index.pairs(radius)]
        found = np.concatenate(found, axis=1)
        expected = np.sort(spots[:, :count], axis=0)
        assert set(zip(*found[:2])) == set(zip(*expected))
        assert sorted(found[2])[:100] == [0] * 100
        assert len(index.clusters(radius)) == count


def test_nothing_and_what_is_refused(rng):
    index = keras_hash.Index(8)
    assert list(index.pairs(3)) == [] and index.clusters(3) == []
    index.add(codes.pack(rng.randn(3, 8)))
    for wrong in (-1, 1.5, "2", None, True):
        # Before the first pair is asked for.
        with pytest.raises(ValueError, match="`radius`"):
            index.pairs(wrong)
        with pytest.raises(ValueError, match="`radius`"):
            index.clusters(wrong)
    both = keras_hash.Index(8, codes.pack(rng.randn(3, 8)), similarity="and")
    for call in (both.pairs, both.clusters):
        with pytest.raises(ValueError, match="Hamming distances"):
            call(2)
