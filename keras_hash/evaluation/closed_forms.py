"""The closed forms of ranking metrics, expected values over the order of ties.

All take the groups of equal rank of some queries, a `values.Groups` of arrays
with one row a query and one column a group, nearest group first. Any order
inside a group is equally likely and the result is the exact expectation:
nothing is sorted or drawn at random. A ranking without ties is the case of
groups of one item, so the same functions serve every tie mode. They return
`float64 [q]`.

References: McSherry and Najork, "Computing Information Retrieval Performance
Measures Efficiently in the Presence of Tied Scores", ECIR 2008; He et al.,
"Hashing as Tie-Aware Learning to Rank", CVPR 2018.
"""

import numpy as np

DENOMINATORS = ("min", "all", "topk")


def average_precision(groups, k=None, denominator="min"):
    """Average precision of each query.

    The sum of precision over the relevant positions up to `k`, divided by what
    `denominator` says: `"min"`: `min(k, relevant items in the database)`;
    `"all"`: all relevant items; `"topk"`: the relevant items among the first
    `k`, as most hashing code does (not monotone: a later hit can lower it).
    0 where the denominator is 0. In 0..1.
    """
    return _weighted(groups, groups.relevant, k, denominator)


def weighted_average_precision(groups, k=None, denominator="min"):
    """Expected weighted average precision: average cumulated gain at hits.

    The sum, over the relevant positions up to `k`, of the mean relevance up to
    there. With relevance 0 and 1 it is `average_precision`; with shared label
    counts it can exceed 1.
    """
    return _weighted(groups, groups.relevance, k, denominator)


def extreme_topk_average_precision(groups, k, best):
    """Best or worst average precision with the denominator `"topk"`, which the
    hits in the group of rank `k` change too: every number of them is tried."""
    counts, relevant = groups.counts, groups.relevant
    before = np.cumsum(counts, axis=1) - counts
    inside = np.clip(k - before, 0, counts)
    hits_before = np.cumsum(relevant, axis=1) - relevant
    # Of the groups that lie before rank k as a whole.
    start = before if best else before + counts - relevant
    gained = _run(hits_before, start, relevant)
    values = np.zeros(len(counts))
    for row, group in enumerate(_last_group(inside)):
        places, found = inside[row, group], hits_before[row, group]
        x = _possible_hits(counts[row, group], relevant[row, group], places)
        begin = before[row, group] + (0 * x if best else places - x)
        ratio = gained[row, :group].sum() + _run(found, begin, x)
        ratio = ratio / np.maximum(found + x, 1)
        values[row] = ratio.max() if best else ratio.min()
    return values


def hits(groups, k):
    """Expected number of relevant items among the first `k`."""
    return _among_first(groups, groups.relevant, k)


def precision(groups, k):
    """Expected precision at `k`; positions behind the end count as misses."""
    return hits(groups, k) / k


def recall(groups, k):
    """Expected recall at `k`; 0 for a query without a relevant item."""
    total = np.maximum(groups.relevant.sum(axis=1), 1)
    return hits(groups, k) / total


def cumulated_gain(groups, k):
    """Expected average cumulated gain: mean relevance of the first `k`."""
    return _among_first(groups, groups.relevance, k) / k


def ndcg(groups, k):
    """Expected normalised discounted cumulated gain at `k`, NaN without an
    ideal: gains over `log2(1 + rank)`, divided by those of the best order."""
    ideal = _discounted_gain(groups, *groups.ideal, k)
    value = _discounted_gain(groups, groups.counts, groups.gains, k)
    return np.where(ideal > 0, value / np.where(ideal > 0, ideal, 1), np.nan)


def _among_first(groups, sums, k):
    def make():
        _, inside = _positions(groups, k)
        return _summed(_mean(groups, groups.counts, sums), inside)

    return groups.once(("among", id(sums), k), make)


def _discounted_gain(groups, counts, gains, k):
    span = _span(groups, "discount", counts, k)
    return _summed(_mean(groups, counts, gains), span)


def _weighted(groups, relevance, k, denominator):
    def make():
        return _weighted_once(groups, relevance, k, denominator)

    return groups.once(("weighted", id(relevance), k, denominator), make)


def _weighted_once(groups, relevance, k, denominator):
    counts, relevant = groups.counts, groups.relevant

    # With a group of n items, n+ relevant, behind N items whose relevance sums
    # to R, the j-th position adds (n+/n) (R + mean + (j-1) mean slope) / (N+j);
    # the sums of 1/(N+j) are differences of harmonic numbers. So it is linear
    # in these and in the places taken, by factors that no cut-off changes.
    def make():
        before, _ = _positions(groups, None)
        # Groups of nothing relevant, which may be left out, add none.
        sums_before = np.cumsum(relevance, axis=1, dtype="float64") - relevance
        size = np.maximum(counts, 1.0)
        of_place = relevance / size
        by_span = relevant / size * sums_before + of_place
        of_place *= (relevant - 1.0) / np.maximum(size - 1, 1)
        by_span -= of_place * (before + 1)
        return by_span, of_place, sums_before

    factors = groups.once(("factors", id(relevance)), make)
    by_span, of_place, sums_before = factors
    span = _span(groups, "harmonic", counts, k)
    before, inside = _positions(groups, k)
    if denominator == "topk" and k is not None:
        gained = by_span * span + of_place * inside
        return _expected_over_hits(
            counts, relevant, relevance, sums_before, before, inside, gained
        )
    total = groups.once("total", lambda: relevant.sum(axis=1))
    if k is not None and denominator == "min":
        total = np.minimum(total, k)
    gained = _summed(by_span, span) + _summed(of_place, inside)
    return gained / np.maximum(total, 1)


def _summed(one, other):
    return np.einsum("qg,qg->q", one, other)


def _mean(groups, counts, sums):
    """Sums over the items of each group, an item."""
    return groups.once(
        ("mean", id(counts), id(sums)), lambda: sums / np.maximum(counts, 1)
    )


def _positions(groups, k):
    """Items before each group, and how many of it lie before rank `k`, as
    floats."""
    counts, before = groups.counts, groups.before
    if before is None:
        before = groups.once("before", lambda: _ends(groups, counts) - counts)
    if k is None:
        return before, groups.once("counts", lambda: counts.astype("float64"))
    return before, groups.once(
        ("inside", k), lambda: np.clip(k - before, 0.0, counts)
    )


def _ends(groups, counts):
    def make():
        if counts is groups.counts and groups.before is not None:
            return groups.before + counts
        return np.cumsum(counts, axis=1)

    return groups.once(("ends", id(counts)), make)


def _span(groups, kind, counts, k):
    """Sum of the terms of the ranks of each group, up to rank `k`."""

    def make():
        ends = _ends(groups, counts)
        sums = _sums(kind, ends if k is None else np.minimum(ends, k))
        if counts is groups.counts and groups.before is not None:
            before = groups.before
            return sums - _sums(
                kind, before if k is None else np.minimum(before, k)
            )
        span = np.empty_like(sums)
        span[:, :1] = sums[:, :1]
        np.subtract(sums[:, 1:], sums[:, :-1], out=span[:, 1:])
        return span

    return groups.once(("span", kind, id(counts), k), make)


def _run(hits_before, start, count):
    """Precision summed over `count` hits in a row behind `start` items."""
    # (P + 1) / (S + 1) + ... + (P + c) / (S + c) with P hits among S items.
    span = _harmonic(start + count) - _harmonic(start)
    return count - (start - hits_before) * span


def _last_group(inside):
    """Of each query: the last group that reaches into the first k ranks."""
    filled = np.where(inside > 0, np.arange(inside.shape[1]), 0)
    return filled.max(axis=1)


def _possible_hits(n, n_relevant, places):
    """The numbers of hits that `places` of a group can hold."""
    low = max(0, places - (n - n_relevant))
    return np.arange(low, min(places, n_relevant) + 1)


def _expected_over_hits(
    counts, relevant, relevance, sums_before, before, inside, gained
):
    """Expectation of a ratio whose denominator is the hits in the top k, which
    are random, hypergeometric, in the group that straddles rank `k` alone."""
    from scipy.special import gammaln

    values = np.zeros(len(counts))
    for row, group in enumerate(_last_group(inside)):
        n, n_relevant = int(counts[row, group]), int(relevant[row, group])
        places, start = int(inside[row, group]), int(before[row, group])
        earlier = gained[row, :group].sum()
        hits_before = relevant[row, :group].sum()
        x = _possible_hits(n, n_relevant, places)

        def log_choose(a, b):
            return gammaln(a + 1) - gammaln(b + 1) - gammaln(a - b + 1)

        log_p = log_choose(n_relevant, x)
        log_p = log_p + log_choose(n - n_relevant, places - x)
        p = np.exp(log_p - log_p.max())
        p /= p.sum()
        span = _harmonic(start + places) - _harmonic(start)
        m = relevance[row, group] / max(n_relevant, 1)
        inner = (sums_before[row, group] + m) * span
        slope = (x - 1) / max(places - 1, 1)
        inner = inner + m * slope * (places - (start + 1) * span)
        inner = x / max(places, 1) * inner
        total = hits_before + x
        values[row] = np.sum(p * (earlier + inner) / np.maximum(total, 1))
    return values


def _harmonic(index):
    return _sums("harmonic", index)


# The longest table asked for, of each kind.
_TABLES = {}


def _sums(kind, index):
    """Sums of the first terms, as many as `index`: 1/i or 1/log2(1 + i)."""
    most = int(np.max(index, initial=1))
    table = _TABLES.get(kind)
    if table is None or most >= len(table):
        terms = np.arange(1, 1 << most.bit_length(), dtype="float64")
        terms = 1 / terms if kind == "harmonic" else 1 / np.log2(1 + terms)
        table = _TABLES[kind] = np.concatenate([[0.0], np.cumsum(terms)])
    return table[index]
