"""All metrics of a set of queries, from the groups of their rankings."""

import dataclasses

import numpy as np

from keras_hash import codes
from keras_hash import similarity
from keras_hash.evaluation import closed_forms
from keras_hash.evaluation import metrics

CHOICES = {
    "no_relevant": ("zero", "skip"),
    "empty": ("zero", "skip", "micro"),
    "ideal_zero": ("skip", "zero", "one"),
    "self_match": ("keep", "drop"),
}


def check_cuts(k):
    """One or more cut-offs as a list of ints."""
    cuts = [k] if np.ndim(k) == 0 else k
    return [codes.check_int(cut, "k") for cut in cuts]


def cuts_of(k, names):
    """The cut-offs to compute: those in `names`, and all of `k` if some of
    these, or all metrics, have no cut-off of their own."""
    own = [metrics.describe(name).cut for name in sorted(names)]
    every = [name for name in names if metrics.is_wanted(f"{name}@", names)]
    every = every or not names
    return list(dict.fromkeys([*(k if every else ()), *filter(None, own)]))


def check_options(k, denominator, **choices):
    """The cut-offs and denominators of a report as lists, once they and the
    values for names in `CHOICES` are checked."""
    several = isinstance(denominator, (list, tuple)) and len(denominator)
    denominators = list(denominator) if several else [denominator]
    for each in denominators:
        codes.check_choice(each, "denominator", closed_forms.DENOMINATORS)
    for name, value in choices.items():
        codes.check_choice(value, name, CHOICES[name])
    return check_cuts(k), denominators


@dataclasses.dataclass(frozen=True)
class Groups:
    """Rankings as groups of equal rank, one a query, nearest group first.

    Arrays `[q, groups]`: int64 `counts` of the items and of the `relevant`
    ones, float64 sums of their `relevance` and of the gain `2**relevance - 1`.
    """

    counts: np.ndarray
    relevant: np.ndarray
    relevance: np.ndarray = None
    gains: np.ndarray = None
    # Counts and gain sums in the best order of all items, `[q, runs]` each.
    ideal: tuple = None
    # Items before each group, where groups of nothing relevant are left out.
    before: np.ndarray = None
    # What several metrics need, by what it is; grades of the same groups share
    # it. Arrays in a key go by `id`: they live as long as the groups.
    kept: dict = dataclasses.field(default_factory=dict, repr=False)

    def once(self, key, make):
        """What `make()` returns, made for the first one who asks."""
        try:
            known = key in self.kept
        except TypeError:
            # A cut-off for each query: an array, which is no key.
            return make()
        if not known:
            self.kept[key] = make()
        return self.kept[key]


def expected(planes, values, kept=None):
    """One group a distance, in which any order is equally likely.

    Of `planes`, `int64 [q, planes, distances]`, items by kind and distance, and
    `values`, `float64 [q, planes]`, the relevance of an item of each kind.
    `kept` is what other grades of the same planes have made.
    """
    kept = {} if kept is None else kept

    def summed(weights):
        return np.einsum("qpg,qp->qg", planes, weights)

    if "of planes" not in kept:
        relevant = summed((values > 0).astype("int64"))
        kept["of planes"] = planes.sum(axis=1), relevant
    counts, relevant = kept["of planes"]
    plain = _is_plain(values)
    return Groups(
        counts=counts,
        relevant=relevant,
        relevance=relevant if plain else summed(values),
        gains=relevant if plain else summed(_gain(values)),
        ideal=_ideal(planes, values),
        kept=kept,
    )


def _is_plain(values):
    """Whether items are relevant or not, and no more: sums of relevance and of
    gain are counts then."""
    return bool(((values == 0) | (values == 1)).all())


def extreme(planes, values, best):
    """The best or the worst order inside each distance: a group for each
    distance and kind, since the items of a kind are alike."""
    order = np.argsort(-values if best else values, axis=1, kind="stable")
    values = np.take_along_axis(values, order, axis=1)
    planes = np.take_along_axis(planes, order[:, :, None], axis=1)
    counts = planes.transpose(0, 2, 1)
    ends = np.cumsum(counts.reshape(len(planes), -1), axis=1)
    before = ends.reshape(counts.shape) - counts
    # These are first or last in every row: no metric looks at the others.
    good = (values > 0).any(axis=0)
    counts, before = (
        array[:, :, good].reshape(len(planes), -1) for array in (counts, before)
    )
    repeated = np.tile(values[:, good], planes.shape[2])
    return _alike(counts, repeated, _ideal(planes, values), before)


def ranking(values):
    """Groups of one item: a ranking whose order is known, of the relevance of
    its items, `float64 [q, items]`."""
    ones = np.ones(values.shape, "int64")
    return _alike(ones, values, (ones, -np.sort(-_gain(values), axis=1)))


def _alike(counts, values, ideal, before=None):
    """Groups inside which all items have one relevance."""
    relevant, plain = counts * (values > 0), _is_plain(values)
    return Groups(
        counts=counts,
        relevant=relevant,
        relevance=relevant if plain else counts * values,
        gains=relevant if plain else counts * _gain(values),
        ideal=ideal,
        before=before,
    )


def _gain(values):
    return np.exp2(values) - 1


def _ideal(planes, values):
    order = np.argsort(-values, axis=1, kind="stable")
    counts = np.take_along_axis(planes.sum(axis=2), order, axis=1)
    gains = np.take_along_axis(_gain(values), order, axis=1)
    return counts, counts * gains


def grades(shared, query_sizes, sizes, prefixes):
    """Relevance of items by the prefix of its grade, of the labels shared with
    the query and the sizes of both label sets, which broadcast."""
    return {
        prefix: similarity.GRADES[prefix](shared, query_sizes, sizes)
        for prefix in prefixes
    }


def views(planes, graded, ties="expected", random=None):
    """`Groups` of every grade from a table of counts, for a mode of ties."""
    if ties == "random":
        kinds = _in_random_order(planes, random)
    made, kept = {}, {}
    for name, values in graded.items():
        if ties == "expected":
            made[name] = expected(planes, values, kept)
        elif ties == "random":
            made[name] = ranking(np.take_along_axis(values, kinds, axis=1))
        else:
            made[name] = extreme(planes, values, ties == "best")
    return made


def _in_random_order(planes, random):
    """The kinds of all items in a random order inside each distance, `[q, m]`,
    the same for all grades."""
    kinds = []
    for table in planes:
        counts = table.T.ravel()
        kind = np.repeat(
            np.tile(np.arange(table.shape[0]), table.shape[1]), counts
        )
        distance = np.repeat(np.arange(table.shape[1]), table.sum(axis=0))
        kinds.append(kind[np.lexsort((random.rand(len(kind)), distance))])
    return np.array(kinds)


def ranking_metrics(
    views,
    chosen,
    k,
    denominators,
    no_relevant,
    ideal_zero,
    topk_extreme=None,
    names=frozenset(),
):
    """The ranking metrics of each query, NaN where it is skipped.

    `views` are the `Groups` of each grade, `chosen` and `names` as of
    `metrics.choose`.
    `topk_extreme`, for the tie modes "best" and "worst", is a pair of
    the groups by distance and whether the best is wanted: with the denominator
    "topk" no single order is the extreme.
    """
    found = {}
    empty = views[""].relevant.sum(axis=1) == 0
    instead = {"skip": np.nan, "zero": 0.0, "one": 1.0}[ideal_zero]

    def add(key, function, *arguments):
        if not metrics.is_wanted(key, names):
            return
        values = function(*arguments)
        # Where the ideal is zero, that option has the say.
        undefined = np.isnan(values)
        if no_relevant == "skip":
            values = np.where(empty, np.nan, values)
        found[key] = np.where(undefined, instead, values)

    wanted = [
        (row, family, views[grade])
        for family, (row, grade) in chosen.items()
        if row.source == "ranking" and grade in views
    ]
    for row, family, groups in wanted:
        if row.whole:
            add(family, row.function, groups)
    for cut in k:
        for row, family, groups in wanted:
            if row.cuts and not row.denominators:
                add(metrics.key(family, cut), row.function, groups, cut)
            for denominator in denominators if row.denominators else ():
                key = metrics.key(family, cut, denominator)
                if topk_extreme is None or denominator != "topk":
                    add(key, row.function, groups, cut, denominator)
                elif row.extreme:
                    by_distance, best = topk_extreme
                    add(key, row.extreme, by_distance, cut, best)
    return found


def radius_curves(counts, relevant, no_relevant, empty, weights):
    """Precision, recall and empty balls within each radius, as lists, of counts
    by distance, `int64 [q, bits + 1]`, two options of a report, and how many
    queries each row stands for."""
    found = np.cumsum(counts, axis=1)
    correct = np.cumsum(relevant, axis=1)
    total = relevant.sum(axis=1, keepdims=True)
    if empty == "micro":
        precision = weights @ correct / np.maximum(weights @ found, 1)
        recall = weights @ correct / max(weights @ total[:, 0], 1)
    else:
        instead = np.nan if empty == "skip" else 0.0
        precision = _ratio(correct, found, instead)
        instead = 0.0
        if no_relevant == "skip":
            instead, precision = np.nan, np.where(total > 0, precision, np.nan)
        precision = mean(precision, weights)
        recall = mean(_ratio(correct, total, instead), weights)
    share_empty = weights @ (found == 0) / weights.sum()
    return {
        "radius": list(range(counts.shape[1])),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "empty": share_empty.tolist(),
    }


def _ratio(some, of, instead):
    """Shares, and another value where there is nothing of which they are."""
    whole = np.broadcast_to(of, some.shape)
    found = np.full(some.shape, instead)
    return np.divide(some, whole, out=found, where=whole > 0)


def mean(values, weights=None):
    """Mean over queries, the first axis, that leaves skipped ones (NaN) out;
    NaN where every query is skipped. `weights` are how many have each row."""
    weights = np.ones(len(values)) if weights is None else weights
    kept = ~np.isnan(values)
    total = weights @ np.where(kept, values, 0)
    count = weights @ kept
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def mean_of_chunks(chunks, weights=None):
    """Means of metrics that were computed for chunks of queries, by name, each
    row for so many queries."""
    return {
        name: float(mean(np.concatenate([c[name] for c in chunks]), weights))
        for name in chunks[0]
    }
