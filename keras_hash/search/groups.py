"""Exact search among items that are grouped by equal codes.

Learned codes repeat: often there are a few hundred among fifty thousand items.
Distances are computed to distinct codes, and a posting list turns a code into
its items. A code's number tells when it was first added, so that among codes at
one distance the first `k` hold the first `k` items. Many distinct codes are
searched through tables of substrings where that is faster.
"""

import functools

import numpy as np

from keras_hash.codes import group
from keras_hash.codes import num_bytes
from keras_hash.codes import padded
from keras_hash.search import scan
from keras_hash.search import substrings

# One query in so many may be slower by tables than by a scan.
_FEW = 8


def width_of(bits):
    """Bytes that a stored code takes: FAISS is fast at powers of two."""
    width = num_bytes(bits)
    if width > 64:
        return -(-width // 8) * 8
    return max(4, 1 << (width - 1).bit_length())


def check_arrays(bits, codes, group):
    """Refuses codes and groups, as of a file, that no `Groups` has."""
    width, spare = num_bytes(bits), -bits % 8
    stored = codes.ndim == 2 and codes.shape[1] == width_of(bits)
    if codes.dtype != np.uint8 or not stored:
        raise ValueError(f"its codes are not of {bits} bits")
    last = codes[:, width - 1] & ((1 << spare) - 1)
    if last.any() or codes[:, width:].any():
        raise ValueError(f"its codes have bits set after their first {bits}")
    if group is None:
        return
    listed = group.dtype == np.int32 and group.ndim == 1 and len(group)
    if listed:
        # Each code is that of an item, and numbered when it first came.
        known = np.maximum.accumulate(group)
        steps = np.diff(known, prepend=-1)
        listed = group.min() >= 0 and steps.max() <= 1
        listed = listed and known[-1] == len(codes) - 1
    if not listed:
        raise ValueError("its items are not those of its codes")


class Groups:
    """Items by code. Nothing in it changes, so that threads can share it.

    `codes` are distinct, `[g, width_of(bits)]` in the order of their first
    items; `group` is the code of each item, `None` where item i has code i.
    """

    # Keys that are sorted at a time.
    block = 1 << 22
    # Distinct codes from which "auto" makes tables of substrings.
    many = 1 << 21
    # Nearest items from which merging lists of equal codes is what takes long.
    merged = 256

    def __init__(self, bits, similarity, codes, group=None, method="scan"):
        self.bits, self.similarity, self.method = bits, similarity, method
        self.codes, self.group = codes, group
        self._postings = self._substrings = None
        # The smallest k for which tables were slower than a scan.
        self._slow_from = np.inf

    def __len__(self):
        return len(self.codes if self.group is None else self.group)

    @property
    def nbytes(self):
        """Bytes of the arrays."""
        parts = [self.codes, self.group, *(self._postings or ())]
        parts += [self._substrings, self._scan]
        if self.similarity == "and":
            parts.append(self._scan.codes)
        if (items := vars(self).get("_item_scan")) is not None:
            parts += [items, items.codes]
        return sum(part.nbytes for part in parts if part is not None)

    def added(self, codes):
        """These items and more."""
        old = len(self.codes)
        codes = padded(codes, self.codes.shape[1])
        rows = np.concatenate([self.codes, codes])
        _, inverse, sizes = group(rows)
        kept, numbers = _by_first(inverse, len(sizes))
        new = numbers[old:]
        if len(kept) == len(rows) and self.group is None:
            return self._like(rows)
        before = np.arange(old, dtype="int32")
        before = before if self.group is None else self.group
        return self._like(rows[kept], np.concatenate([before, new]))

    def chosen(self, items):
        """Some of the items, of rising numbers, numbered from 0."""
        if self.group is None:
            return self._like(self.codes[items])
        old = np.asarray(self.group)[items]
        first, new = _by_first(old, len(self.codes))
        alone = len(first) == len(new)
        return self._like(self.codes[old[first]], None if alone else new)

    def searched_by(self, method):
        """The same items, searched in another way."""
        held = self.codes, self.group
        return Groups(self.bits, self.similarity, *held, method)

    def _like(self, codes, group=None):
        return Groups(self.bits, self.similarity, codes, group, self.method)

    def nearest(self, queries, k):
        """Levels and items `[q, k]` of the nearest, ties in their order."""
        queries, shifts = self._probes(queries)
        if self._beside_lists(k) and self._tables() is None:
            found = self._item_scan.nearest(queries, k)
            return self._levels(found[0], shifts[:, None]), found[1]
        count = min(k, len(self.codes))
        found = np.empty((2, len(queries), k), "int64")
        # So many queries have at most `block` candidates: no more than all
        # items, and no more than k of each code.
        many = k if self.group is None else min(len(self), k * count)
        rows = max(1, min(4096, self.block // many))
        for start in range(0, len(queries), rows):
            part = slice(start, start + rows)
            levels, groups = self._nearest_codes(queries[part], count)
            if self.group is not None:
                levels, groups = self._first_items(levels, groups, k)
            found[0, part], found[1, part] = levels, groups
        return self._levels(found[0], shifts[:, None]), found[1]

    def within(self, queries, radius):
        """Bounds `[q + 1]`, levels and items of all up to a level, in order."""
        none = np.zeros(0, "int32"), np.zeros(0, "int64")
        parts = [none] * len(queries)
        for row, level, code in self.near(queries, radius):
            take = self.sizes(code)
            row, level, item = self._expanded(row, level, code, take)
            ends = np.flatnonzero(row[1:] != row[:-1]) + 1
            asked = np.append(row[:1], row[ends])
            lists = (np.split(of, ends) for of in (level, item))
            for query, *part in zip(asked, *lists):
                parts[query] = part
        lims = np.cumsum([0, *(len(levels) for levels, _ in parts)])
        return lims, *map(np.concatenate, zip(none, *parts))

    def near(self, queries, radius, first=0):
        """Yields rows, levels and numbers of codes up to a level, all of some
        queries at a time; codes below `first` may be left out."""
        queries, shifts = self._probes(queries)
        radius = min(radius, self.bits)
        limits = radius + np.zeros(len(queries), "int64")
        if self.similarity == "and":
            limits = 2 * radius + shifts
        for limit in np.unique(limits[limits >= 0]):
            same = np.flatnonzero(limits == limit)
            for row, level, code in self._found(queries, same, limit, first):
                yield row, self._levels(level, shifts[row]), code

    def _beside_lists(self, k):
        """Whether comparing all items costs less than to merge many lists."""
        repeated = self.group is not None
        return repeated and k >= self.merged and len(self) < 2 * len(self.codes)

    @functools.cached_property
    def _scan(self):
        return self._scan_of(self.codes)

    @functools.cached_property
    def _item_scan(self):
        return self._scan_of(self.codes[self.group])

    def _scan_of(self, codes):
        """What queries are compared with by Hamming distance.

        With h stored as [h, not h] and q as [q, 0], it is
        |q| + 8 bytes - 2 |q & h|: another order of the same items.
        """
        if self.similarity == "hamming":
            return scan.Scan(codes)
        own = codes[:, : num_bytes(self.bits)]
        both = np.concatenate([own, ~own], axis=1)
        return scan.Scan(padded(both, width_of(8 * both.shape[1])))

    def _probes(self, queries):
        """What is searched for, and by how much its distances are higher."""
        probes = padded(queries, self._scan.codes.shape[1])
        if self.similarity == "hamming":
            return probes, np.zeros(len(queries), "int64")
        ones = np.bitwise_count(queries).sum(axis=1, dtype="int64")
        return probes, ones + 8 * queries.shape[1] - 2 * self.bits

    def _levels(self, distances, shifts):
        if self.similarity == "and":
            distances = (distances - shifts) // 2
        return distances.astype("int32")

    def _tables(self):
        """Tables of substrings where they are wanted, or `None`."""
        least = {"scan": np.inf, "multi-index": 1, "auto": self.many}
        if self._substrings is None and len(self.codes) >= least[self.method]:
            self._substrings = substrings.Substrings(self.bits, self.codes)
            self._slow_from = np.inf
        return self._substrings

    def _nearest_codes(self, queries, k):
        """Distances and numbers of the nearest codes, ties by number."""
        tables = self._tables()
        if tables is None or k > tables.budget or k >= self._slow_from:
            return self._scan.nearest(queries, k)
        slow, *pairs = tables.search(queries, self.bits, k)
        if self.method == "auto" and _FEW * len(slow) > len(queries):
            # The next queries for so many would be as slow.
            self._slow_from = k
        found = np.empty((2, len(queries), k), "int64")
        if len(slow):
            found[:, slow] = self._scan.nearest(queries[slow], k)
        quick = np.setdiff1d(np.arange(len(queries)), slow)
        rows, levels, numbers = self._ordered(*pairs)
        places = np.searchsorted(rows, quick)[:, None] + np.arange(k)
        found[:, quick] = levels[places], numbers[places]
        return found

    def _found(self, queries, chosen, limit, first):
        """Yields queries, distances and numbers of codes up to a distance."""
        tables = self._tables()
        if tables is not None:
            left = []
            for start in range(0, len(chosen), 4096):
                part = chosen[start : start + 4096]
                slow, row, *found = tables.search(queries[part], limit)
                left.append(part[slow])
                yield part[row], *found
            chosen = np.concatenate(left)
        # At first as many as could find all items, then by what they find.
        rows, start = max(16, self.block // max(1, len(self))), 0
        while start < len(chosen):
            part = chosen[start : start + min(rows, 4096)]
            row, *found = self._scan.within(queries[part], limit, first)
            yield part[row], *found
            start += len(part)
            items = len(row) * len(self) // max(1, len(self.codes))
            rows = max(16, len(part) * self.block // (16 * items + 1))

    def _first_items(self, levels, groups, k):
        """The first k items of codes that are ordered by distance."""
        sizes = self.sizes(groups)
        total = np.cumsum(sizes, axis=1)
        # Items at lower levels; those of a code's own level stand together.
        lower = np.zeros_like(total)
        lower[:, 1:] = total[:, :-1] * (levels[:, 1:] != levels[:, :-1])
        lower = np.maximum.accumulate(lower, axis=1)
        take = np.clip(k - lower, 0, sizes)
        rows = np.repeat(np.arange(len(levels)), levels.shape[1])
        _, levels, items = self._expanded(
            rows, levels.ravel(), groups.ravel(), take.ravel()
        )
        counts = take.sum(axis=1)
        picked = (np.cumsum(counts) - counts)[:, None] + np.arange(k)
        return levels[picked], items[picked]

    def _expanded(self, rows, levels, groups, take):
        """The first `take` items of groups, by row, level and item."""
        if self.group is not None:
            starts, items = self.lists()
            first = starts[groups] - (np.cumsum(take) - take)
            place = np.repeat(first, take) + np.arange(take.sum())
            rows, levels = np.repeat(rows, take), np.repeat(levels, take)
            groups = items[place]
        return self._ordered(rows, levels, groups)

    def _ordered(self, rows, levels, items):
        """Sorts by row, level and item."""
        item_bits = len(self).bit_length()
        level_bits = self._scan.bits.bit_length()
        keys = (rows << level_bits | levels) << item_bits | items
        keys.sort()
        items = keys & ((1 << item_bits) - 1)
        keys >>= item_bits
        return keys >> level_bits, keys & ((1 << level_bits) - 1), items

    def numbers(self, items):
        """The number of the code of each of some items."""
        return items if self.group is None else self.group[items]

    def sizes(self, groups):
        """How many items have each of some codes."""
        if self.group is None:
            return np.ones(groups.shape, "int64")
        starts, _ = self.lists()
        return starts[groups + 1] - starts[groups]

    def lists(self):
        """Posting lists: where each begins, and the items of all."""
        if self._postings is None:
            count = len(self.codes)
            # NumPy sorts 16-bit numbers by their digits.
            narrow = "uint16" if count <= 1 << 16 else "int32"
            items = np.argsort(self.group.astype(narrow), kind="stable")
            sizes = np.bincount(self.group, minlength=count)
            starts = np.concatenate([[0], np.cumsum(sizes)])
            items = items.astype("int32" if len(self) < 1 << 31 else "int64")
            self._postings = starts, items
        return self._postings


def _by_first(numbers, count):
    """Numbers groups in the order of their first members.

    Returns a pair: the first member of each group that has one, and the new
    number of each member.
    """
    first = np.full(count, len(numbers))
    # Of several values for one place, the last one stays.
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]
    order = np.argsort(first)[: np.count_nonzero(first < len(numbers))]
    rank = np.empty(count, "int32")
    rank[order] = np.arange(len(order))
    return first[order], rank[numbers]
