"""Pairs of items of one index that are near each other, and their clusters.

Two codes that differ in up to r bits are equal in one of r + 1 substrings at
least, so that codes are compared with those of the same substring only, where
these are few.
"""

import concurrent.futures
import functools
import itertools

import numpy as np

from keras_hash import loops
from keras_hash.codes import words
from keras_hash.search import substrings

# Codes that are searched for, and pairs that are handed on, at a time.
_ROWS, _PAIRS = 1 << 12, 1 << 21
# Comparisons of one task, and how many a scan does in the time of one.
_TASK, _COST = 1 << 24, 2
# More bits of a substring would make more lists than there are codes.
_WIDEST = 24


def code_pairs(groups, radius):
    """Yields numbers of pairs of distinct codes up to a distance, the smaller
    one first, and distances `int32`."""
    if radius == 0:
        return
    count, compiled = len(groups.codes), loops.load("joining")
    if compiled is not None and radius < groups.bits:
        parts = _parts(groups, radius)
        cost = sum(_comparisons(groups.codes, *part) for part in parts)
        if _COST * cost < count * count // 2:
            yield from _by_tables(compiled, groups.codes, parts, radius)
            return
    groups = groups.searched_by("scan")
    for start in range(0, count, _ROWS):
        queries = groups.codes[start : start + _ROWS, : -(-groups.bits // 8)]
        for row, far, other in groups.near(queries, radius, start):
            new = other > row + start
            yield row[new] + start, other[new], far[new]


def _parts(groups, radius):
    """Where the substrings begin and end."""
    width = min(_WIDEST, max(1, len(groups.codes).bit_length()))
    edges = [groups.bits * part // (radius + 1) for part in range(radius + 2)]
    return [
        (low, min(high, low + width)) for low, high in itertools.pairwise(edges)
    ]


def _comparisons(codes, start, end):
    """Pairs of codes with the same substring."""
    values = substrings.substring(codes, start, end)
    sizes = np.bincount(values)
    return int((sizes * (sizes - 1) // 2).sum())


def _by_tables(compiled, codes, parts, radius):
    import faiss

    threads = faiss.omp_get_max_threads()
    held, width = words(codes), codes.shape[1]
    masks = np.stack([substrings.mask_of(*part, width) for part in parts])
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for number, part in enumerate(parts):
            values = substrings.substring(codes, *part)
            order = substrings.order_of(values)
            last = np.flatnonzero(np.diff(values[order], append=-1)) + 1
            # For each code, where those of its substring end.
            ends = np.repeat(last, np.diff(last, prepend=0))
            rows = held[order]
            limit = np.full(1, radius + 1, rows.dtype)
            columns = np.ascontiguousarray(rows.T)
            given = rows, columns, ends, limit, masks[:number]
            total = np.cumsum(ends - np.arange(1, len(ends) + 1))
            cuts = np.searchsorted(total, np.arange(_TASK, total[-1], _TASK))
            cuts = np.unique([0, *(cuts + 1), len(total)]).tolist()
            tasks = itertools.pairwise(cuts)
            run = functools.partial(_task, compiled, given)
            # Results wait for whoever takes them: a few at a time.
            while some := list(itertools.islice(tasks, 4 * threads)):
                for found in pool.map(run, some):
                    if found.shape[1]:
                        one, other = np.sort(order[found[:2]], axis=0)
                        yield one, other, found[2].astype("int32")


def _task(compiled, given, ends):
    return compiled.join(*given, *ends)


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
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

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
