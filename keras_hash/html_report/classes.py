"""Which classes are found for which."""

import numpy as np
from scipy import sparse

from keras_hash import codes as codes_lib
from keras_hash.html_report.measured import ends

# The rank up to which classes are confused.
_CONFUSED = 100
# Classes of which a whole table can be read, and labels listed of more.
_TABLE, _LISTED = 20, 10


def expected_labels(measured, k, pairs=1 << 21):
    """Labels among the first `k` images of each query, in expectation.

    Any order of images at equal distance is equally likely, so those of the
    distance that holds rank `k` count by the share of them that is in. So many
    `pairs` of codes are compared at once.
    """
    first, inverse, _ = codes_lib.group(measured.codes[0])
    items, where, counts = codes_lib.group(measured.codes[1])
    queries, codes = measured.codes[0][first], measured.codes[1][items]
    # How many items of each code have each label.
    members = sparse.csr_matrix(
        (np.ones(len(where)), (where, np.arange(len(where))))
    )
    held = members @ measured.label_matrix(1)
    found = np.empty((len(queries), held.shape[1]))
    own_shares = np.zeros(len(queries))
    width = measured.bits + 1
    rows = max(1, pairs // len(codes))
    for low in range(0, len(queries), rows):
        part = slice(low, low + rows)
        asked = queries[part]
        levels = measured.levels(asked, codes).astype("int64")
        keys = levels + width * np.arange(len(asked))[:, None]
        weights = np.broadcast_to(counts, keys.shape).ravel()
        at = np.bincount(keys.ravel(), weights, width * len(asked))
        at = at.reshape(len(asked), width)
        if measured.drop:
            own = [measured.levels(row[None], row[None]) for row in asked]
            own = np.array(own).reshape(-1, 1).astype("int64")
            at -= np.arange(width) == own
        inside = np.clip(k - (np.cumsum(at, axis=1) - at), 0, at)
        shares = inside / np.maximum(at, 1)
        found[part] = np.take_along_axis(shares, levels, axis=1) @ held
        if measured.drop:
            own_shares[part] = np.take_along_axis(shares, own, axis=1)[:, 0]
    found = found[inverse]
    if measured.drop:
        own = measured.label_matrix(0).multiply(own_shares[inverse, None])
        found -= own.toarray()
    return found


def confusion(measured):
    """Classes of the images nearest to the queries of `measured`."""
    k = min(_CONFUSED, len(measured.codes[1]) - measured.drop)
    asked = measured.label_matrix(0)
    numbers = np.asarray(asked.sum(axis=0)).ravel()
    with np.errstate(invalid="ignore"):
        # Rows of labels that no query has are not looked at.
        shares = asked.T @ expected_labels(measured, k) / numbers[:, None]
    shares /= max(k, 1)
    present = np.flatnonzero(numbers)
    benchmark = measured.benchmark
    found = {"k": k, "matrix": [], "lists": []}
    if not benchmark.multi_label and benchmark.num_classes <= _TABLE:
        names = [measured.label(n) for n in range(benchmark.num_classes)]
        found["names"] = names
        found["matrix"] = [(names[row], shares[row]) for row in present]
    else:
        found["lists"] = _lists(measured, shares, present, numbers)
    return found


def _lists(measured, shares, present, numbers):
    """The labels that are found best, and those that are found worst."""
    chance = np.asarray(measured.label_matrix(1).mean(axis=0)).ravel()
    own = shares[present, present]
    order = present[np.argsort(-own, kind="stable")]
    best, worst = ends(order, _LISTED)
    for title, chosen in (("Found best", best), ("Found worst", worst)):
        rows = []
        for number in chosen:
            others = shares[number].copy()
            others[number] = 0
            other = int(others.argmax())
            rows.append(
                {
                    "label": measured.label(number),
                    "found": shares[number, number],
                    "chance": chance[number],
                    "queries": numbers[number],
                    "instead": measured.label(other),
                    "taken": others[other],
                }
            )
        if rows:
            yield title, rows
