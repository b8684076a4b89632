"""Exact search by comparing a query with every code, by FAISS."""

import numpy as np

from keras_hash import codes as codes_lib
from keras_hash.evaluation import kernels

# Distances that are sorted at a time, and bytes of FAISS' counters.
_BLOCK = 1 << 22
_COUNTERS = 1 << 27


def nearest(queries, codes, k):
    """The nearest codes, ties by number.

    Args:
        queries: `uint8 [q, bytes]`, C-contiguous.
        codes: `uint8 [n, bytes]`, C-contiguous.
        k: int from 1 to `n`.

    Returns:
        `int64 [2, q, k]`: distances, and numbers of codes.
    """
    import faiss

    cost = 8 * k * (8 * codes.shape[1] + 1)
    if k == len(codes) or cost > min(_COUNTERS, 32 * len(codes)):
        # FAISS would count more than there is: sort all.
        return _sorted(queries, codes, k)
    # Both keep ties in order: FAISS' heap is by distance, then number. It suits
    # long codes, counting by distance short ones and a large k.
    variant = "hc" if codes.shape[1] >= 16 and k <= 200 else "mc"
    found = np.empty((2, len(queries), k), "int64")
    rows = min(max(8, _COUNTERS // cost), 256)
    for start in range(0, len(queries), rows):
        part = np.ascontiguousarray(queries[start : start + rows])
        found[:, start : start + rows] = faiss.knn_hamming(
            part, codes, k, variant=variant
        )
    return found


def _sorted(queries, codes, k):
    words = codes_lib.words(codes).T[:, None, :]
    found = np.empty((2, len(queries), k), "int64")
    bits = 8 * codes.shape[1]
    rows = max(1, _BLOCK // len(codes))
    for start in range(0, len(queries), rows):
        part = codes_lib.words(queries[start : start + rows])
        part = kernels.levels_of_pairs(
            part.T[:, :, None], words, bits, "hamming"
        )
        order = np.argsort(part, axis=1, kind="stable")[:, :k]
        found[0, start : start + rows] = np.take_along_axis(part, order, 1)
        found[1, start : start + rows] = order
    return found


def within(queries, codes, limit):
    """All pairs up to a distance.

    Args:
        queries: `uint8 [q, bytes]`.
        codes: `uint8 [n, bytes]`, C-contiguous.
        limit: int, the largest distance.

    Returns:
        A triple `int64 [m]`: rows of queries, distances and numbers of codes,
        by row.
    """
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
