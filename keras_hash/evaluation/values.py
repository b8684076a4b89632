"""All metrics of a set of queries, from the groups of their rankings."""

import dataclasses

import numpy as np

from keras_hash import similarity
from keras_hash.evaluation import closed_forms
from keras_hash.evaluation import metrics

CHOICES = {
    "no_relevant": ("zero", "skip"),
    "empty": ("zero", "skip", "micro"),
    "ideal_zero": ("skip", "zero", "one"),
    "self_match": ("keep", "drop"),
}


def check_options(k, denominator, **choices):
    """Checks the options of a report: lists of its cut-offs and denominators,
    and values for the names in `CHOICES`."""
    cuts = [k] if np.ndim(k) == 0 else list(k)
    for cut in cuts:
        if not isinstance(cut, (int, np.integer)) or cut < 1:
            raise ValueError(
                "`k` should be an int of at least 1 or a sequence of such. "
                f"Received: k={k!r}"
            )
    single = isinstance(denominator, str)
    denominators = [denominator] if single else list(denominator)
    allowed = {"denominator": closed_forms.DENOMINATORS, **CHOICES}
    given = [("denominator", d) for d in denominators] + list(choices.items())
    for name, value in given:
        if name not in allowed or value not in allowed[name]:
            raise ValueError(
                f"`{name}` should be one of "
                f"{allowed.get(name, sorted(allowed))}. "
                f"Received: {name}={value!r}"
            )
    return [int(cut) for cut in cuts], denominators


@dataclasses.dataclass(frozen=True)
class Groups:
    """Rankings as groups of equal rank, one a query, nearest group first.

    Attributes:
        counts: `int64 [q, groups]`, items in each group.
        relevant: `int64 [q, groups]`, those with relevance above 0.
        relevance: `float64 [q, groups]`, sums of relevance.
        gains: `float64 [q, groups]`, sums of the gain `2**relevance - 1`.
        ideal: a pair `[q, runs]` of counts and gain sums in the best order of
            all items, whatever their distance.
    """

    counts: np.ndarray
    relevant: np.ndarray
    relevance: np.ndarray = None
    gains: np.ndarray = None
    ideal: tuple = None


def expected(planes, values):
    """One group a distance, in which any order is equally likely.

    Of `planes`, `int64 [q, planes, distances]`, items by kind and distance, and
    `values`, `float64 [q, planes]`, the relevance of an item of each kind.
    """
    return Groups(
        counts=planes.sum(axis=1),
        relevant=np.einsum("qpg,qp->qg", planes, (values > 0).astype("int64")),
        relevance=np.einsum("qpg,qp->qg", planes, values),
        gains=np.einsum("qpg,qp->qg", planes, _gain(values)),
        ideal=_ideal(planes, values),
    )


def extreme(planes, values, best):
    """The best or the worst order inside each distance: a group for each
    distance and kind, since the items of a kind are alike."""
    order = np.argsort(-values if best else values, axis=1, kind="stable")
    values = np.take_along_axis(values, order, axis=1)
    planes = np.take_along_axis(planes, order[:, :, None], axis=1)
    counts = planes.transpose(0, 2, 1).reshape(len(planes), -1)
    repeated = np.tile(values, planes.shape[2])
    return Groups(
        counts=counts,
        relevant=counts * (repeated > 0),
        relevance=counts * repeated,
        gains=counts * _gain(repeated),
        ideal=_ideal(planes, values),
    )


def ranking(values):
    """Groups of one item: a ranking whose order is known, of the relevance of
    its items, `float64 [q, items]`."""
    ones = np.ones(values.shape, "int64")
    return Groups(
        counts=ones,
        relevant=(values > 0).astype("int64"),
        relevance=values,
        gains=_gain(values),
        ideal=(ones, -np.sort(-_gain(values), axis=1)),
    )


def _gain(values):
    return np.exp2(values) - 1


def _ideal(planes, values):
    order = np.argsort(-values, axis=1, kind="stable")
    counts = np.take_along_axis(planes.sum(axis=2), order, axis=1)
    gains = np.take_along_axis(_gain(values), order, axis=1)
    return counts, counts * gains


def grades(shared, query_sizes, sizes, prefixes):
    """Relevance of items by the prefix of its grade.

    Of the labels that they share with the query, and the sizes of both label
    sets: int arrays that broadcast.
    """
    return {
        prefix: similarity.GRADES[prefix](shared, query_sizes, sizes)
        for prefix in prefixes
    }


def table_views(planes, graded, ties="expected"):
    """`Groups` of every grade from a table of counts."""
    if ties == "expected":
        return {
            name: expected(planes, values) for name, values in graded.items()
        }
    return {
        name: extreme(planes, values, ties == "best")
        for name, values in graded.items()
    }


def random_views(planes, graded, random):
    """`Groups` of one item each, in a random order inside each distance."""
    kinds = []
    for table in planes:
        counts = table.T.ravel()
        kind = np.repeat(
            np.tile(np.arange(table.shape[0]), table.shape[1]), counts
        )
        distance = np.repeat(np.arange(table.shape[1]), table.sum(axis=0))
        kinds.append(kind[np.lexsort((random.rand(len(kind)), distance))])
    kinds = np.array(kinds)
    return {
        name: ranking(np.take_along_axis(values, kinds, axis=1))
        for name, values in graded.items()
    }


def ranking_metrics(
    views,
    chosen,
    k,
    denominators,
    no_relevant,
    ideal_zero,
    topk_extreme=None,
):
    """The ranking metrics of each query, NaN where it is skipped.

    `views` are the `Groups` of each grade, `chosen` the families that are
    wanted. `topk_extreme`, for the tie modes "best" and "worst", is a pair of
    the groups by distance and whether the best is wanted: with the denominator
    "topk" no single order is the extreme.
    """
    found = {}
    empty = views[""].relevant.sum(axis=1) == 0
    instead = {"skip": np.nan, "zero": 0.0, "one": 1.0}[ideal_zero]

    def add(row, key, values):
        if row.undefined == "ideal_zero":
            values = np.where(np.isnan(values), instead, values)
        elif no_relevant == "skip":
            values = np.where(empty, np.nan, values)
        found[key] = values

    wanted = [
        (row, family, views[family.removesuffix(row.name)])
        for row, family in metrics.wanted(chosen, "ranking")
        if family.removesuffix(row.name) in views
    ]
    for row, family, groups in wanted:
        if row.whole:
            add(row, family, row.function(groups))
    for cut in k:
        for row, family, groups in wanted:
            if row.cuts and not row.denominators:
                add(row, f"{family}@{cut}", row.function(groups, cut))
            for denominator in denominators if row.denominators else ():
                # The suffix keeps numbers of different meaning apart.
                suffix = "" if denominator == "min" else f"_{denominator}"
                key = f"{family}@{cut}{suffix}"
                if topk_extreme is None or denominator != "topk":
                    add(row, key, row.function(groups, cut, denominator))
                elif row.extreme:
                    by_distance, best = topk_extreme
                    add(row, key, row.extreme(by_distance, cut, best))
    return found


def radius_curves(counts, relevant, no_relevant, empty):
    """Precision, recall and empty balls within each radius, as lists.

    Of `counts` and `relevant`, `int64 [q, bits + 1]`. `no_relevant` and `empty`
    are the options of a report.
    """
    found = np.cumsum(counts, axis=1)
    correct = np.cumsum(relevant, axis=1)
    total = relevant.sum(axis=1, keepdims=True)
    if empty == "micro":
        precision = correct.sum(axis=0) / np.maximum(found.sum(axis=0), 1)
        recall = correct.sum(axis=0) / max(total.sum(), 1)
    else:
        instead = np.nan if empty == "skip" else 0.0
        precision = mean(
            np.where(found > 0, correct / np.maximum(found, 1), instead)
        )
        instead = np.nan if no_relevant == "skip" else 0.0
        recall = mean(
            np.where(total > 0, correct / np.maximum(total, 1), instead)
        )
    share_empty = np.mean(found == 0, axis=0)
    return {
        "radius": list(range(counts.shape[1])),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "empty": share_empty.tolist(),
    }


def mean(values):
    """Mean over queries, the first axis, that leaves skipped ones (NaN) out;
    NaN where every query is skipped."""
    kept = ~np.isnan(values)
    total = np.where(kept, values, 0).sum(axis=0)
    count = kept.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def mean_of_chunks(chunks, inverse=None):
    """Means of metrics that were computed for chunks of queries, by name.

    `inverse`, int `[q]`, says which row each query has; one each if `None`.
    """
    joined = {
        name: np.concatenate([chunk[name] for chunk in chunks])
        for name in chunks[0]
    }
    if inverse is not None:
        joined = {name: value[inverse] for name, value in joined.items()}
    return {name: float(mean(value)) for name, value in joined.items()}
