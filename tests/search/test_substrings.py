"""Multi-index hashing against all distances."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

import keras_hash
from keras_hash import codes
from keras_hash.search import groups
from keras_hash.search import substrings


def near(pool, count, flips, bits, random):
    """Codes a few bits from those of a pool."""
    pool = pool[:, : codes.num_bytes(bits)]
    real = codes.unpack(pool, bits)[random.randint(len(pool), size=count)]
    for row in real:
        row[random.randint(bits, size=random.randint(flips + 1))] *= -1
    return codes.pack(real)


def made(bits, count, random):
    """Different codes in clusters, and their tables."""
    pool = codes.pack(random.randn(1 + count // 8, bits))
    given = near(pool, count, 1 + bits // 6, bits, random)
    given = given[np.sort(codes.group(given)[0])]
    given = codes.padded(given, groups.width_of(bits))
    return given, substrings.Substrings(bits, given)


def in_order(rows, far, found):
    order = np.lexsort([found, far, rows])
    return np.stack([rows, far, found], axis=1)[order].tolist()


@settings(max_examples=80, deadline=None)
@given(
    bits=st.integers(1, 150),
    count=st.integers(1, 300),
    k=st.integers(1, 40),
    limit=st.integers(0, 150),
    budget=st.sampled_from([0, 20, 200, 1 << 40]),
    seed=st.integers(0, 2**31 - 1),
)
def test_equals_all_distances(bits, count, k, limit, budget, seed):
    random = np.random.RandomState(seed)
    given, tables = made(bits, count, random)
    tables.budget = budget
    queries = near(given, 9, bits // 3, bits, random)
    queries = codes.padded(queries, given.shape[1])
    distances = codes.hamming(queries, given)
    slow, rows, far, found = tables.search(queries, limit)
    quick = np.setdiff1d(np.arange(9), slow)
    assert len(slow) + len(quick) == 9
    if budget > 1 << 30:
        assert len(slow) == 0
    # Each once, and none missing.
    expected = np.argwhere(distances <= limit)
    expected = expected[np.isin(expected[:, 0], quick)]
    levels = distances[tuple(expected.T)]
    assert in_order(rows, far, found) == in_order(
        expected[:, 0], levels, expected[:, 1]
    )
    k = min(k, len(given))
    slow, rows, far, found = tables.search(queries, bits, k)
    if budget > 1 << 30:
        assert len(slow) == 0
    # All up to the distance of the k-th: the choice among them is by number.
    bound = np.sort(distances, axis=1)[:, k - 1 : k]
    expected = np.argwhere(distances <= bound)
    expected = expected[~np.isin(expected[:, 0], slow)]
    levels = distances[tuple(expected.T)]
    assert in_order(rows, far, found) == in_order(
        expected[:, 0], levels, expected[:, 1]
    )


@pytest.mark.parametrize("bits", [64, 300])
@pytest.mark.parametrize("block", [3, 50])
def test_small_blocks(bits, block, monkeypatch, rng):
    """Work is cut up by the memory that it takes."""
    monkeypatch.setattr(substrings.Substrings, "block", block)
    monkeypatch.setattr(substrings.Substrings, "rows", 4)
    given, tables = made(bits, 400, rng)
    queries = given[:14]
    distances = codes.hamming(queries, given)
    for budget in (30, 1 << 40):
        tables.budget = budget
        for threads in (1, 3):
            count = functools.partial(int, threads)
            monkeypatch.setattr("faiss.omp_get_max_threads", count)
            slow, rows, far, found = tables.search(queries, 9)
            expected = np.argwhere(distances <= 9)
            expected = expected[~np.isin(expected[:, 0], slow)]
            levels = distances[tuple(expected.T)]
            assert in_order(rows, far, found) == in_order(
                expected[:, 0], levels, expected[:, 1]
            )


def test_what_costs_too_much_is_left_to_a_scan(rng):
    given, tables = made(64, 4000, rng)
    assert tables.budget == len(given) // tables.cost
    slow, *_ = tables.search(given[:200], 0)
    assert len(slow) == 0
    # All distances: known before a table is asked.
    slow, rows, _, _ = tables.search(given[:200], 64)
    assert slow.tolist() == list(range(200)) and len(rows) == 0
    # Random queries have no near codes, which shows on the way.
    queries = codes.pack(rng.randn(200, 64))
    slow, *_ = tables.search(queries, 64, k=5)
    assert slow.tolist() == list(range(200))


def test_wide_substrings(rng):
    """More than 16 bits are sorted in two turns."""
    given = codes.pack(rng.randn(140_000, 34))
    given = codes.padded(given[codes.group(given)[0]], 8)
    tables = substrings.Substrings(34, given)
    assert [table.width for table in tables.tables] == [17, 17]
    table = tables.tables[1]
    values = np.unpackbits(given, axis=1)[:, 17:34] @ (1 << np.arange(17)[::-1])
    assert (np.diff(values[table.codes]) >= 0).all()
    assert (table.starts[1:] - table.starts[:-1]).sum() == len(given)
    slow, rows, far, found = tables.search(given[:20], 3)
    expected = np.argwhere(codes.hamming(given[:20], given) <= 3)
    expected = expected[~np.isin(expected[:, 0], slow)]
    assert len(slow) < 20
    assert sorted(zip(rows, found)) == [tuple(pair) for pair in expected]
    # 4 bytes a code and table, and as many for its places.
    assert tables.nbytes < 17 * len(given)


@pytest.mark.parametrize("repeats", [1, 3])
def test_index_with_tables(repeats, monkeypatch, rng):
    """The same answers, ties included, whoever searches."""
    monkeypatch.setattr(groups.Groups, "block", 900)
    pool = codes.pack(rng.randn(40, 48))
    items = near(pool, 6000, 6, 48, rng)
    items = items[rng.permutation(np.repeat(np.arange(6000), repeats))]
    queries = np.concatenate([near(pool, 30, 5, 48, rng), items[:20]])
    queries = np.concatenate([queries, codes.pack(rng.randn(3, 48))])
    scan = keras_hash.Index(48, items, method="scan")
    index = keras_hash.Index(48, items, method="multi-index")
    for _ in range(3):
        for cost in (48, 0.001):
            monkeypatch.setattr(substrings.Substrings, "cost", cost)
            index._state = index._groups().searched_by("multi-index"), ()
            for k in (1, 10, 700):
                for a, b in zip(
                    index.search(queries, k), scan.search(queries, k)
                ):
                    np.testing.assert_array_equal(a, b)
            for radius in (0, 2, 9, 48):
                for a, b in zip(
                    index.range_search(queries, radius, threads=2),
                    scan.range_search(queries, radius),
                ):
                    np.testing.assert_array_equal(a, b)
            assert index._groups()._substrings is not None
        gone = index.ids[rng.rand(len(index)) < 0.2]
        more = near(pool, 300, 9, 48, rng)
        for one in (index, scan):
            one.remove(gone)
            one.add(more)
    assert scan._groups()._substrings is None


def test_when_tables_are_made(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(groups.Groups, "many", 100)
    items = codes.pack(rng.randn(200, 32))
    assert len(codes.group(items)[0]) == 200

    def has_tables(index):
        index.search(items[:2], 3)
        assert index.nbytes > 0
        return index._groups()._substrings is not None

    index = keras_hash.Index(32, items)
    assert has_tables(index)
    assert not has_tables(keras_hash.Index(32, items[:99]))
    assert not has_tables(keras_hash.Index(32, items[:99].repeat(3, axis=0)))
    assert not has_tables(keras_hash.Index(32, items, method="scan"))
    assert not has_tables(keras_hash.Index(32, items, similarity="and"))
    assert has_tables(keras_hash.Index(32, items[:5], method="multi-index"))
    # A choice of items is scanned: tables for one search would not pay.
    chosen = index._among(range(150))[0]
    chosen.nearest(items[:2], 3)
    assert chosen._substrings is None
    # Files hold no tables, and mapped ones share what they hold.
    path = tmp_path / "photos.index"
    size = []
    for saved in (index, keras_hash.Index(32, items, method="scan")):
        saved.save(path)
        size.append(path.read_bytes())
    assert size[0] == size[1]
    load = keras_hash.Index.load
    assert has_tables(load(path))
    assert not has_tables(load(path, mmap=True))
    assert has_tables(load(path, mmap=True, method="multi-index"))
    assert not has_tables(load(path, method="scan"))


def test_wrong_methods(tmp_path, rng):
    items = codes.pack(rng.randn(3, 12))
    with pytest.raises(ValueError, match="`method` should be .*'fast'"):
        keras_hash.Index(12, items, method="fast")
    with pytest.raises(ValueError, match="for Hamming distances only"):
        keras_hash.Index(12, items, similarity="and", method="multi-index")
    path = tmp_path / "and.index"
    keras_hash.Index(12, items, similarity="and").save(path)
    with pytest.raises(ValueError, match="for Hamming distances only"):
        keras_hash.Index.load(path, method="multi-index")
    with pytest.raises(ValueError, match="`method` should be .*'fast'"):
        keras_hash.Index.load(path, method="fast")
    assert len(keras_hash.Index.load(path)) == 3


def test_a_k_that_tables_are_slow_for_is_scanned_from_then_on(monkeypatch, rng):
    monkeypatch.setattr(groups.Groups, "many", 1)
    codes = rng.randint(0, 256, (3000, 8), "uint8")
    queries = rng.randint(0, 256, (20, 8), "uint8")
    index = keras_hash.Index(64, codes)
    plain = keras_hash.Index(64, codes, method="scan")
    searches = []
    search = substrings.Substrings.search

    def counted(self, *args, **settings):
        searches.append(len(args[0]))
        return search(self, *args, **settings)

    monkeypatch.setattr(substrings.Substrings, "search", counted)
    # Random queries are far from all codes: tables give up on them.
    for count, k in enumerate((10, 10, 50, 1, 1)):
        for one, other in zip(
            index.search(queries, k), plain.search(queries, k)
        ):
            np.testing.assert_array_equal(one, other)
        assert len(searches) == (1 if count < 3 else 2), (count, k)
    # Other codes are tried again.
    index.add(queries)
    index.search(queries, 1)
    assert len(searches) == 3
