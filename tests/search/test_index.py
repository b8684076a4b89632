"""The index against plain loops."""

import concurrent.futures
import copy
import hashlib
import os
import pickle
import signal
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from mutations import seal_index

import keras_hash
from keras_hash import codes
from keras_hash import files
from keras_hash.search import by_features
from keras_hash.search import groups
from keras_hash.search import scan
from keras_hash.search import storage
from keras_hash.search import substrings


class Loop:
    """What `Index` should do, with a list of items."""

    def __init__(self, bits, similarity):
        self.bits, self.similarity, self.items = bits, similarity, []

    def level(self, a, b):
        """How far two codes are from each other, each as one long integer."""
        if self.similarity == "and":
            return self.bits - (a & b).bit_count()
        return (a ^ b).bit_count()

    def ranked(self, query, among=None):
        query = int.from_bytes(query.tobytes())
        items = [
            (self.level(query, int.from_bytes(code.tobytes())), one)
            for one, code in self.items
            if among is None or one in among
        ]
        return sorted(items, key=lambda item: item[0])

    def search(self, queries, k, among=None):
        found = [self.ranked(query, among)[:k] for query in queries]
        return (
            [[level for level, _ in row] for row in found],
            [[one for _, one in row] for row in found],
        )

    def range_search(self, queries, radius, among=None):
        found = [
            [item for item in self.ranked(query, among) if item[0] <= radius]
            for query in queries
        ]
        lims = [0, *np.cumsum([len(row) for row in found]).tolist()]
        levels = [level for row in found for level, _ in row]
        return lims, levels, [one for row in found for _, one in row]


def same(found, expected):
    assert [part.tolist() for part in found] == list(expected)


@pytest.mark.parametrize(
    "examples", [120, pytest.param(600, marks=pytest.mark.slow)]
)
def test_equals_a_loop(examples):
    settings(max_examples=examples, deadline=None)(check_against_a_loop)()


@given(
    bits=st.integers(1, 130),
    distinct=st.integers(1, 70),
    k=st.integers(1, 80),
    similarity=st.sampled_from(["hamming", "and"]),
    method=st.sampled_from(["auto", "multi-index"]),
    strings=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
    data=st.data(),
)
def check_against_a_loop(
    bits, distinct, k, similarity, method, strings, seed, data
):
    random = np.random.RandomState(seed)
    pool = codes.pack(random.randn(distinct, bits))
    if data.draw(st.booleans()):
        pool[0] = codes.pack(np.ones((1, bits)))[0]
    # On so few items no query would be left to the tables.
    budget = data.draw(st.sampled_from([0.001, 0.1]))
    merged = data.draw(st.sampled_from([1, 256]))
    with (
        mock.patch.object(substrings.Substrings, "cost", budget),
        mock.patch.object(groups.Groups, "merged", merged),
    ):
        check_steps(
            keras_hash.Index(
                bits,
                similarity=similarity,
                method="auto" if similarity == "and" else method,
            ),
            Loop(bits, similarity),
            pool,
            k,
            strings,
            random,
            data,
        )


def check_steps(index, loop, pool, k, strings, random, data):
    """Adds, removes, saves and searches in any order."""
    bits, distinct = index.bits, len(pool)
    names = random.permutation(1000) - 500
    names = [f"é{i}" if strings else int(i) for i in names]
    steps = st.lists(st.sampled_from(["add", "remove", "save"]), max_size=6)
    for step in ["add", *data.draw(steps), "add"]:
        if step == "add":
            size = data.draw(st.integers(0, 30)) + (not loop.items)
            some = pool[random.randint(distinct, size=size)]
            ids, names = names[:size], names[size:]
            index.add(some, ids)
            loop.items += zip(ids, some)
        elif step == "remove":
            gone = [one for one, _ in loop.items if random.rand() < 0.3]
            index.remove(gone)
            loop.items = [item for item in loop.items if item[0] not in gone]
        else:
            index = pickle.loads(pickle.dumps(index))
        assert len(index) == len(loop.items)
        assert index.ids.tolist() == [one for one, _ in loop.items]
        if not loop.items:
            continue
        queries = codes.pack(random.randn(3, bits))
        queries = np.concatenate([queries, pool[:4], pool[:1]])
        among = {one for one, _ in loop.items if random.rand() < 0.5}
        unknown = "none" if strings else 10_000
        for chosen in (None, among | {unknown}):
            same(
                index.search(queries, k, chosen),
                loop.search(queries, k, chosen),
            )
            radius = data.draw(st.integers(0, bits + 2))
            same(
                index.range_search(queries, radius, chosen),
                loop.range_search(queries, radius, chosen),
            )


@pytest.mark.parametrize("similarity", ["hamming", "and"])
@pytest.mark.parametrize("bits", [255, 256, 257, 500, 512, 1000, 1024])
def test_long_codes(bits, similarity, rng):
    items = codes.pack(rng.randn(60, bits))
    items[:2] = codes.pack(np.ones((2, bits)))
    items[2:4] = codes.pack(-np.ones((2, bits)))
    index = keras_hash.Index(bits, items, similarity=similarity)
    loop = Loop(bits, similarity)
    loop.items = list(enumerate(items))
    for k in (1, 7, 60):
        same(index.search(items[:5], k), loop.search(items[:5], k))
    for radius in (0, bits // 2, bits):
        same(
            index.range_search(items[:5], radius),
            loop.range_search(items[:5], radius),
        )


@pytest.mark.parametrize("similarity", ["hamming", "and"])
@pytest.mark.parametrize("distinct", [4, 3000, None])
@pytest.mark.parametrize("k", [10, 900, 6000, 30_000])
def test_large_sets(distinct, k, similarity, rng):
    items = codes.pack(rng.randn(distinct or 20_000, 30))
    if distinct:
        items = items[rng.randint(distinct, size=20_000)]
    index = keras_hash.Index(30, items, similarity=similarity)
    queries = items[:50]
    distances, ids = index.search(queries, k, threads=1)
    expected = codes.hamming(queries, items)
    if similarity == "and":
        ones = np.bitwise_count(queries).sum(axis=1, dtype="int32")[:, None]
        ones = ones + np.bitwise_count(items).sum(axis=1, dtype="int32")
        expected = 30 - (ones - expected) // 2
    order = np.argsort(expected, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(ids, order)
    np.testing.assert_array_equal(
        distances, np.take_along_axis(expected, order, 1)
    )


@pytest.mark.parametrize("bits", [60, 128, 250, 500])
@pytest.mark.parametrize("near_last", [False, True])
def test_ties_of_long_codes(bits, near_last, rng):
    """Thousands of different codes at a few distances, kept in order."""
    ones = rng.randint(bits, size=(12_000, 2))
    items = np.zeros((12_000, bits), bool)
    np.put_along_axis(items, ones, True, axis=1)
    items = codes.pack(items)
    items = items[np.sort(codes.group(items)[0])]
    queries = items[rng.randint(len(items), size=20)]
    distances = codes.hamming(queries, items)
    if near_last:
        # A heap then takes in nearly every code, and gives most of them up.
        items = items[np.argsort(-distances[0], kind="stable")]
        distances = codes.hamming(queries, items)
    assert len(np.unique(distances)) <= 5
    index = keras_hash.Index(bits, items, method="scan")
    for k in (1, 10, 200, 201):
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]
        for threads in (1, 2):
            far, ids = index.search(queries, k, threads=threads)
            np.testing.assert_array_equal(ids, order)
            np.testing.assert_array_equal(
                far, np.take_along_axis(distances, order, 1)
            )


def test_small_blocks(monkeypatch, rng):
    """Queries are cut up by the memory that they take."""
    monkeypatch.setattr(groups.Groups, "block", 50)
    items = codes.pack(rng.randn(90, 40))[rng.randint(90, size=300)]
    index, loop = keras_hash.Index(40, items), Loop(40, "hamming")
    loop.items = list(enumerate(items))
    for k in (1, 5, 40):
        same(index.search(items[:40], k), loop.search(items[:40], k))
    same(index.range_search(items[:40], 9), loop.range_search(items[:40], 9))
    different = codes.padded(items[codes.group(items)[0]], 8)
    whole = scan.Scan(different).nearest(different, 5)
    for limits in ({"counters": 1 << 13}, {"counters": 0, "block": 50}):
        found = scan.Scan(different).nearest(different, 5, **limits)
        np.testing.assert_array_equal(found, whole)


def test_equal_codes_are_held_once(rng):
    items = codes.pack(rng.randn(50, 48))[rng.randint(50, size=10_000)]
    index = keras_hash.Index(48)
    for part in np.array_split(items, 7):
        index.add(part)
        index.search(items[:1])
    assert repr(index) == (
        "<Index bits=48, similarity='hamming', items=10000, distinct codes=50>"
    )
    assert index._groups().codes.shape == (50, 8)
    assert index.nbytes < 100_000


def test_ids(rng):
    items = codes.pack(rng.randn(6, 12))
    index = keras_hash.Index(12, items[:2])
    index.add(items[2:4], [40, 7])
    index.add(items[4:5])
    assert index.ids.tolist() == [0, 1, 40, 7, 41]
    index.remove([41, 41, 0])
    # A number is not given twice.
    index.add(items[5:])
    assert index.ids.tolist() == [1, 40, 7, 42]
    with pytest.raises(ValueError):
        index.ids[0] = 3
    for twice in ([9, 9], [8, 40], [7, 9]):
        with pytest.raises(ValueError, match="all be different.*twice"):
            index.add(items[:2], twice)
    with pytest.raises(ValueError, match="should be ints, as before"):
        index.add(items[:1], ["a"])
    with pytest.raises(ValueError, match="1 that are not, first 99"):
        index.remove([1, 99])
    with pytest.raises(ValueError, match="1 that are not, first 'a'"):
        index.remove(["a"])
    assert index.ids.tolist() == [1, 40, 7, 42]
    index.remove([])
    index.remove(index.ids)
    assert len(index) == 0
    index.add(items[:1], np.array(["x"]))
    assert index.search(items[:1])[1].tolist() == [["x"]]
    with pytest.raises(ValueError, match="this index has strings"):
        index.add(items[:1])
    with pytest.raises(ValueError, match="should be strings, as before"):
        index.add(items[:1], [3])
    for twice in (["x"], ["y", "y"]):
        with pytest.raises(ValueError, match="all be different"):
            index.add(items[: len(twice)], twice)
    index = keras_hash.Index(12, items[:1], [2**63 - 2])
    with pytest.raises(ValueError, match="no ints are left"):
        index.add(items[:2])


@pytest.mark.parametrize(
    "ids",
    [
        ["a", 1],
        [1.5, 2.5],
        [True, False],
        [[1], [2]],
        np.array([1, 2**63], "uint64"),
        np.array(["a", 1], object),
        [b"a", b"b"],
    ],
)
def test_wrong_ids(ids, rng):
    items = codes.pack(rng.randn(2, 12))
    match = "`ids` should be ints .* or strings"
    with pytest.raises(ValueError, match=match) as of_index:
        keras_hash.Index(12, items, ids)
    with pytest.raises(ValueError) as of_layer:
        keras_hash.search.HammingSearch(items, 12, ids)
    assert str(of_layer.value) == str(of_index.value)
    index = keras_hash.Index(12, items)
    with pytest.raises(ValueError, match="`among` should be ints"):
        index.search(items, among=ids)


def filled(kind, rng, bits=21, similarity="hamming"):
    items = codes.pack(rng.randn(9, bits))
    if kind == "repeated":
        items = items[rng.randint(4, size=9)]
    ids = np.arange(9) * 7 % 11
    if kind == "strings":
        ids = ["", "é", "\udc80.jpg", "a\0", *"abcde"]
    return keras_hash.Index(bits, items, ids, similarity)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("similarity", ["hamming", "and"])
@pytest.mark.parametrize("kind", ["different", "repeated", "strings"])
def test_save_and_load(kind, similarity, mmap, tmp_path, rng):
    index = filled(kind, rng, similarity=similarity)
    path = tmp_path / "photos.index"
    query = codes.pack(rng.randn(3, 21))
    for turn in range(3):
        index.save(path)
        again = keras_hash.Index.load(path, mmap=mmap)
        assert (again.bits, again.similarity) == (21, similarity)
        assert again.ids.tolist() == index.ids.tolist()
        for a, b in zip(index.search(query, 9), again.search(query, 9)):
            np.testing.assert_array_equal(a, b)
        # A loaded index grows and shrinks, and replaces its own file.
        again.remove(again.ids[:2])
        more = [f"new {turn}", f"newer {turn}"] if kind == "strings" else None
        again.add(query[:2], more)
        assert len(again) == 9
        index = again
    assert [p.name for p in tmp_path.iterdir()] == ["photos.index"]


@pytest.mark.parametrize("kind", ["S8", "U2", "f8", "c8", "M8[s]", "?", "i1"])
def test_arrays_of_another_kind_are_refused(kind, tmp_path):
    """Of a file whose checksum is right, in any of the arrays and fields."""
    path = tmp_path / "index"
    codes = np.arange(6, dtype="uint8")[[0, 1, 1, 2, 3, 3], None]
    for ids in (None, [f"é{i}" for i in range(6)]):
        keras_hash.Index(8, codes, ids).save(path)
        fields, arrays = storage.read(path)
        assert len(arrays) > 1
        for name, array in arrays.items():
            other = np.zeros(array.shape, kind)
            storage.write(path, fields, {**arrays, name: other})
            with pytest.raises(ValueError, match="written by `Index.save`"):
                keras_hash.Index.load(path)
        for name in fields:
            for wrong in (None, "x", [1], {"a": 1}, 1.5):
                storage.write(path, {**fields, name: wrong}, arrays)
                try:
                    keras_hash.Index.load(path)
                except ValueError as error:
                    assert "written by `Index.save`" in str(error)


@pytest.mark.parametrize("mmap", [False, True])
def test_damaged_files(mmap, tmp_path, rng):
    path = tmp_path / "photos.index"
    filled("repeated", rng).save(path)
    content = path.read_bytes()
    damaged = [content[:size] for size in range(len(content))]
    damaged += [content + b"\0", b"not an index", b"keras_hash.Index x\n"]
    for place in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[place] ^= 1
        damaged.append(bytes(flipped))
    for bad in damaged:
        path.write_bytes(bad)
        with pytest.raises(ValueError, match="written by `Index.save`"):
            keras_hash.Index.load(path, mmap=mmap)
    path.write_bytes(b"keras_hash.Index  7\n" + content[20:])
    with pytest.raises(ValueError, match="format 7; this keras_hash reads up"):
        keras_hash.Index.load(path, mmap=mmap)
    with pytest.raises(ValueError, match="written by `Index.save`"):
        keras_hash.Index.load(tmp_path / "missing", mmap=mmap)


class Half:
    """A file that takes half of what is written, and then all ends."""

    def __init__(self, path, mode):
        self.file = open(path, mode)  # noqa: SIM115

    def __enter__(self):
        return self

    def __exit__(self, *_):
        killed()

    def write(self, data):
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        killed()


def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("moment", ["amid writing", "before the rename"])
def test_a_kill_amid_saving(moment, tmp_path, rng):
    path = tmp_path / "photos.index"
    index = filled("repeated", rng)
    index.save(path)
    before = path.read_bytes()
    index.remove(index.ids[:2])
    child = os.fork()
    if child == 0:
        try:
            if moment == "amid writing":
                files.open = Half
            else:
                os.replace = killed
            index.save(path)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    # What was stored before is there, and what was left behind harms nothing.
    assert path.read_bytes() == before
    beside = [p for p in tmp_path.iterdir() if p != path]
    assert [p.stat().st_size > 0 for p in beside] == [True]
    assert len(keras_hash.Index.load(path)) == 9
    index.save(path)
    assert len(keras_hash.Index.load(path)) == 7


def test_another_number_of_bits(rng):
    """Refused, and the index is as it was."""
    items = codes.pack(rng.randn(3, 21))
    index = keras_hash.Index(21, items)
    for bits in (8, 16, 32, 64):
        wrong = codes.pack(rng.randn(2, bits))
        for call in (index.add, index.search):
            with pytest.raises(ValueError, match=r"uint8 \[n, 3\] for 21 bits"):
                call(wrong)
        with pytest.raises(ValueError, match=r"uint8 \[n, 3\] for 21 bits"):
            index.range_search(wrong, 3)
    # As many bytes, but other bits.
    wrong = codes.pack(np.ones((2, 24)))
    for call in (index.add, index.search):
        with pytest.raises(ValueError, match="bits set after its first 21"):
            call(wrong)
    assert len(index) == 3
    assert index.search(items, 1)[0].tolist() == [[0], [0], [0]]


def test_more_than_there_is(rng):
    """k beyond the index gives all items, whatever searches."""
    items = codes.pack(rng.randn(5, 21))
    for method in ("scan", "multi-index"):
        index = keras_hash.Index(21, items, method=method)
        distances, ids = index.search(items[:2], k=1000)
        assert distances.shape == ids.shape == (2, 5)
        assert np.sort(ids, axis=1).tolist() == [list(range(5))] * 2


def test_empty_index_is_saved(tmp_path):
    path = tmp_path / "empty.index"
    keras_hash.Index(5).save(path)
    again = keras_hash.Index.load(path)
    assert len(again) == 0
    again.add(np.zeros((1, 1), "uint8"))
    assert again.ids.tolist() == [0]


def test_what_an_index_says_of_its_codes(tmp_path, rng):
    """Kept in the file, and by whoever loads and saves it again."""
    path = tmp_path / "new" / "photos.index"
    index = keras_hash.Index(5, codes.pack(rng.randn(3, 5)))
    assert index.about == {}
    about = {"name": "dshc", "layers": (1, 2)}
    index.save(path, about)
    again = keras_hash.Index.load(path)
    assert again.about == index.about == {"name": "dshc", "layers": [1, 2]}
    again.add(again.codes)
    again.save(path)
    assert keras_hash.Index.load(path).about == index.about
    before = path.read_bytes()
    for wrong in ("dshc", {"codes": again.codes}):
        with pytest.raises(ValueError, match="`about` should be a dict that"):
            again.save(path, about=wrong)
    assert path.read_bytes() == before
    # Set by hand, it is as in a file.
    before = path.read_bytes()
    for wrong in ("my set", {"x": {1}}):
        again.about = wrong
        with pytest.raises(ValueError, match="`about` should be a dict that"):
            again.save(path)
        assert path.read_bytes() == before
    again.about = {}
    again.save(path, about={"loss": float("nan")})
    assert keras_hash.Index.load(path).about == {"loss": None}
    again.save(path, about={})
    assert keras_hash.Index.load(path).about == {}
    # As `keras-hash search` once wrote it.
    fields, arrays = storage.read(path)
    storage.write(path, {**fields, "encoder": {"name": "dshc"}}, arrays)
    assert keras_hash.Index.load(path).about == {"name": "dshc"}


# What no index writes, in a file whose checksum is right: other values by part.
WRONG = {
    "bits": (None, "21", 21.0, 0, 18, 37, 10**30),
    "similarity": (None, "dot", [], {}),
    "following": (None, -1, 5, 2.5, 1 << 64),
    "about": (None, "dshc", ["dshc"]),
    "ids": (
        np.arange(9.0), np.arange(9, dtype="int32"), np.zeros((9, 1), int),
        np.arange(8), np.arange(10), np.full(9, "a"),
    ),
    "codes": (
        np.zeros((9, 3), "uint8"), np.zeros((9, 4), "int8"),
        np.zeros(36, "uint8"), np.full((9, 4), 255, "uint8"),
        np.eye(9, 4, 3, dtype="uint8"), np.zeros((0, 4), "uint8"),
    ),
    "group": (
        np.zeros(9), np.zeros((9, 1), "int32"), np.zeros(9, "int64"),
        *(np.array([0, 1, 2, *more], "int32") for more in (
            [0, 1, 2, 0, 1, 9], [0, 1, 2, 0, 1, -1], [0, 1, 2, 0, 1, 1],
            [4, 3, 5, 6, 7, 8], [3, 4, 5, 6, 7], [3, 4, 5, 6, 7, 8, 0],
        )),
        np.array([1, 0, 2, 3, 4, 5, 6, 7, 8], "int32"), np.zeros(0, "int32"),
    ),
    "ids_ends": (
        np.arange(9.0), np.arange(1, 9), np.full((9, 1), 9),
        np.array([1, 2, 3, 4, 5, 6, 7, 9, 8]), np.array([-1, *range(1, 9)]),
    ),
    "ids_text": (np.zeros(8, "uint8"), np.zeros(9), np.full(9, 255, "uint8")),
}  # fmt: skip


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("part", WRONG)
def test_files_that_make_no_sense(part, mmap, tmp_path, rng):
    path, names = tmp_path / "odd.index", [*"abcdefghi"]
    index = keras_hash.Index(21, codes.pack(rng.randn(9, 21)))
    if part.startswith("ids_"):
        index = keras_hash.Index(21, index.codes, names)
    index.save(path)
    fields, arrays = storage.read(path)
    where = 0 if part in ("bits", "similarity", "following", "about") else 1
    for wrong in WRONG[part]:
        parts = dict(fields), dict(arrays)
        parts[where][part] = wrong
        storage.write(path, *parts)
        with pytest.raises(ValueError, match="should be a file written by"):
            keras_hash.Index.load(path, mmap=mmap)
    for missing in ({}, {"bits": 21, "similarity": "hamming"}):
        storage.write(path, missing, {})
        with pytest.raises(ValueError, match="should be a file written by"):
            keras_hash.Index.load(path, mmap=mmap)


@pytest.mark.parametrize(
    "header",
    [
        b"", b"[]", b"{}", b'{"fields": 1, "arrays": {}}', b"[" * 20_000,
        b'{"fields": {}, "arrays": []}', b'{"fields": {}, "arrays": {"a": 1}}',
        b'{"fields": {}, "arrays": {"a": ["<i8", [9], 0]}}',
        b'{"fields": {}, "arrays": {"a": ["<i7", [0], 0]}}',
        b'{"fields": {}, "arrays": {"a": [1e999, [0], 0]}}',
        b'{"fields": {}, "arrays": {"a": ["<i8", [null], 0]}}',
        b'{"fields": {}, "arrays": {"a": ["<i8", [0], 0.5]}}',
        b'{"fields": {}, "arrays": {"a": ["|O", [1], 0]}}',
        b'{"fields": {}, "arrays": {"a": ["|u1", [9223372036854775807], 0]}}',
        b'{"fields": {}, "arrays": {"a": ["|u1", [1], -999]}}',
    ],
)  # fmt: skip
def test_headers_that_make_no_sense(header, tmp_path):
    path = tmp_path / "odd.index"
    first = b"keras_hash.Index   2\n" + b"0" * 64 + b"\n"
    path.write_bytes(
        seal_index(first + len(header).to_bytes(8, "little") + header)
    )
    with pytest.raises(ValueError, match="its header makes no sense"):
        keras_hash.Index.load(path)


@pytest.mark.parametrize("kind", ["different", "repeated", "strings"])
def test_codes_in_the_order_of_ids(kind, tmp_path, rng):
    index = filled(kind, rng)
    more = codes.pack(rng.randn(2, 21))
    # In the order of ids, the nearest of all items is the item itself.
    for one, code in zip(index.ids, index.codes):
        assert index.search(code[None], 1, among=[one])[0] == 0
    expected = [code.tolist() for code in index.codes]
    index.add(more, ["x", "y"] if kind == "strings" else None)
    expected = [*expected, *more.tolist()]
    index.remove(index.ids[[1, 4]])
    del expected[4], expected[1]
    index.save(tmp_path / "codes.index")
    mapped = keras_hash.Index.load(tmp_path / "codes.index", mmap=True)
    for one in (index, mapped):
        assert one.codes.tolist() == expected
        distances, _ = one.search(one.codes, 1)
        assert distances.tolist() == [[0]] * len(one)
        with pytest.raises(ValueError, match="read-only"):
            one.codes[0, 0] = 1
    assert index.nbytes > 0


def test_files_do_not_change(tmp_path):
    """The format is fixed; a change needs a version of its own."""
    path = tmp_path / "fixed.index"
    items = np.array([[1, 128], [1, 128], [7, 0]], "uint8")
    keras_hash.Index(9, items, ["a", "b", "é"]).save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest[:16] == "82838dc35bd33e4e"


@pytest.mark.parametrize("call", [False, True])
@pytest.mark.parametrize("strings", [False, True])
def test_rerank(call, strings, rng):
    items = codes.pack(rng.randn(8, 16))[rng.randint(8, size=60)]
    features = rng.randn(60, 5).astype("float32")
    features[7] = features[8]
    ids = rng.permutation(60)
    if strings:
        ids = np.array([f"photo {i}" for i in ids])
    index = keras_hash.Index(16, items, ids)
    by_id = dict(zip(index.ids, features))
    source = features
    if call:
        source = lambda some: [by_id[one] for one in some]  # noqa: E731
    queries = rng.randn(6, 5)
    among = ids[::2]
    for chosen in (None, among):
        found, names = index.search(
            items[:6], 4, chosen, rerank=(queries, source), candidates=20
        )
        assert found.dtype == "float32" and found.shape == names.shape == (6, 4)
        _, near = index.search(items[:6], 20, chosen)
        for row, query in enumerate(queries):
            expected = [np.linalg.norm(by_id[i] - query) for i in near[row]]
            order = np.argsort(expected, kind="stable")[:4]
            assert names[row].tolist() == near[row][order].tolist()
            np.testing.assert_allclose(
                found[row], np.array(expected)[order], rtol=1e-5
            )
    found, _ = index.search(items[:6], rerank=(queries, source))
    assert found.shape == (6, 10)
    # However many features are held at a time.
    places = rng.randint(60, size=(6, 20))
    given = by_features.check((queries, source), 6, 60)
    whole = by_features.nearest(*given, places, index.ids, 4)
    for floats in (1, 200):
        some = by_features.nearest(*given, places, index.ids, 4, floats)
        np.testing.assert_array_equal(some, whole)
    for wrong, message in (
        (features, "should be a pair"),
        ((queries[:5], source), r"`rerank\[0\]` should be features \[6, d\]"),
        ((queries, features[:9]), r"features \[60, 5\]"),
        ((queries, lambda some: np.zeros((1, 5))), "or return, features"),
    ):
        with pytest.raises(ValueError, match=message):
            index.search(items[:6], 4, rerank=wrong)
    with pytest.raises(
        ValueError, match="`candidates` should be an int of at least 4"
    ):
        index.search(items[:6], 4, rerank=(queries, source), candidates=3)
    with pytest.raises(ValueError, match="needs `rerank`"):
        index.search(items[:6], 4, candidates=30)


def test_clear_errors(rng):
    index = keras_hash.Index(bits=12)
    query = codes.pack(rng.randn(2, 12))
    with pytest.raises(ValueError, match="index is empty"):
        index.search(query)
    with pytest.raises(ValueError, match="index is empty"):
        index.range_search(query, 2)
    with pytest.raises(ValueError, match=r"`ids` should have shape \[2\]"):
        index.add(query, [1])
    with pytest.raises(ValueError, match=r"packed codes, uint8 \[n, 2\]"):
        index.add(query.astype("int32"))
    assert len(index) == 0
    index.add(query)
    with pytest.raises(ValueError, match="`k` should be an int of at least 1"):
        index.search(query, k=0)
    with pytest.raises(
        ValueError, match="`radius` should be an int of at least 0"
    ):
        index.range_search(query, -1)
    with pytest.raises(
        ValueError, match="`threads` should be an int of at least 1"
    ):
        index.search(query, threads=0)
    with pytest.raises(ValueError, match="`bits` should be"):
        keras_hash.Index(bits=0)
    with pytest.raises(ValueError, match="`bits` should be an int"):
        keras_hash.Index(bits=12.0)
    with pytest.raises(ValueError, match="`similarity` should be"):
        keras_hash.Index(12, similarity="dot")


@pytest.mark.parametrize("method", ["scan", "multi-index"])
@pytest.mark.parametrize("distinct", [40, 3000])
def test_threads_that_search_together(distinct, method, monkeypatch, rng):
    """On codes that wait to be grouped, each with its own number of threads."""
    monkeypatch.setattr(substrings.Substrings, "cost", 0.01)
    monkeypatch.setattr(substrings.Substrings, "rows", 8)
    pool = codes.pack(rng.randn(distinct, 40))
    items = pool[rng.randint(distinct, size=4000)]
    index = keras_hash.Index(40, items, method=method)
    queries = items[:60]
    distances = codes.hamming(queries, items)
    order = np.argsort(distances, axis=1, kind="stable")[:, :30]

    def search(number):
        found = index.search(queries, 30, threads=1 + number % 3)
        lims, _, ids = index.range_search(queries, 5, threads=1 + number % 2)
        return found[1], lims, ids

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for ids, lims, within in pool.map(search, range(16)):
            np.testing.assert_array_equal(ids, order)
            sizes = (distances <= 5).sum(axis=1)
            np.testing.assert_array_equal(np.diff(lims), sizes)
            assert len(within) == lims[-1]


def test_nothing_to_find(rng):
    items = codes.pack(rng.randn(2, 12))
    index = keras_hash.Index(12, items)
    distances, ids = index.search(items[:0], k=5)
    assert distances.shape == ids.shape == (0, 2)
    distances, ids = index.search(items, k=5, among=[])
    assert distances.shape == ids.shape == (2, 0)
    found = index.range_search(items, 12, among=[5])
    assert [part.tolist() for part in found] == [[0, 0, 0], [], []]
    lims, _, ids = index.range_search(items[:0], 3)
    assert lims.tolist() == [0] and len(ids) == 0


def test_a_copy_is_apart(rng):
    items = codes.pack(rng.randn(9, 64))
    for ids in (None, [f"{n}.png" for n in range(9)]):
        part = [ids[i : i + 3] if ids else None for i in (0, 3, 6)]
        index = keras_hash.Index(64, items[:3], part[0])
        index.search(items[:1])
        for other in (copy.copy(index), copy.deepcopy(index)):
            other.add(items[3:6], part[1])
            assert (len(index), len(other)) == (3, 6)
        index.add(items[6:], part[1])
        assert index.search(items[8:], k=1)[1][0, 0] == index.ids[5]


def test_ids_come_with_codes():
    with pytest.raises(ValueError, match="`ids` should come with their codes"):
        keras_hash.Index(8, ids=[1, 2])
