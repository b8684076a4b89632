"""One order of the ranking, as other code bases make it.

Published numbers depend on how a sort happened to order items at equal
distance, on the denominator of AP, and on what is done with queries without a
hit. These functions replay such conventions on the same codes, so that a number
can be compared honestly. They hold `[chunk, database]` arrays and sort them:
slow, and only meant for that.
"""

import numpy as np

from keras_hash import codes
from keras_hash.evaluation import metrics
from keras_hash.evaluation import statistic
from keras_hash.evaluation import values

# Orders that need the positions of items, which a table of counts lacks.
ORDERS = ("stable", "argsort", "shuffle")

CONVENTIONS = {
    # NumPy's default sort is unstable: the order inside ties differs between
    # versions and processors. AP divides by the hits in the top k, and with
    # k = -1 ("all") the slice [0:-1] loses the last item.
    "deephash-pytorch": {
        "ties": "argsort",
        "denominator": "topk",
        "drop_last": True,
    },
    # The PyTorch script: queries without a hit in the top k vanish.
    "hashnet": {
        "ties": "argsort",
        "denominator": "topk",
        "no_relevant": "skip",
        "skip_without_hit": True,
    },
    # torch.topk leaves the order inside ties open; replayed by NumPy's sort.
    "orthohash": {"ties": "argsort", "denominator": "topk"},
    # MATLAB: a stable sort; queries without a relevant item are skipped.
    "dpsh": {"ties": "stable", "denominator": "all", "no_relevant": "skip"},
    # Queries without labels are dropped; NDCG is averaged over 100 shuffles
    # inside the ties, which the exact expectation replaces.
    "dsrh": {
        "ties": "expected",
        "denominator": "topk",
        "no_relevant": "skip",
        "ideal_zero": "skip",
    },
}


def convention(name):
    """The options that a code base implies."""
    codes.check_choice(name, "convention", sorted(CONVENTIONS))
    return dict(CONVENTIONS[name])


def order(distances, ties, random):
    """Positions of the items in the order of a ranking, `int64 [q, m]`.

    `ties` is `"stable"`, `"argsort"` (NumPy's default sort, unstable) or
    `"shuffle"` (a stable sort of the shuffled database).
    """
    if ties == "shuffle":
        shuffled = random.permutation(distances.shape[1])
        return shuffled[np.argsort(distances[:, shuffled], 1, kind="stable")]
    kind = "stable" if ties == "stable" else None
    # The codes that are replayed hold distances as floats.
    return np.argsort(distances.astype("float32"), axis=1, kind=kind)


def ranking_metrics(
    query_codes,
    query_labels,
    database_codes,
    database_labels,
    bits,
    similarity,
    ties,
    seed,
    prefixes,
    drop_last=False,
    skip_without_hit=False,
    chunk=1 << 22,
    **options,
):
    """Ranking metrics of one order of the database, a dict of floats.

    With `drop_last`, `map` loses the last item of the ranking; with
    `skip_without_hit`, a query without a hit among the first k is left out of
    `map@k`. At most `chunk` pairs are ranked at once.
    """
    query_labels = statistic.check_labels(
        query_labels, len(query_codes), "query"
    )
    database_labels = statistic.check_labels(
        database_labels, len(database_codes), "database"
    )
    sizes = statistic.label_sizes(database_labels)
    query_sizes = statistic.label_sizes(query_labels)
    random = np.random.RandomState(seed)
    rows = max(1, chunk // len(database_codes))
    chunks = []
    for low in range(0, len(query_codes), rows):
        part = slice(low, low + rows)
        levels = codes.levels(
            query_codes[part], database_codes, bits, similarity
        )
        if query_labels.ndim == 2:
            left = query_labels[part].astype("float32")
            shared = left @ database_labels.T.astype("float32")
        else:
            shared = query_labels[part, None] == database_labels
        places = order(levels, ties, random)
        graded = values.grades(
            np.take_along_axis(shared, places, axis=1),
            query_sizes[part, None],
            sizes[places],
            prefixes,
        )
        views = {name: values.ranking(v) for name, v in graded.items()}
        found = values.ranking_metrics(views, **options)
        if drop_last and "map" in found:
            cut = {"": values.ranking(graded[""][:, :-1])}
            whole = values.ranking_metrics(cut, **{**options, "k": []})
            found["map"] = whole["map"]
        if skip_without_hit:
            _leave_out(found, views[""].relevant)
        chunks.append(found)
    return values.mean_of_chunks(chunks)


def _leave_out(found, relevant):
    """Skips the queries without a hit among the first k in `map@k`."""
    for key, each in found.items():
        known = metrics.describe(key)
        if known.row.name == "map" and known.cut:
            each[(relevant[:, : known.cut] == 0).all(axis=1)] = np.nan
