"""The one table from which every ranking metric follows.

For each query: how many database items lie at each Hamming distance, by the
number of labels that they share with the query. No ranking is ever sorted.
"""

import numpy as np

from keras_hash import codes as codes_lib

# Distances of one chunk: 4 bytes each, about 8 MiB with the keys.
_CHUNK = 1 << 20


def count_table(
    query_codes, query_labels, database_codes, database_labels, bits
):
    """Counts database items by shared labels and distance, for each query.

    Equal (code, label) pairs are counted once with their multiplicity, in the
    queries and in the database: trained encoders repeat codes, and the work
    shrinks accordingly. Memory beside the inputs is one chunk of 2**20
    distances and the table itself; no [queries, database] array is held.

    Args:
        query_codes: packed codes `uint8 [q, bytes]`.
        query_labels: int `[q]` or multi-hot `[q, num_classes]`.
        database_codes: packed codes `uint8 [m, bytes]`.
        database_labels: int `[m]` or multi-hot `[m, num_classes]`.
        bits: int, code length.

    Returns:
        `int64 [q, levels, bits + 1]`: entry `[i, r, d]` is the number of items
        at distance `d` from query `i` that share `r` labels with it.

    Raises:
        ValueError: codes or labels that do not fit each other or `bits`.
    """
    query_codes = codes_lib.check(query_codes, bits, "query_codes")
    database_codes = codes_lib.check(database_codes, bits, "database_codes")
    query_labels, database_labels = check_labels(
        query_labels, database_labels, len(query_codes), len(database_codes)
    )
    queries, inverse, _ = _group(query_codes, query_labels)
    items, _, weights = _group(database_codes, database_labels)
    query_codes, query_labels = query_codes[queries], query_labels[queries]
    database_codes = database_codes[items]
    database_labels = database_labels[items]
    levels = 2
    if query_labels.ndim == 2:
        widest = [x.sum(axis=1).max() for x in (query_labels, database_labels)]
        levels = int(min(widest)) + 1
    distances = bits + 1
    table = np.zeros((len(queries), levels * distances), "int64")
    rows = max(1, _CHUNK // len(items))
    columns = min(len(items), _CHUNK)
    for low in range(0, len(queries), rows):
        chunk = slice(low, low + rows)
        size = len(query_codes[chunk])
        offsets = np.arange(size)[:, None] * (levels * distances)
        for left in range(0, len(items), columns):
            block = slice(left, left + columns)
            keys = shared_labels(query_labels[chunk], database_labels[block])
            keys = keys * distances + offsets
            keys += codes_lib.hamming(query_codes[chunk], database_codes[block])
            # Whole numbers below 2**53: float64 sums of them are exact.
            counts = np.bincount(
                keys.ravel(),
                np.broadcast_to(weights[block], keys.shape).ravel(),
                size * levels * distances,
            )
            table[chunk] += counts.reshape(size, -1).astype("int64")
    return table.reshape(-1, levels, distances)[inverse]


def shared_labels(a, b):
    """The number of labels that each pair has in common.

    Args:
        a: int `[n]` or multi-hot float32 `[n, num_classes]`.
        b: int `[m]` or multi-hot float32 `[m, num_classes]`.

    Returns:
        `int64 [n, m]`; 0 or 1 for class numbers.
    """
    if a.ndim == 1:
        return (a[:, None] == b).astype("int64")
    return (a @ b.T).astype("int64")


def check_labels(query_labels, database_labels, queries, items):
    """Checks that labels fit their codes and each other.

    Args:
        query_labels: int `[q]` or multi-hot `[q, num_classes]`.
        database_labels: int `[m]` or multi-hot `[m, num_classes]`.
        queries: int, number of query codes.
        items: int, number of database codes.

    Returns:
        The labels: int64 `[n]`, or float32 `[n, num_classes]`, copied.

    Raises:
        ValueError: empty sets, other lengths, ranks that differ, multi-hot
            values other than 0 and 1, or fractional class numbers.
    """
    checked = []
    for name, labels, count in (
        ("query", query_labels, queries),
        ("database", database_labels, items),
    ):
        labels = np.asarray(labels)
        if count == 0:
            raise ValueError(
                f"There is nothing to evaluate: the {name} set is empty. "
                f"Received: {name}_codes with 0 rows"
            )
        if labels.ndim not in (1, 2) or len(labels) != count:
            raise ValueError(
                f"`{name}_labels` should be int [{count}] or multi-hot "
                f"[{count}, num_classes], one row a code. "
                f"Received: {name}_labels.shape={labels.shape}"
            )
        if labels.dtype.kind not in "biuf":
            raise ValueError(
                f"`{name}_labels` should hold numbers. "
                f"Received: {name}_labels.dtype={labels.dtype}"
            )
        if labels.ndim == 2:
            if not np.isin(labels, (0, 1)).all():
                raise ValueError(
                    f"`{name}_labels` of rank 2 should be multi-hot, 0 and 1 "
                    "only. Received: values from "
                    f"{labels.min()} to {labels.max()}"
                )
            labels = labels.astype("float32")
        else:
            if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
                raise ValueError(
                    f"`{name}_labels` of rank 1 should be class numbers. "
                    f"Received: {name}_labels.dtype={labels.dtype} with "
                    "fractions"
                )
            labels = labels.astype("int64")
        checked.append(labels)
    query_labels, database_labels = checked
    if query_labels.shape[1:] != database_labels.shape[1:]:
        raise ValueError(
            "Query and database labels should be of one kind. Received: "
            f"query_labels.shape={query_labels.shape}, "
            f"database_labels.shape={database_labels.shape}"
        )
    return query_labels, database_labels


def _group(codes, labels):
    """Equal (code, label) rows: first index, inverse and count of each."""
    if labels.ndim == 2:
        packed = np.packbits(labels.astype(bool), axis=1)
    else:
        packed = labels.reshape(-1, 1).view("uint8")
    rows = np.ascontiguousarray(np.concatenate([codes, packed], axis=1))
    rows = rows.view([("", f"V{rows.shape[1]}")]).ravel()
    _, first, inverse, counts = np.unique(
        rows, return_index=True, return_inverse=True, return_counts=True
    )
    return first, inverse.ravel(), counts.astype("float64")
