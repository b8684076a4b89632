"""The count table against plain loops over pairs."""

import functools
import importlib.util
import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_hash import codes
from keras_hash import loops
from keras_hash.evaluation import kernels
from keras_hash.evaluation import statistic
from keras_hash.loops import counting

KERNELS = [
    kernels.numba_kernel,
    kernels.numpy_kernel,
    kernels.tensorflow_kernel,
]


def loop_counts(query, query_labels, items, item_labels, bits):
    """The table by nested loops over unpacked +-1 codes."""
    a, b = codes.unpack(query, bits), codes.unpack(items, bits)
    counts = {}
    for i in range(len(a)):
        for j in range(len(b)):
            if np.ndim(query_labels) == 1:
                size = int(item_labels[j] >= 0)
                shared = size * int(query_labels[i] == item_labels[j])
            else:
                shared = int(np.sum(query_labels[i] * item_labels[j]))
                size = int(np.sum(item_labels[j]))
            distance = sum(x != y for x, y in zip(a[i], b[j]))
            key = (i, shared, size, distance)
            counts[key] = counts.get(key, 0) + 1
    return counts


def sparse(counts, counter):
    return {
        (int(i), shared, size, int(d)): int(plane[counter.inverse][i, d])
        for (shared, size), plane in counts.planes.items()
        for i, d in np.argwhere(plane[counter.inverse])
    }


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 140),
    st.integers(1, 6),
    st.integers(1, 9),
    st.booleans(),
    st.booleans(),
    st.sampled_from(KERNELS),
    st.integers(0, 2**31 - 1),
)
def test_equals_nested_loops(bits, queries, size, multi, group, kernel, seed):
    random = np.random.RandomState(seed)
    # Few different rows, so that grouping has something to group.
    pool = codes.pack(random.randn(3, bits))
    query = pool[random.randint(3, size=queries)]
    items = pool[random.randint(3, size=size)]
    if multi:
        query_labels = random.randint(2, size=(queries, 70))
        item_labels = random.randint(2, size=(size, 70))
    else:
        query_labels = random.randint(-1, 3, size=queries)
        item_labels = random.randint(-1, 3, size=size)
    arrays = query, query_labels, items, item_labels
    before = [np.copy(array) for array in arrays]
    counter = statistic.Queries(query, query_labels, bits)
    shard = statistic.Items(items, item_labels, bits, group)
    counts = counter.count(shard, kernel)
    assert sparse(counts, counter) == loop_counts(*arrays, bits)
    for was, now in zip(before, arrays):
        np.testing.assert_array_equal(was, now)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("multi", [False, True])
def test_chunks_do_not_change_the_table(rng, kernel, multi):
    items, labels = codes.pack(rng.randn(300, 70)), rng.randint(5, size=300)
    if multi:
        labels = rng.randint(2, size=(300, 5))
    counter = statistic.Queries(items[:43], labels[:43], 70)
    shard = statistic.Items(items, labels, 70)
    whole = counter.count(shard, kernel)
    for rows, cells, chunk in ((1, 1, 9), (7, 1 << 20, 64), (40, 500, 1000)):
        small = functools.partial(kernel, chunk=chunk)
        part = counter.count(shard, small, rows=rows, cells=cells)
        assert part.planes.keys() == whole.planes.keys()
        for key, plane in whole.planes.items():
            np.testing.assert_array_equal(part.planes[key], plane)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("similarity", codes.SIMILARITIES)
def test_wide_tables_and_large_weights(rng, kernel, similarity):
    # 301 distances of 300 shared labels: more cells than 16 bits can name.
    labels = np.zeros((3, 300), "uint8")
    labels[0], labels[1, :299] = 1, 1
    items = codes.pack(rng.randn(3, 300))
    repeated = np.repeat([0, 1, 2], [70_000, 2, 1])
    counter = statistic.Queries(items, labels, 300, similarity)
    shard = statistic.Items(items[repeated], labels[repeated], 300)
    counts = counter.count(shard, kernel)
    bits = codes.unpack(items, 300) > 0
    for i in range(3):
        for j, count in enumerate((70_000, 2, 1)):
            level = int((bits[i] != bits[j]).sum())
            if similarity == "and":
                level = 300 - int((bits[i] & bits[j]).sum())
            shared = int((labels[i] & labels[j]).sum())
            plane = counts.planes[shared, int(labels[j].sum())]
            assert plane[counter.inverse[i], level] == count
    assert sum(plane.sum() for plane in counts.planes.values()) == 3 * 70_003


def test_small_and_large_class_numbers_meet(rng):
    # Queries whose numbers fit 32 bits, a shard whose numbers do not.
    code = codes.pack(rng.randn(3, 6))
    counter = statistic.Queries(code, [0, 1, 2], 6)
    shard = statistic.Items(code, [0, 2**32 + 1, 2], 6)
    for kernel in KERNELS:
        counts = counter.count(shard, kernel)
        same = counts.planes[1, 1][counter.inverse].sum(axis=1)
        np.testing.assert_array_equal(same, [1, 0, 1])


@pytest.fixture
def anew():
    """Numba is looked for again, then and afterwards."""
    loops.load.cache_clear()
    yield
    loops.load.cache_clear()


LOOPS = "keras_hash.loops.counting"


def test_the_compiled_kernel_is_chosen_where_it_pays(monkeypatch, anew):
    assert kernels.choose("auto", 10) is kernels.numba_kernel
    # Few pairs are not worth the import.
    monkeypatch.delitem(sys.modules, LOOPS)
    assert kernels.choose("auto", 10**6) is kernels.numpy_kernel
    assert kernels.choose("auto", 10**9) is kernels.numba_kernel


def test_pairs_of_all_shards_together_are_worth_the_import(monkeypatch, rng):
    asked = []
    monkeypatch.setattr(
        kernels,
        "choose",
        lambda name, pairs: asked.append(pairs) or kernels.numpy_kernel,
    )
    code, labels = codes.pack(rng.randn(20, 40)), np.arange(20)
    counter = statistic.Queries(code[:3], labels[:3], 40)
    for _ in range(3):
        counter.count(statistic.Items(code, labels, 40))
    assert asked == [60, 120, 180]


@pytest.mark.parametrize("broken", ["absent", "switched off", "unfit"])
def test_where_numba_does_not_work_numpy_counts(monkeypatch, anew, broken):
    if broken == "absent":
        monkeypatch.setitem(sys.modules, "numba", None)
    elif broken == "switched off":
        monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    else:
        monkeypatch.delitem(sys.modules, LOOPS)
        monkeypatch.delattr(LOOPS)
        monkeypatch.setattr(numba, "njit", None)
        with pytest.warns(RuntimeWarning, match="Numba .* cannot be imported"):
            assert kernels.choose("auto", 10**9) is kernels.numpy_kernel
    assert kernels.choose("auto", 10**9) is kernels.numpy_kernel
    with pytest.raises(ValueError, match="'numba'` needs what is not"):
        kernels.check("numba")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("empty", marks=pytest.mark.slow),
        pytest.param("cut", marks=pytest.mark.slow),
        "a file",
    ],
)
def test_damaged_files_of_numba_are_passed_over(tmp_path, damage):
    """In processes of their own, as Numba finds its folder when imported."""
    program = f"""
import importlib.util, pathlib, shutil, sys
import numpy as np
spec = importlib.util.spec_from_file_location("c", {counting.__file__!r})
compiled = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compiled)
folder, damage = sys.argv[1:]
if damage == "a file":
    shutil.rmtree(folder)
    pathlib.Path(folder).write_text("x")
random = np.random.RandomState(0)
a, b = (random.randint(2**32, size=(1, n), dtype="uint32") for n in (6, 50))
one, other = (random.randint(3, size=(1, n), dtype="int32") for n in (6, 50))
expected, counts = np.zeros((2, 6, 66), int)
keys = np.bitwise_count(a.T ^ b) + 33 * (one.T == other)
np.add.at(expected, (np.arange(6)[:, None], keys), 7)
w = np.full(50, 7)
rest = (False, 32, False), np.empty((4, 4096), "uint16"), counts
compiled.count((a, b, one, other), w, *rest)
assert (counts == expected).all()
print(not compiled.count.is_kept())
"""
    folder = tmp_path / "numba"
    folder.mkdir()

    def run(damage, folder):
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder), damage],
            env={**os.environ, "NUMBA_CACHE_DIR": str(folder)},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip() == "True"

    if damage in ("empty", "cut"):
        assert not run("none", folder)
        files = [path for path in folder.rglob("*.nb*")]
        assert len(files) == 2
        for path in files:
            data = path.read_bytes()
            path.write_bytes(data[: len(data) // 2 * (damage == "cut")])
    assert run(damage, folder)


def test_loops_are_compiled_even_if_they_cannot_be_kept(monkeypatch):
    compile_with = numba.njit

    def without_a_folder(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return compile_with(**options)

    monkeypatch.setattr(numba, "njit", without_a_folder)
    spec = importlib.util.spec_from_file_location("other", counting.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert not module.count.is_kept()


def test_planes_do_not_keep_the_tables_of_other_shards(rng):
    # Of the first shard both planes are views of one table; the second has
    # items of other classes alone, then of its own alone.
    code = codes.pack(rng.randn(9, 12))
    counter = statistic.Queries(code[:3], np.zeros(3, int), 12)
    shards = [np.arange(9) % 2, np.ones(9, int), np.zeros(9, int)]
    tables = [
        counter.count(statistic.Items(code, labels, 12)) for labels in shards
    ]
    for order in ([0, 1], [1, 0], [0, 2], [2, 1, 0]):
        counts = statistic.Counts({}, 3, 12)
        for number in order:
            counts.add(tables[number])
        assert all(p.base is None for p in counts.planes.values())
        for key, plane in counts.planes.items():
            parts = [tables[n].planes.get(key, 0) for n in order]
            np.testing.assert_array_equal(plane, sum(parts))


def test_far_apart_class_numbers_are_grouped_apart(rng):
    labels = np.array([2**62, 0, 2**40, 0])
    code = codes.pack(np.ones((4, 6)))
    counter = statistic.Queries(code, labels, 6)
    counts = counter.count(statistic.Items(code, labels, 6))
    same = counts.planes[1, 1][counter.inverse, 0]
    np.testing.assert_array_equal(same, [1, 2, 1, 2])


@pytest.mark.parametrize(
    "labels, message",
    [
        (np.zeros(3, int), r"query_labels.shape=\(3,\)"),
        (np.zeros((2, 3, 1)), r"query_labels.shape=\(2, 3, 1\)"),
        (np.full((2, 4), 2), "multi-hot"),
        (np.full((2, 4), -1), "multi-hot, 0 and 1.*values from -1 to -1"),
        (np.full((2, 4), 0.5), "multi-hot, 0 and 1.*fractions"),
        (np.array([0.5, 1]), "fractions"),
        (np.array([[0.5], [1]]), "class numbers.*fractions"),
        (np.array([-2, 1]), "or -1 for an item without.*from -2 to 1"),
        (
            np.array([2**63, 1], "uint64"),
            "values from 1 to 9223372036854775808",
        ),
        (np.array([np.nan, 1]), "finite.*NaN or infinity in 1 of 2"),
        (np.array([[0, np.inf], [1, 0]]), "finite.*1 of 4"),
        (np.array(["a", "b"]), "numbers.*<U1"),
        (np.array([1, 2], object), "numbers.*object"),
        ([[1], [1, 2]], "several lengths"),
        (np.zeros((2, 4)), "of one kind"),
        (np.zeros((2, 0)), r"query_labels.shape=\(2, 0\)"),
    ],
)
def test_wrong_labels_give_one_clear_error(labels, message):
    code = codes.pack(np.ones((2, 8)))
    with pytest.raises(ValueError, match=message):
        counter = statistic.Queries(code, labels, 8)
        counter.count(statistic.Items(code, np.zeros(2, int), 8))


def test_empty_sets_give_a_clear_error():
    code = codes.pack(np.ones((2, 8)))
    with pytest.raises(ValueError, match="database set is empty"):
        statistic.Items(code[:0], np.zeros(0, int), 8)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("similarity", codes.SIMILARITIES)
def test_items_without_a_label_are_like_no_query(rng, kernel, similarity):
    items, labels = codes.pack(rng.randn(40, 9)), rng.randint(-1, 2, size=40)
    counter = statistic.Queries(items[:9], labels[:9], 9, similarity)
    counts = counter.count(statistic.Items(items, labels, 9), kernel)
    totals = {
        key: plane[counter.inverse].sum(axis=1)
        for key, plane in counts.planes.items()
    }
    assert totals.keys() == {(0, 0), (0, 1), (1, 1)}
    same = (labels[:9, None] == labels) & (labels >= 0)
    np.testing.assert_array_equal(totals[1, 1], same.sum(axis=1))
    np.testing.assert_array_equal(totals[0, 0], (labels < 0).sum())
