"""The count table against plain loops over pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_hash import codes
from keras_hash.evaluation import kernels
from keras_hash.evaluation import statistic

KERNELS = [kernels.numpy_kernel, kernels.tensorflow_kernel]


def loop_counts(query, query_labels, items, item_labels, bits):
    """The table by nested loops over unpacked +-1 codes."""
    a, b = codes.unpack(query, bits), codes.unpack(items, bits)
    counts = {}
    for i in range(len(a)):
        for j in range(len(b)):
            if np.ndim(query_labels) == 1:
                shared, size = int(query_labels[i] == item_labels[j]), 1
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
    counter = statistic.Queries(query, query_labels, bits, group=group)
    few = kernels._FEW
    # Row by row, too, which these sizes would not be.
    kernels._FEW = few * (seed % 2)
    try:
        counts = counter.count(items, item_labels, kernel)
    finally:
        kernels._FEW = few
    assert sparse(counts, counter) == loop_counts(*arrays, bits)
    for was, now in zip(before, arrays):
        np.testing.assert_array_equal(was, now)


@pytest.mark.parametrize("kernel", KERNELS)
def test_chunks_do_not_change_the_table(monkeypatch, rng, kernel):
    items, labels = codes.pack(rng.randn(300, 20)), rng.randint(5, size=300)
    counter = statistic.Queries(items[:40], labels[:40], 20)
    whole = counter.count(items, labels, kernel)
    for chunk, columns, few in ((1, 9, 0), (64, 16, 99), (1000, 40, 0)):
        monkeypatch.setattr(statistic, "_CHUNK", chunk)
        monkeypatch.setattr(statistic, "_COLUMNS", columns)
        monkeypatch.setattr(kernels, "_FEW", few)
        part = counter.count(items, labels, kernel)
        for key, plane in whole.planes.items():
            np.testing.assert_array_equal(part.planes[key], plane)


def test_far_apart_class_numbers_are_grouped_apart(rng):
    labels = np.array([-(2**40), 0, 2**40, 0])
    code = codes.pack(np.ones((4, 6)))
    counter = statistic.Queries(code, labels, 6)
    counts = counter.count(code, labels)
    same = counts.planes[1, 1][counter.inverse, 0]
    np.testing.assert_array_equal(same, [1, 2, 1, 2])


@pytest.mark.parametrize(
    "labels, message",
    [
        (np.zeros(3, int), r"query_labels.shape=\(3,\)"),
        (np.zeros((2, 3, 1)), r"query_labels.shape=\(2, 3, 1\)"),
        (np.full((2, 4), 2), "multi-hot"),
        (np.array([0.5, 1]), "fractions"),
        (np.array(["a", "b"]), "numbers"),
        (np.zeros((2, 4)), "of one kind"),
    ],
)
def test_wrong_labels_give_one_clear_error(labels, message):
    code = codes.pack(np.ones((2, 8)))
    with pytest.raises(ValueError, match=message):
        counter = statistic.Queries(code, labels, 8)
        counter.count(code, np.zeros(2, int))


def test_empty_sets_give_a_clear_error():
    code = codes.pack(np.ones((2, 8)))
    with pytest.raises(ValueError, match="database set is empty"):
        statistic.Queries(code, [0, 1], 8).count(code[:0], np.zeros(0, int))
