"""Pairs of codes that are near each other, among codes of one substring."""

import numba
import numpy as np

from keras_hash.loops import jit
from keras_hash.loops import scanning


@numba.njit(nogil=True)
def _is_new(one, other, masks):
    """Whether no substring of an earlier table is equal."""
    for part in range(len(masks)):
        equal = True
        for word in range(len(one)):
            equal &= not (one[word] ^ other[word]) & masks[part, word]
        if equal:
            return False
    return True


@jit.kept
def join(rows, columns, ends, limit, masks, first, last):
    """Pairs nearer than a limit of which one is from `first` to `last`.

    Args:
        rows, columns: words `[n, w]`, `[w, n]` of codes in the order of a
            substring.
        ends: int64 `[n]`, where the codes of the same substring end.
        limit: `[1]`, of the words' type.
        masks: words `[t, w]`, the substrings of earlier tables: pairs that
            are equal in one of them were found there.
        first, last: the codes that are compared with those behind them.

    Returns int64 `[3, m]`: places of both, and distances.
    """
    size, found = 0, np.empty((3, 64), np.int64)
    scratch = np.empty(scanning.BLOCK, columns.dtype)
    hits = np.empty(1, np.int64)
    for i in range(first, last):
        for left in range(i + 1, ends[i], scanning.BLOCK):
            right = min(left + scanning.BLOCK, ends[i])
            own = rows[i : i + 1]
            scanning.nearer(own, columns, left, right, limit, scratch, hits)
            if not hits[0]:
                continue
            scanning.distances(rows[i], columns, left, right, scratch)
            for j in range(right - left):
                if scratch[j] >= limit[0]:
                    continue
                if not _is_new(rows[i], rows[left + j], masks):
                    continue
                if size == found.shape[1]:
                    more = np.empty((3, 2 * size), np.int64)
                    more[:, :size] = found
                    found = more
                found[0, size], found[1, size] = i, left + j
                found[2, size] = scratch[j]
                size += 1
    return found[:, :size]
