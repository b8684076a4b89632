"""Pairs of items of one index that are near each other, and their clusters."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# Codes that are searched for, and pairs that are handed on, at a time.
_ROWS, _PAIRS = 1 << 12, 1 << 21


def code_pairs(groups, radius):
    """Yields numbers of pairs of distinct codes up to a distance, the smaller
    one first, and distances."""
    groups = groups.to_join(radius)
    for start in range(0, len(groups.codes), _ROWS):
        queries = groups.codes[start : start + _ROWS, : -(-groups.bits // 8)]
        for row, far, other in groups.near(queries, radius, start):
            new = other > row + start
            yield row[new] + start, other[new], far[new]


def item_pairs(groups, radius):
    """Yields places `[m]` of pairs of items, the one added first before the
    other, and distances `int32 [m]`, some millions at a time at most."""
    if groups.group is not None:
        same = groups.sizes(np.arange(len(groups.codes)))
        same = np.flatnonzero(same > 1)
        yield from _expanded(groups, same, same, np.zeros(len(same), "int32"))
    for one, other, far in code_pairs(groups, radius):
        if groups.group is None:
            yield one, other, far
        else:
            yield from _expanded(groups, one, other, far)


def _expanded(groups, one, other, far):
    """The pairs of items of pairs of codes, or of codes and themselves."""
    starts, items = groups.lists()
    rows, columns = groups.sizes(one), groups.sizes(other)
    ends = np.cumsum(rows * columns)
    total = int(ends[-1]) if len(ends) else 0
    for low in range(0, total, _PAIRS):
        number = np.arange(low, min(low + _PAIRS, total))
        pair = np.searchsorted(ends, number, side="right")
        number -= ends[pair] - rows[pair] * columns[pair]
        row, column = np.divmod(number, columns[pair])
        new = (one[pair] != other[pair]) | (row < column)
        pair, row, column = pair[new], row[new], column[new]
        first = items[starts[one[pair]] + row]
        second = items[starts[other[pair]] + column]
        ends_of_pair = np.minimum(first, second), np.maximum(first, second)
        yield *ends_of_pair, far[pair]


def clusters(groups, radius):
    """Lists of places, of two or more: whom pairs lead from one to another."""
    count = len(groups.codes)
    parts = np.arange(count)

    def join(edges):
        nonlocal parts
        one, other = (parts[np.concatenate(side)] for side in zip(*edges))
        graph = coo_array((np.ones(len(one), bool), (one, other)), (count,) * 2)
        parts = connected_components(graph, directed=False)[1][parts]

    edges, waiting = [], 0
    for one, other, _ in code_pairs(groups, radius):
        edges.append((one, other))
        waiting += len(one)
        if waiting > max(count, _PAIRS):
            join(edges)
            edges, waiting = [], 0
    if waiting:
        join(edges)
    parts = parts if groups.group is None else parts[groups.group]
    order = np.argsort(parts, kind="stable")
    ends = np.flatnonzero(np.diff(parts[order])) + 1
    found = [part for part in np.split(order, ends) if len(part) > 1]
    return sorted(found, key=lambda part: part[0])
