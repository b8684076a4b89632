"""Metrics against the mean over all permutations of the ties."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_hash.evaluation import metrics


def rankings(counts, relevant):
    """Every order of relevant (1) and other (0) items that ties allow."""
    groups = [
        list(itertools.permutations([1] * p + [0] * (n - p)))
        for n, p in zip(counts, relevant)
    ]
    for choice in itertools.product(*groups):
        yield [item for group in choice for item in group]


def loop_average_precision(ranking, k):
    k = len(ranking) if k is None else k
    total = min(sum(ranking), k)
    found, value = 0, 0.0
    for position, item in enumerate(ranking[:k], start=1):
        if item:
            found += 1
            value += found / position
    return value / total if total else 0.0


def loop_precision(ranking, k):
    return sum(ranking[:k]) / k


def loop_recall(ranking, k):
    return sum(ranking[:k]) / sum(ranking) if sum(ranking) else 0.0


tables = st.lists(
    st.integers(0, 4).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(0, n))
    ),
    min_size=1,
    max_size=5,
).filter(lambda rows: 0 < sum(n for n, _ in rows) <= 8)


@settings(max_examples=60, deadline=None)
@given(tables, st.integers(1, 12))
def test_expected_values_equal_the_mean_over_all_tie_orders(rows, k):
    counts, relevant = np.array(rows).T[:, None]
    orders = list(rankings(counts[0], relevant[0]))
    cases = [
        (metrics.average_precision, loop_average_precision, k),
        (metrics.average_precision, loop_average_precision, None),
        (metrics.precision, loop_precision, k),
        (metrics.recall, loop_recall, k),
    ]
    for function, loop, cut in cases:
        expected = np.mean([loop(order, cut) for order in orders])
        got = function(counts, relevant, cut)[0]
        assert got == pytest.approx(expected, abs=1e-9), function.__name__


def test_radius_curves_count_the_ball():
    counts = np.array([[0, 2, 1], [1, 0, 0]])
    relevant = np.array([[0, 1, 1], [0, 0, 0]])
    precision, recall = metrics.radius_curves(counts, relevant)
    np.testing.assert_allclose(precision, [[0, 1 / 2, 2 / 3], [0, 0, 0]])
    np.testing.assert_allclose(recall, [[0, 1 / 2, 1], [0, 0, 0]])


def test_one_large_group_has_the_closed_form_of_a_random_order():
    size, good = 50_000, 5_000
    harmonic = np.sum(1 / np.arange(1, size + 1))
    slope = (good - 1) / (size - 1)
    expected = (harmonic + slope * (size - harmonic)) / size
    got = metrics.average_precision(np.array([[size]]), np.array([[good]]))
    assert got[0] == pytest.approx(expected, rel=1e-9)
