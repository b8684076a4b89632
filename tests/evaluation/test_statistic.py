"""The count table against plain loops over pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_hash import codes
from keras_hash.evaluation import statistic


def loop_table(query, query_labels, items, item_labels, bits):
    """The table by nested loops over unpacked +-1 codes."""
    a, b = codes.unpack(query, bits), codes.unpack(items, bits)
    shared = {}
    for i in range(len(a)):
        for j in range(len(b)):
            if np.ndim(query_labels) == 1:
                level = int(query_labels[i] == item_labels[j])
            else:
                level = int(np.sum(query_labels[i] * item_labels[j]))
            distance = sum(x != y for x, y in zip(a[i], b[j]))
            key = (i, level, distance)
            shared[key] = shared.get(key, 0) + 1
    return shared


def sparse(table):
    return {
        tuple(map(int, where)): int(table[tuple(where)])
        for where in np.argwhere(table)
    }


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 70),
    st.integers(1, 6),
    st.integers(1, 9),
    st.booleans(),
    st.integers(0, 2**31 - 1),
)
def test_equals_nested_loops(bits, queries, size, multi, seed):
    random = np.random.RandomState(seed)
    # Few different rows, so that grouping has something to group.
    pool = codes.pack(random.randn(3, bits))
    query = pool[random.randint(3, size=queries)]
    items = pool[random.randint(3, size=size)]
    if multi:
        query_labels = random.randint(2, size=(queries, 9))
        item_labels = random.randint(2, size=(size, 9))
    else:
        query_labels = random.randint(-1, 3, size=queries)
        item_labels = random.randint(-1, 3, size=size)
    arguments = query, query_labels, items, item_labels, bits
    before = [np.copy(a) for a in arguments[:4]]
    table = statistic.count_table(*arguments)
    assert sparse(table) == loop_table(*arguments)
    for was, now in zip(before, arguments[:4]):
        np.testing.assert_array_equal(was, now)


def test_chunks_do_not_change_the_table(monkeypatch, rng):
    arguments = (
        codes.pack(rng.randn(40, 20)),
        rng.randint(5, size=40),
        codes.pack(rng.randn(300, 20)),
        rng.randint(5, size=300),
        20,
    )
    whole = statistic.count_table(*arguments)
    for chunk in (1, 64, 1000):
        monkeypatch.setattr(statistic, "_CHUNK", chunk)
        np.testing.assert_array_equal(statistic.count_table(*arguments), whole)


def test_more_than_127_shared_labels_do_not_overflow():
    code = codes.pack(np.ones((1, 8)))
    labels = np.ones((1, 300), "int8")
    table = statistic.count_table(code, labels, code, labels, 8)
    assert sparse(table) == {(0, 300, 0): 1}


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
        statistic.count_table(code, labels, code, np.zeros(2, int), 8)


def test_empty_sets_give_a_clear_error():
    code = codes.pack(np.ones((2, 8)))
    with pytest.raises(ValueError, match="database set is empty"):
        statistic.count_table(code, [0, 1], code[:0], np.zeros(0, int), 8)
