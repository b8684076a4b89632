"""Multi-index hashing: exact search through tables of substrings of codes.

A code is cut into m substrings, and a table of each lists the codes by it. If
two codes differ in up to r = m f + p bits, one of their first p + 1 substrings
differs in up to f bits, or one of the others in up to f - 1. So the tables are
asked in turn for substrings that differ from a query's in 0, 1, 2, ... bits,
and after r + 1 such steps all codes up to distance r have been seen.

Reference: Norouzi, Punjani, Fleet, "Fast Exact Search in Hamming Space with
Multi-Index Hashing", PAMI 2014, arXiv:1307.2982.
"""

import concurrent.futures
import functools
import itertools
import math

import numpy as np

from keras_hash.codes import ones_of_words
from keras_hash.codes import words

# Bits of a substring: the masks of a step are drawn from all its values.
_WIDEST = 24


class Substrings:
    """Tables of substrings of different codes, which threads can share."""

    # Lookups and candidates that are in hand at a time, so that they stay in
    # the cache, and queries that are searched at a time.
    block, rows = 1 << 16, 64
    # A scan looks at so many codes in twice the time of a lookup or candidate.
    cost = 144

    def __init__(self, bits, codes):
        self.bits = bits
        self.words = words(codes)
        # A table has no more places than there are codes.
        width = min(_WIDEST, max(1, len(codes).bit_length() - 1))
        count = -(-bits // width)
        edges = [bits * part // count for part in range(count + 1)]
        self.tables = [
            _Table(codes, *ends) for ends in itertools.pairwise(edges)
        ]
        # What a query may cost before a scan takes over.
        self.budget = len(codes) // self.cost

    @property
    def nbytes(self):
        """Bytes of the tables."""
        return sum(t.starts.nbytes + t.codes.nbytes for t in self.tables)

    def search(self, queries, limit, k=None):
        """Codes up to a distance, or the k nearest and others as near as these.

        Returns the queries for which a scan is faster, rising, and, in no
        order, rows, distances and codes that were found for the others.
        """
        import faiss

        none = np.zeros(0, "int64")
        slow, found = [none], [(none, none, none)]

        def run(start):
            part = queries[start : start + self.rows]
            return start, *_Search(self, part, limit, k).run()

        def take(start, left, parts):
            slow.append(left + start)
            found.extend((rows + start, *rest) for rows, *rest in parts)
            return len(left)

        starts = range(0, len(queries), self.rows)
        for start in starts[:1]:
            if 2 * take(*run(start)) > min(self.rows, len(queries)):
                # The rest will be like them.
                slow.append(np.arange(self.rows, len(queries)))
                starts = starts[:1]
        threads = faiss.omp_get_max_threads()
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            for done in pool.map(run, starts[1:]):
                take(*done)
        parts = [slow, *zip(*found)]
        return [np.concatenate(part).astype("int64") for part in parts]


def substring(codes, start, end):
    """Some bits of packed codes as numbers, `int64 [n]`."""
    values, stop = np.zeros(len(codes), "int64"), -(-end // 8)
    for byte in range(start // 8, stop):
        values = values << 8 | codes[:, byte]
    return values >> (8 * stop - end) & ((1 << (end - start)) - 1)


def mask_of(start, end, width):
    """Words of codes of so many bytes in which some bits are one."""
    ones = np.zeros((1, 8 * width), "uint8")
    ones[:, start:end] = 1
    return words(np.packbits(ones, axis=1))[0]


def order_of(values):
    """The stable order of numbers of up to 32 bits, sorted by their digits."""
    # As NumPy sorts 16-bit numbers.
    order = np.argsort(values.astype("uint16"), kind="stable")
    if len(values) and values.max() >= 1 << 16:
        high = (values >> 16).astype("uint16")[order]
        order = order[np.argsort(high, kind="stable")]
    return order


class _Table:
    """Codes by one substring, bits `start` to `end`: a list for each value."""

    def __init__(self, codes, start, end):
        self.start, self.end, self.width = start, end, end - start
        mask = mask_of(start, end, codes.shape[1])
        # The words that it lies in, and its bits there.
        self.held = slice(*np.flatnonzero(mask)[[0, -1]] + [0, 1])
        self.mask = mask[self.held]
        values = substring(codes, start, end)
        sizes = np.bincount(values, minlength=1 << self.width)
        self.starts = np.zeros(len(sizes) + 1, "int32")
        np.cumsum(sizes, out=self.starts[1:])
        self.codes = order_of(values).astype("int32")

    def cost(self, flips):
        """Lookups at so many bits, and the candidates to expect of them."""
        lookups = math.comb(self.width, flips)
        return lookups + lookups * len(self.codes) // (1 << self.width)


class _Search:
    """The search for some queries, step by step."""

    def __init__(self, tables, queries, limit, k):
        self.tables, self.k = tables.tables, k
        self.bits, self.budget = tables.bits, tables.budget
        self.block = tables.block
        self.words, self.own = tables.words, words(queries)
        self.values = [
            substring(queries, table.start, table.end) for table in self.tables
        ]
        # Codes further away than this are of no use.
        self.bound = np.full(len(queries), min(limit, self.bits))
        self.spent = np.zeros(len(queries), "int64")
        # Codes found at each distance.
        self.counts = np.zeros((len(queries), self.bits + 1), "int64")
        self.found = []

    def run(self):
        """Returns the queries given up, and a list of what was found."""
        left, slow = np.arange(len(self.bound)), []
        for radius in range(self.bits + 1):
            flips, number = divmod(radius, len(self.tables))
            # In a range search all that is to come is known.
            last = radius if self.k is not None else int(self.bound[0])
            ahead = self._cost(radius, last)
            fine = self.spent[left] + ahead <= self.budget
            slow.append(left[~fine])
            left = self._step(number, flips, left[fine], slow)
            if self.k is not None:
                self._narrow(left)
            left = left[self.bound[left] > radius]
            if not len(left):
                break
        slow = np.sort(np.concatenate(slow))
        self.bound[slow] = -1
        found = []
        for rows, far, codes in self.found:
            near = far <= self.bound[rows]
            found.append((rows[near], far[near], codes[near]))
        return slow, found

    def _cost(self, first, last):
        steps = (divmod(r, len(self.tables)) for r in range(first, last + 1))
        return sum(self.tables[number].cost(flips) for flips, number in steps)

    def _narrow(self, rows):
        """Lowers bounds to the distance of the k-th code found so far."""
        total = np.cumsum(self.counts[rows], axis=1)
        kth = np.argmax(total >= self.k, axis=1)
        enough = total[:, -1] >= self.k
        self.bound[rows[enough]] = kth[enough]

    def _step(self, number, flips, left, slow):
        """Asks a table for what differs in `flips` bits; returns who is left.

        Those whose candidates cost too much are appended to `slow`.
        """
        table = self.tables[number]
        masks = _masks(table.width, flips)
        rows, kept = max(1, self.block // max(1, len(masks))), []
        for start in range(0, len(left), rows):
            some = left[start : start + rows]
            for first in range(0, len(masks), self.block):
                part = masks[first : first + self.block]
                wanted = (self.values[number][some, None] ^ part).ravel()
                begin = table.starts.take(wanted)
                wanted += 1
                size = table.starts.take(wanted) - begin
                self.spent[some] += len(part) + size.reshape(
                    len(some), len(part)
                ).sum(axis=1)
                fine = self.spent[some] <= self.budget
                size *= np.repeat(fine, len(part))
                hit = np.flatnonzero(size)
                row = some[hit // len(part)]
                self._candidates(number, flips, row, begin[hit], size[hit])
                slow.append(some[~fine])
                some = some[fine]
            kept.append(some)
        return np.concatenate(kept) if kept else left

    def _candidates(self, number, flips, rows, begin, size):
        """Goes through lists of codes, some at a time."""
        ends = np.cumsum(size, dtype="int64")
        total = int(ends[-1]) if len(ends) else 0
        cuts = np.arange(self.block, total, self.block)
        cuts = np.searchsorted(ends, cuts) + 1
        cuts = np.unique([0, *cuts, len(ends)])
        for a, b in itertools.pairwise(cuts):
            before = ends[a] - size[a]
            place = np.repeat(begin[a:b] - (ends[a:b] - size[a:b]), size[a:b])
            place += np.arange(before, ends[b - 1])
            codes = self.tables[number].codes.take(place)
            self._compare(number, flips, np.repeat(rows[a:b], size[a:b]), codes)

    def _compare(self, number, flips, rows, codes):
        """Keeps the candidates that are near and new."""
        # Word by word: NumPy is slow to add up a few numbers a row.
        differ = self.words.take(codes, axis=0)
        differ ^= self.own.take(rows, axis=0)
        differ = differ.T
        far = ones_of_words(differ, differ, "and")
        near = np.flatnonzero(far <= self.bound.take(rows))
        differ = differ[:, near]
        # A code is taken from the table that comes upon it first.
        new = np.ones(len(near), bool)
        for other, table in enumerate(self.tables):
            least = flips + (other < number)
            if other != number and least:
                part = differ[table.held]
                new &= ones_of_words(part, table.mask, "and") >= least
        near = near[new]
        rows, far, codes = rows[near], far[near], codes[near]
        self.found.append((rows, far, codes))
        if self.k is not None:
            place = rows * self.counts.shape[1] + far
            counts = np.bincount(place, minlength=self.counts.size)
            self.counts += counts.reshape(self.counts.shape)


@functools.lru_cache(maxsize=256)
def _masks(width, flips):
    """All numbers of `width` bits of which `flips` are one."""
    ones = np.bitwise_count(np.arange(1 << width, dtype="uint32"))
    return np.flatnonzero(ones == flips)
