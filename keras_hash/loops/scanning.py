"""Comparing queries with all codes: the k nearest, and all up to a distance.

Codes lie in columns, word by word, and are compared in blocks that stay in the
first level of the cache. In most blocks nothing is near enough: these are only
counted, in vector instructions; others are gone through piece by piece.
"""

import numba
import numpy as np

from keras_hash.loops import jit

BLOCK, PIECE = 1024, 128


@numba.njit(nogil=True)
def _one(x, a, limit):
    found = np.uint64(0)
    for j in range(len(a)):
        found += np.uint64(jit.ones(x ^ a[j]) < limit)
    return found


@numba.njit(nogil=True)
def _two(x, y, a, b, limit):
    found = np.uint64(0)
    for j in range(len(a)):
        far = jit.ones(x ^ a[j]) + jit.ones(y ^ b[j])
        found += np.uint64(far < limit)
    return found


@numba.njit(nogil=True)
def _four(x, y, z, w, a, b, c, d, limit):
    found = np.uint64(0)
    for j in range(len(a)):
        far = jit.ones(x ^ a[j]) + jit.ones(y ^ b[j])
        far += jit.ones(z ^ c[j]) + jit.ones(w ^ d[j])
        found += np.uint64(far < limit)
    return found


@numba.njit(nogil=True)
def distances(query, columns, left, right, out):
    """Writes the distances to some codes."""
    for word in range(len(query)):
        x, row = query[word], columns[word, left:right]
        if word == 0:
            for j in range(len(row)):
                out[j] = jit.ones(x ^ row[j])
        else:
            for j in range(len(row)):
                out[j] += jit.ones(x ^ row[j])


@numba.njit(nogil=True)
def _below(far, limit):
    found = np.uint64(0)
    for j in range(len(far)):
        found += np.uint64(far[j] < limit)
    return found


@numba.njit(nogil=True)
def nearer(queries, columns, left, right, limits, scratch, found):
    """Counts the codes of a block that are nearer than each query's limit."""
    # Such slices are known to lie in one piece, which vectors need; they are
    # made once a block, as that takes as long as a few dozen codes.
    q, width = queries, len(columns)
    a = columns[0, left:right]
    b = columns[min(1, width - 1), left:right]
    if width == 1:
        for i in range(len(q)):
            found[i] = _one(q[i, 0], a, limits[i])
    elif width == 2:
        for i in range(len(q)):
            found[i] = _two(q[i, 0], q[i, 1], a, b, limits[i])
    elif width == 4:
        c, d = columns[2, left:right], columns[3, left:right]
        for i in range(len(q)):
            x, y, z, w = q[i, 0], q[i, 1], q[i, 2], q[i, 3]
            found[i] = _four(x, y, z, w, a, b, c, d, limits[i])
    else:
        for i in range(len(q)):
            distances(q[i], columns, left, right, scratch)
            found[i] = _below(scratch[: right - left], limits[i])


@numba.njit(nogil=True)
def _best(held, size, limit, counts, k):
    """Drops what is not among the k nearest so far; returns what is left."""
    room = k
    for far in range(limit):
        room -= counts[far]
    kept = counts[limit] = 0
    for at in range(size):
        far = held[at, 0]
        if far > limit or (far == limit and counts[limit] >= room):
            continue
        counts[limit] += far == limit
        held[kept, 0], held[kept, 1] = far, held[at, 1]
        kept += 1
    return kept


@jit.kept
def nearest(queries, columns, ends, k, limits, held, counts, out):
    """The k nearest codes of each query, by distance, ties by number.

    Args:
        queries, columns: words `[q, w]`, `[w, n]`.
        ends: the first code, the one after the last, and the step in which
            blocks between them are looked at.
        limits: `[q]`, of the words' type: codes so far away or further are not
            looked for. On return, where k were found, the distance of the last.
        held: scratch `[q, 2 k + PIECE, 2]`, int64.
        counts: scratch `[q, largest limit + 1]`, int64.
        out: int64 `[2, q, k]`, distances and numbers.

    Returns how many each query has in `out`: fewer than `k` where fewer are
    nearer than its limit.
    """
    scratch = np.empty(BLOCK, columns.dtype)
    found = np.empty(len(queries), np.int64)
    size = np.zeros(len(queries), np.int64)
    # Of the codes in `held`, how many are no further away than the limit.
    total = np.zeros(len(queries), np.int64)
    counts[:] = 0
    first, last, step = ends
    for left in range(first, last, step * BLOCK):
        right = min(left + BLOCK, last)
        nearer(queries, columns, left, right, limits, scratch, found)
        for i in range(len(queries)):
            if not found[i]:
                continue
            limit = limits[i]
            distances(queries[i], columns, left, right, scratch)
            for start in range(0, right - left, PIECE):
                piece = scratch[start : min(start + PIECE, right - left)]
                hits = _below(piece, limit)
                j = 0
                while hits:
                    if piece[j] < limit:
                        far = np.int64(piece[j])
                        at = size[i]
                        held[i, at, 0], held[i, at, 1] = far, left + start + j
                        size[i] = at + 1
                        counts[i, far] += 1
                        total[i] += 1
                        hits -= 1
                        # What is as far away as the k-th comes too late.
                        while total[i] - counts[i, np.int64(limit)] >= k:
                            total[i] -= counts[i, np.int64(limit)]
                            limit = limit - limits.dtype.type(1)
                            hits = _below(piece[j + 1 :], limit)
                    j += 1
                if size[i] > 2 * k:
                    end = np.int64(limit)
                    size[i] = _best(held[i], size[i], end, counts[i], k)
                    total[i] = size[i]
            limits[i] = limit
    for i in range(len(queries)):
        end = np.int64(limits[i])
        if size[i] > k:
            size[i] = _best(held[i], size[i], end, counts[i], k)
        place = 0
        for far in range(end + 1):
            place, counts[i, far] = place + counts[i, far], place
        for at in range(size[i]):
            far = held[i, at, 0]
            place = counts[i, far]
            counts[i, far] += 1
            out[0, i, place], out[1, i, place] = far, held[i, at, 1]
    return size


@jit.kept
def count(queries, columns, first, limits, found):
    """How many codes of each block are nearer than a query's limit.

    Args:
        queries, columns: words `[q, w]`, `[w, n]`.
        first: the first code that counts, a multiple of BLOCK.
        limits: `[q]`, of the words' type.
        found: int64 `[blocks from the first on, q]`.
    """
    scratch = np.empty(BLOCK, columns.dtype)
    for block in range(len(found)):
        left = first + block * BLOCK
        right = min(left + BLOCK, columns.shape[1])
        nearer(queries, columns, left, right, limits, scratch, found[block])


@jit.kept
def fill(queries, columns, first, limits, found, places, out):
    """What `count` has found: int64 `[2, all]` distances and numbers, those of
    query i from `places[i]` on, which end as where the next one begins."""
    scratch = np.empty(BLOCK, columns.dtype)
    for block in range(len(found)):
        left = first + block * BLOCK
        right = min(left + BLOCK, columns.shape[1])
        for i in range(len(queries)):
            hits, limit, j = found[block, i], limits[i], 0
            if hits:
                distances(queries[i], columns, left, right, scratch)
            while hits:
                piece = scratch[j : min(j + PIECE, right - left)]
                j += PIECE
                if not _below(piece, limit):
                    continue
                for at in range(len(piece)):
                    if piece[at] < limit:
                        place = places[i]
                        out[0, place] = piece[at]
                        out[1, place] = left + j - PIECE + at
                        places[i] = place + 1
                        hits -= 1
