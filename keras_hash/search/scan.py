"""Exact search by comparing a query with every code, by FAISS."""

import numpy as np

from keras_hash.codes import ones_of_words
from keras_hash.codes import words


def nearest(queries, codes, k, block=1 << 22, counters=1 << 27):
    """Distances and numbers `[2, q, k]` of the nearest codes, ties by number.

    Distances that are sorted at a time, and bytes of FAISS' counters, are
    limited to `block` and `counters`.
    """
    import faiss

    cost = 8 * k * (8 * codes.shape[1] + 1)
    if k == len(codes) or cost > min(counters, 32 * len(codes)):
        # FAISS would count more than there is: sort all.
        return _sorted(queries, codes, k, block)
    # Both keep ties in order: FAISS' heap is by distance, then number. It suits
    # long codes, counting by distance short ones and a large k.
    variant = "hc" if codes.shape[1] >= 16 and k <= 200 else "mc"
    found = np.empty((2, len(queries), k), "int64")
    rows = min(max(8, counters // cost), 256)
    for start in range(0, len(queries), rows):
        part = np.ascontiguousarray(queries[start : start + rows])
        found[:, start : start + rows] = faiss.knn_hamming(
            part, codes, k, variant=variant
        )
    return found


def _sorted(queries, codes, k, block):
    items = words(codes).T[:, None, :]
    found = np.empty((2, len(queries), k), "int64")
    rows = max(1, block // len(codes))
    for start in range(0, len(queries), rows):
        part = words(queries[start : start + rows]).T[:, :, None]
        far = ones_of_words(part, items, "xor")
        order = np.argsort(far, axis=1, kind="stable")[:, :k]
        found[0, start : start + rows] = np.take_along_axis(far, order, 1)
        found[1, start : start + rows] = order
    return found


def within(queries, codes, limit):
    """Rows, distances and numbers of all pairs up to a distance, by row."""
    import faiss

    queries = np.ascontiguousarray(queries)
    found = faiss.RangeSearchResult(len(queries))
    faiss.hamming_range_search(
        faiss.swig_ptr(queries),
        faiss.swig_ptr(codes),
        len(queries),
        len(codes),
        # FAISS finds what is nearer than this.
        int(limit) + 1,
        codes.shape[1],
        found,
    )
    lims = faiss.rev_swig_ptr(found.lims, len(queries) + 1).astype("int64")
    count = int(lims[-1])
    rows = np.repeat(np.arange(len(queries)), np.diff(lims))
    levels = faiss.rev_swig_ptr(found.distances, count).astype("int64")
    return rows, levels, faiss.rev_swig_ptr(found.labels, count).copy()
