"""Closed forms at sizes that no permutation can reach."""

import numpy as np
import pytest

from keras_hash.evaluation import closed_forms
from keras_hash.evaluation.values import Groups
from keras_hash.evaluation.values import ranking


def test_one_large_group_has_the_closed_form_of_a_random_order():
    size, good = 50_000, 5_000
    harmonic = np.sum(1 / np.arange(1, size + 1))
    slope = (good - 1) / (size - 1)
    expected = (harmonic + slope * (size - harmonic)) / size
    groups = Groups(np.array([[size]]), np.array([[good]]))
    got = closed_forms.average_precision(groups)
    assert got[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("denominator", closed_forms.DENOMINATORS)
def test_a_large_ranking_without_ties_equals_the_textbook(denominator, rng):
    values = (rng.rand(1, 20_000) < 0.1).astype("float64")
    view = ranking(values)
    k = 5000
    good = values[0, :k]
    gained = np.sum(np.cumsum(good) / np.arange(1, k + 1) * good)
    total = {
        "min": min(k, values.sum()),
        "all": values.sum(),
        "topk": good.sum(),
    }[denominator]
    got = closed_forms.average_precision(view, k, denominator)
    assert got[0] == pytest.approx(gained / total, rel=1e-9)


def test_the_topk_denominator_equals_sampling_at_a_large_size(rng):
    counts = np.array([[30, 400, 5000]])
    relevant = np.array([[20, 100, 900]])
    groups, k = Groups(counts, relevant), 1000
    exact = closed_forms.average_precision(groups, k, "topk")[0]
    draws = []
    for _ in range(400):
        order = np.concatenate(
            [
                rng.permutation(np.arange(n) < p)
                for n, p in zip(counts[0], relevant[0])
            ]
        )[:k]
        ranks = np.flatnonzero(order) + 1
        draws.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    error = np.std(draws) / np.sqrt(len(draws))
    assert abs(np.mean(draws) - exact) < 4 * error
    worst, best = (
        closed_forms.extreme_topk_average_precision(groups, k, best)[0]
        for best in (False, True)
    )
    assert worst < min(draws) < max(draws) < best


def test_topk_is_not_monotone_as_users_have_found():
    for values, expected in (([1, 0, 1], 5 / 6), ([1, 0, 0], 1)):
        view = ranking(np.array([values], "float64"))
        got = closed_forms.average_precision(view, 3, "topk")
        assert got[0] == pytest.approx(expected)


def test_weighted_average_precision_can_exceed_one():
    view = ranking(np.array([[3.0, 2.0, 0.0]]))
    got = closed_forms.weighted_average_precision(view)
    assert got[0] == pytest.approx((3 + 2.5) / 2)
