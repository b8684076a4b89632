"""All metrics of a set of queries, from the groups of their rankings."""

import numpy as np

from keras_hash import similarity
from keras_hash.evaluation import groups as groups_lib
from keras_hash.evaluation import metrics

CHOICES = {
    "no_relevant": ("zero", "skip"),
    "empty": ("zero", "skip", "micro"),
    "ideal_zero": ("skip", "zero", "one"),
    "self_match": ("keep", "drop"),
}
# The radii at which precision, recall and empty balls are reported.
RADIUS = 2


def check_options(k, denominator, **choices):
    """Checks the options of a report.

    Args:
        k: int or sequence of ints, cut-offs.
        denominator: str or sequence of str.
        **choices: values for the names in `CHOICES`.

    Returns:
        A pair of lists: cut-offs and denominators.

    Raises:
        ValueError: an option out of range or unknown.
    """
    cuts = [k] if np.ndim(k) == 0 else list(k)
    for cut in cuts:
        if not isinstance(cut, (int, np.integer)) or cut < 1:
            raise ValueError(
                "`k` should be an int of at least 1 or a sequence of such. "
                f"Received: k={k!r}"
            )
    single = isinstance(denominator, str)
    denominators = [denominator] if single else list(denominator)
    allowed = {"denominator": metrics.DENOMINATORS, **CHOICES}
    given = [("denominator", d) for d in denominators] + list(choices.items())
    for name, value in given:
        if name not in allowed or value not in allowed[name]:
            raise ValueError(
                f"`{name}` should be one of "
                f"{allowed.get(name, sorted(allowed))}. "
                f"Received: {name}={value!r}"
            )
    return [int(cut) for cut in cuts], denominators


def grades(shared, query_sizes, sizes, multi_label):
    """Relevance of items by every grade.

    Args:
        shared: int array, labels shared with the query.
        query_sizes: int array, labels of the query.
        sizes: int array, labels of the item.
        multi_label: bool; one class an item has one grade only.

    Returns:
        dict from metric prefix to float64 array.
    """
    return {
        name: grade(shared, query_sizes, sizes)
        for name, grade in similarity.GRADES.items()
        if multi_label or name == ""
    }


def table_views(planes, graded, ties="expected"):
    """Groups of every grade from a table of counts.

    Args:
        planes: `int64 [q, planes, distances]`.
        graded: dict from prefix to `float64 [q, planes]`.
        ties: `"expected"`, `"best"` or `"worst"`.

    Returns:
        dict from prefix to `Groups`.
    """
    if ties == "expected":
        return {
            name: groups_lib.expected(planes, values)
            for name, values in graded.items()
        }
    return {
        name: groups_lib.extreme(planes, values, ties == "best")
        for name, values in graded.items()
    }


def random_views(planes, graded, random):
    """Groups of one item each, in a random order inside each distance.

    Args:
        planes: `int64 [q, planes, distances]`.
        graded: dict from prefix to `float64 [q, planes]`.
        random: `numpy.random.RandomState`.

    Returns:
        dict from prefix to `Groups`.
    """
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
        name: groups_lib.ranking(np.take_along_axis(values, kinds, axis=1))
        for name, values in graded.items()
    }


def ranking_metrics(
    views,
    k,
    denominators,
    no_relevant,
    ideal_zero,
    topk_extreme=None,
    bounded=False,
):
    """Every ranking metric of each query.

    Args:
        views: dict from prefix to `Groups`; `""` is the shared label count.
        k: list of int.
        denominators: list of str.
        no_relevant: `"zero"` or `"skip"`.
        ideal_zero: `"skip"`, `"zero"` or `"one"`.
        topk_extreme: for the tie modes `"best"` and `"worst"`: a pair of the
            groups by distance and whether the best is wanted. With the
            denominator `"topk"` no single order is the extreme.
        bounded: bool, whether to compute AP and NDCG alone.

    Returns:
        dict from name to `float64 [q]`; NaN where a query is skipped.
    """
    plain = views[""]
    counts, relevant = plain.counts, plain.relevant
    values = {"map": metrics.average_precision(counts, relevant)}
    for cut in k:
        if not bounded:
            values[f"precision@{cut}"] = metrics.precision(
                counts, relevant, cut
            )
            values[f"recall@{cut}"] = metrics.recall(counts, relevant, cut)
        for denominator in denominators:
            # The suffix keeps numbers of different meaning apart.
            key = f"@{cut}" + (
                "" if denominator == "min" else f"_{denominator}"
            )
            if topk_extreme is not None and denominator == "topk":
                by_distance, best = topk_extreme
                values["map" + key] = metrics.extreme_topk_average_precision(
                    by_distance.counts, by_distance.relevant, cut, best
                )
                continue
            values["map" + key] = metrics.average_precision(
                counts, relevant, cut, denominator
            )
            for prefix, view in () if bounded else views.items():
                name = f"{prefix}wmap{key}"
                values[name] = metrics.weighted_average_precision(
                    view.counts, view.relevant, view.relevance, cut, denominator
                )
        for prefix, view in () if bounded else views.items():
            values[f"{prefix}acg@{cut}"] = metrics.cumulated_gain(
                view.counts, view.relevance, cut
            )
    if no_relevant == "skip":
        skipped = relevant.sum(axis=1) == 0
        values = {
            name: np.where(skipped, np.nan, value)
            for name, value in values.items()
        }
    for prefix, view in views.items():
        for cut in k:
            values[f"{prefix}ndcg@{cut}"] = ndcg(view, cut, ideal_zero)
    return values


def ndcg(view, k, ideal_zero="skip"):
    """Normalised discounted cumulated gain at `k`.

    Args:
        view: `Groups`.
        k: int.
        ideal_zero: where the ideal is zero: `"skip"` (NaN), `"zero"`, `"one"`.

    Returns:
        `float64 [q]`.
    """
    ideal = metrics.discounted_gain(*view.ideal, k)
    value = metrics.discounted_gain(view.counts, view.gains, k)
    instead = {"skip": np.nan, "zero": 0.0, "one": 1.0}[ideal_zero]
    return np.where(ideal > 0, value / np.where(ideal > 0, ideal, 1), instead)


def ball_metrics(counts, relevant, no_relevant, empty):
    """Precision and recall within each Hamming radius.

    Args:
        counts: `int64 [q, bits + 1]`.
        relevant: `int64 [q, bits + 1]`.
        no_relevant: `"zero"` or `"skip"`: the recall of a query without a
            relevant item.
        empty: `"zero"`, `"skip"` or `"micro"`: the precision of an empty ball;
            `"micro"` pools the balls of all queries.

    Returns:
        A pair: metrics at radius 2, and curves over all radii as lists.
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
    near = min(RADIUS, counts.shape[1] - 1)
    values = {
        f"precision_radius@{RADIUS}": float(precision[near]),
        f"recall_radius@{RADIUS}": float(recall[near]),
        f"empty_ball@{RADIUS}": float(share_empty[near]),
    }
    return values, {
        "radius": list(range(counts.shape[1])),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "empty": share_empty.tolist(),
    }


def mean(values):
    """Mean over queries that leaves skipped ones (NaN) out.

    Args:
        values: `float64 [q, ...]`.

    Returns:
        The mean over the first axis; NaN where every query is skipped.
    """
    kept = ~np.isnan(values)
    total = np.where(kept, values, 0).sum(axis=0)
    count = kept.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def mean_of_chunks(chunks, inverse=None):
    """Means of metrics that were computed for chunks of queries.

    Args:
        chunks: list of dicts from name to `float64 [u]`.
        inverse: int `[q]`, which row each query has; one each if `None`.

    Returns:
        dict from name to float.
    """
    joined = {
        name: np.concatenate([chunk[name] for chunk in chunks])
        for name in chunks[0]
    }
    if inverse is not None:
        joined = {name: value[inverse] for name, value in joined.items()}
    return {name: float(mean(value)) for name, value in joined.items()}
