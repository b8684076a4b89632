"""One order of the ranking, made as other code makes it.

Published numbers depend on how a sort happened to order items at equal
distance, on the denominator of AP, and on what is done with queries without a
hit. These functions replay such conventions on the same codes, so that a number
can be compared honestly. They hold `[chunk, database]` arrays and sort them:
slow, and only meant for that.
"""

import numpy as np

from keras_hash import codes as codes_lib
from keras_hash.evaluation import groups as groups_lib
from keras_hash.evaluation import kernels
from keras_hash.evaluation import statistic
from keras_hash.evaluation import values as values_lib

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
# Distances and relevance of one chunk: 2**22 pairs.
_CHUNK = 1 << 22


def convention(name):
    """The options that a code base implies.

    Args:
        name: str, a key of `CONVENTIONS`.

    Returns:
        dict of options.

    Raises:
        ValueError: unknown name.
    """
    if name not in CONVENTIONS:
        raise ValueError(
            f"`convention` should be one of {sorted(CONVENTIONS)}. "
            f"Received: convention={name!r}"
        )
    return dict(CONVENTIONS[name])


def order(distances, ties, random):
    """Positions of the items in the order of a ranking.

    Args:
        distances: int `[q, m]`.
        ties: `"stable"`, `"argsort"` (NumPy's default sort, unstable) or
            `"shuffle"` (a stable sort of the shuffled database).
        random: `numpy.random.RandomState`, for `"shuffle"`.

    Returns:
        `int64 [q, m]`.
    """
    if ties == "shuffle":
        shuffled = random.permutation(distances.shape[1])
        return shuffled[np.argsort(distances[:, shuffled], 1, kind="stable")]
    kind = "stable" if ties == "stable" else None
    # The codes that are replayed hold distances as floats.
    return np.argsort(distances.astype("float32"), axis=1, kind=kind)


def metrics(
    query_codes,
    query_labels,
    database_codes,
    database_labels,
    bits,
    similarity,
    ties,
    seed,
    drop_last=False,
    skip_without_hit=False,
    **options,
):
    """Ranking metrics of one order of the database.

    Args:
        query_codes: packed codes `uint8 [q, bytes]`.
        query_labels: int `[q]` or multi-hot `[q, num_classes]`.
        database_codes: packed codes `uint8 [m, bytes]`.
        database_labels: int `[m]` or multi-hot `[m, num_classes]`.
        bits: int, code length.
        similarity: `"hamming"` or `"and"`.
        ties: one of `ORDERS`.
        seed: int, for `"shuffle"`.
        drop_last: bool, whether `map` loses the last item of the ranking.
        skip_without_hit: bool, whether a query without a hit among the first k
            is left out of `map@k`.
        **options: `k`, `denominators`, `no_relevant` and `ideal_zero`, as for
            `values.ranking_metrics`.

    Returns:
        dict from name to float.
    """
    query_labels = statistic.check_labels(
        query_labels, len(query_codes), "query"
    )
    database_labels = statistic.check_labels(
        database_labels, len(database_codes), "database"
    )
    multi = query_labels.ndim == 2
    sizes = statistic.label_sizes(database_labels)
    query_sizes = statistic.label_sizes(query_labels)
    random = np.random.RandomState(seed)
    rows = max(1, _CHUNK // len(database_codes))
    chunks = []
    for low in range(0, len(query_codes), rows):
        part = slice(low, low + rows)
        level = kernels.levels_of_pairs(
            codes_lib.words(query_codes[part]).T[:, :, None],
            codes_lib.words(database_codes).T[:, None, :],
            bits,
            similarity,
        )
        if multi:
            left = query_labels[part].astype("float32")
            shared = left @ database_labels.T.astype("float32")
        else:
            shared = query_labels[part, None] == database_labels
        places = order(level, ties, random)
        graded = values_lib.grades(
            np.take_along_axis(shared, places, axis=1),
            query_sizes[part, None],
            sizes[places],
            multi,
        )
        views = {n: groups_lib.ranking(v) for n, v in graded.items()}
        found = values_lib.ranking_metrics(views, **options)
        if drop_last:
            cut = groups_lib.ranking(graded[""][:, :-1])
            whole = values_lib.ranking_metrics(
                {"": cut}, **{**options, "k": []}
            )
            found["map"] = whole["map"]
        if skip_without_hit:
            for cut in options["k"]:
                without = (views[""].relevant[:, :cut] == 0).all(axis=1)
                for denominator in options["denominators"]:
                    suffix = "" if denominator == "min" else f"_{denominator}"
                    found[f"map@{cut}{suffix}"][without] = np.nan
        chunks.append(found)
    return values_lib.mean_of_chunks(chunks)
