"""Ranking metrics in closed form, as expected values over the order of ties.

All functions take two arrays of one shape, `[queries, groups]`: `counts`, the
database items in each group of equal distance, nearest group first, and
`relevant`, how many of them are relevant. Any order inside a group is equally
likely; results are exact expectations, with no sort and no random draw.
"""

import numpy as np


def average_precision(counts, relevant, k=None):
    """Expected average precision of each query.

    The sum of precision over the relevant positions up to `k`, divided by
    `min(k, relevant items in the database)`. A query without a relevant item
    has 0.

    Args:
        counts: int `[q, groups]`.
        relevant: int `[q, groups]`.
        k: int, cut-off, or `None` for the whole ranking.

    Returns:
        `float64 [q]` in 0..1.

    Reference: McSherry and Najork, "Computing Information Retrieval
    Performance Measures Efficiently in the Presence of Tied Scores", ECIR 2008.
    """
    before, inside = _positions(counts, k)
    hits_before = np.cumsum(relevant, axis=1) - relevant
    # With a group of n items, n+ relevant, behind N items, N+ relevant, the
    # j-th position adds (n+/n) (N+ + 1 + (j-1) (n+ - 1)/(n - 1)) / (N + j);
    # the sums of 1/(N + j) are differences of harmonic numbers.
    harmonic = np.zeros(int(counts.sum(axis=1).max()) + 1)
    np.cumsum(1 / np.arange(1, len(harmonic)), out=harmonic[1:])
    span = harmonic[before + inside] - harmonic[before]
    share = relevant / np.maximum(counts, 1)
    slope = (relevant - 1) / np.maximum(counts - 1, 1)
    gained = (hits_before + 1) * span
    gained = gained + slope * (inside - (before + 1) * span)
    total = relevant.sum(axis=1)
    best = total if k is None else np.minimum(total, k)
    return np.sum(share * gained, axis=1) / np.maximum(best, 1)


def hits(counts, relevant, k):
    """Expected number of relevant items among the first `k`.

    Args:
        counts: int `[q, groups]`.
        relevant: int `[q, groups]`.
        k: int.

    Returns:
        `float64 [q]`.
    """
    _, inside = _positions(counts, k)
    return np.sum(relevant * (inside / np.maximum(counts, 1)), axis=1)


def precision(counts, relevant, k):
    """Expected precision at `k`; positions behind the end count as misses.

    Args:
        counts: int `[q, groups]`.
        relevant: int `[q, groups]`.
        k: int.

    Returns:
        `float64 [q]` in 0..1.
    """
    return hits(counts, relevant, k) / k


def recall(counts, relevant, k):
    """Expected recall at `k`; 0 for a query without a relevant item.

    Args:
        counts: int `[q, groups]`.
        relevant: int `[q, groups]`.
        k: int.

    Returns:
        `float64 [q]` in 0..1.
    """
    total = np.maximum(relevant.sum(axis=1), 1)
    return hits(counts, relevant, k) / total


def radius_curves(counts, relevant):
    """Precision and recall within each Hamming radius.

    Ties do not matter here. An empty ball has precision 0.

    Args:
        counts: int `[q, bits + 1]`.
        relevant: int `[q, bits + 1]`.

    Returns:
        A pair of `float64 [q, bits + 1]`: precision and recall.
    """
    found = np.cumsum(counts, axis=1)
    correct = np.cumsum(relevant, axis=1)
    total = np.maximum(relevant.sum(axis=1, keepdims=True), 1)
    return correct / np.maximum(found, 1), correct / total


def _positions(counts, k):
    """Items before each group, and how many of it lie before rank `k`."""
    before = np.cumsum(counts, axis=1) - counts
    if k is None:
        return before, counts
    return before, np.clip(k - before, 0, counts)
