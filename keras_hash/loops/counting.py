"""The inner loops of `evaluation.kernels.numba_kernel`."""

import numba
import numpy as np

from keras_hash.loops import jit


@numba.njit(nogil=True)
def _write_keys(keys, query, left, sides, options):
    """Writes to which column of the table each pair of a tile belongs."""
    a, b, a_labels, b_labels = sides
    multi_hot, bits, by_and = options
    right = left + len(keys)
    # Loops over one word, which become vector instructions.
    for word in range(len(a)):
        x, row = a[word, query], b[word, left:right]
        if by_and:
            if word == 0:
                keys[:] = bits
            for j in range(len(keys)):
                keys[j] -= jit.ones(x & row[j])
        elif word == 0:
            for j in range(len(keys)):
                keys[j] = jit.ones(x ^ row[j])
        else:
            for j in range(len(keys)):
                keys[j] += jit.ones(x ^ row[j])
    for word in range(len(a_labels)):
        y, labels = a_labels[word, query], b_labels[word, left:right]
        if multi_hot:
            for j in range(len(keys)):
                keys[j] += (bits + 1) * jit.ones(np.uint64(y & labels[j]))
        else:
            for j in range(len(keys)):
                keys[j] += (bits + 1) * (y == labels[j])


@jit.kept
def count(sides, weights, options, keys, counts):
    """Adds pairs to `counts`, as `kernels` says; all arrays in C order.

    `keys` is scratch, `[4, tile]` of an integer type that holds a row of the
    table: a tile's keys are written before they are counted.
    """
    tile = keys.shape[1]
    for left in range(0, len(weights), tile):
        size = min(tile, len(weights) - left)
        w = weights[left : left + size]
        # Four rows of the table at once: additions to different rows need not
        # wait for each other.
        fours = len(counts) // 4 * 4
        for low in range(0, fours, 4):
            for row in range(4):
                _write_keys(keys[row, :size], low + row, left, sides, options)
            k0, k1, k2, k3 = keys[0], keys[1], keys[2], keys[3]
            c0, c1 = counts[low], counts[low + 1]
            c2, c3 = counts[low + 2], counts[low + 3]
            for j in range(size):
                weight = w[j]
                # Read before the additions, which might change them for all
                # that the compiler knows.
                i0, i1 = np.intp(k0[j]), np.intp(k1[j])
                i2, i3 = np.intp(k2[j]), np.intp(k3[j])
                c0[i0] += weight
                c1[i1] += weight
                c2[i2] += weight
                c3[i3] += weight
        for row in range(fours, len(counts)):
            _write_keys(keys[0, :size], row, left, sides, options)
            for j in range(size):
                counts[row, keys[0, j]] += w[j]
