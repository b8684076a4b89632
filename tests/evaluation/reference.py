"""Plain loops that say what every metric is: the specification of the tests."""

import itertools
import math

from keras_hash.evaluation import metrics


def popcount(a, b, similarity):
    """The level of a pair of +-1 codes."""
    if similarity == "hamming":
        return sum(x != y for x, y in zip(a, b))
    return len(a) - sum(x == 1 and y == 1 for x, y in zip(a, b))


def relevance(a, b, kind):
    """Relevance of an item with labels `b` for a query with labels `a`."""
    if not hasattr(a, "__len__"):
        return float(a == b)
    # Python numbers: small integer types would overflow in the loops.
    a, b = [int(x) for x in a], [int(y) for y in b]
    shared = sum(x and y for x, y in zip(a, b))
    if kind == "":
        return float(shared)
    if kind == "jaccard_":
        union = sum(x or y for x, y in zip(a, b))
        return shared / union if union else 0.0
    product = sum(a) * sum(b)
    return shared / math.sqrt(product) if product else 0.0


def tie_orders(levels):
    """Every order of items that is sorted by level."""
    groups = {}
    for item, level in enumerate(levels):
        groups.setdefault(level, []).append(item)
    ordered = [groups[level] for level in sorted(groups)]
    for choice in itertools.product(*map(itertools.permutations, ordered)):
        yield [item for group in choice for item in group]


def divide(a, b):
    return a / b if b else 0.0


def denominator(values, k, kind):
    total = sum(v > 0 for v in values)
    found = sum(v > 0 for v in values[:k])
    return {"min": min(k, total), "all": total, "topk": found}[kind]


def average_precision(values, k=None, kind="min"):
    k = len(values) if k is None else k
    gained, found = 0.0, 0
    for rank, value in enumerate(values[:k], start=1):
        if value > 0:
            found += 1
            gained += found / rank
    return divide(gained, denominator(values, k, kind))


def weighted_average_precision(values, k, kind="min"):
    gained = 0.0
    for rank in range(1, min(k, len(values)) + 1):
        if values[rank - 1] > 0:
            gained += sum(values[:rank]) / rank
    return divide(gained, denominator(values, k, kind))


def precision(values, k):
    return sum(v > 0 for v in values[:k]) / k


def recall(values, k):
    return divide(sum(v > 0 for v in values[:k]), sum(v > 0 for v in values))


def cumulated_gain(values, k):
    return sum(values[:k]) / k


def discounted_gain(values, k):
    return sum(
        (2**value - 1) / math.log2(1 + rank)
        for rank, value in enumerate(values[:k], start=1)
    )


def ndcg(values, k):
    """None where the ideal is zero."""
    ideal = discounted_gain(sorted(values, reverse=True), k)
    return discounted_gain(values, k) / ideal if ideal else None


LOOPS = {
    "map": average_precision,
    "precision": precision,
    "recall": recall,
    "wmap": weighted_average_precision,
    "acg": cumulated_gain,
    "ndcg": ndcg,
}


def all_metrics(values_by_kind, cuts, denominators=("min", "all", "topk")):
    """Every metric of one ranking, by the names of the report.

    A row of the table of metrics is computed by the loop of its name.
    """
    found = {}
    for family, (row, kind) in metrics.families().items():
        if row.source != "ranking" or kind not in values_by_kind:
            continue
        loop, values = LOOPS[row.name], values_by_kind[kind]
        if row.whole:
            found[family] = loop(values)
        for k in cuts if row.cuts else ():
            if not row.denominators:
                found[f"{family}@{k}"] = loop(values, k)
                continue
            for name in denominators:
                end = "" if name == "min" else f"_{name}"
                found[f"{family}@{k}{end}"] = loop(values, k, name)
    return found
