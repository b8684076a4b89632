"""Exact search by comparing a query with every code.

By loops that Numba compiles, where there is much to compare and the machine
has it; else by FAISS. Both give the same answers.
"""

import concurrent.futures
import functools

import numpy as np

from keras_hash import loops
from keras_hash.codes import ones_of_words
from keras_hash.codes import words

# Pairs from which compiled loops are worth their call, and several threads.
_MANY, _MORE = 1 << 20, 1 << 23
# Of the blocks of codes, so many are a sample.
_SAMPLE = 32
# Where a query finds more than one code of so many, there is much to write.
_DENSE = 500


class Scan:
    """Codes `[n, width]` that are compared with queries of that width."""

    def __init__(self, codes):
        self.codes = codes
        self.bits = 8 * codes.shape[1]

    @functools.cached_property
    def columns(self):
        """The codes word by word: up to 64 bits in the same memory."""
        return np.ascontiguousarray(words(self.codes).T)

    @property
    def nbytes(self):
        """Bytes of what was made to search the codes."""
        made = self.__dict__.get("columns")
        shared = made is None or np.shares_memory(made, self.codes)
        return 0 if shared else made.nbytes

    def nearest(self, queries, k, block=1 << 22, counters=1 << 27):
        """Distances and numbers `[2, q, k]` of the nearest codes, ties by
        number.

        Distances that are sorted at a time, and bytes of counters, are limited
        to `block` and `counters`.
        """
        cost = 8 * k * (self.bits + 1)
        compiled = self._loops(len(queries))
        if k == len(self.codes) or cost > min(counters, 32 * len(self.codes)):
            # There would be more to count than there is: sort all.
            return self._sorted(queries, k, block)
        # Long lists take it longer than FAISS, on some processors.
        if compiled and k * len(self.columns) <= 1 << 12:
            return self._nearest(compiled, queries, k)
        import faiss

        # Both keep ties in order: FAISS' heap is by distance, then number. It
        # suits long codes, counting by distance short ones and a large k.
        variant = "hc" if self.bits >= 128 and k <= 200 else "mc"
        found = np.empty((2, len(queries), k), "int64")
        rows = min(max(8, counters // cost), 256)
        for start in range(0, len(queries), rows):
            part = np.ascontiguousarray(queries[start : start + rows])
            found[:, start : start + rows] = faiss.knn_hamming(
                part, self.codes, k, variant=variant
            )
        return found

    def within(self, queries, limit, first=0):
        """Rows, distances and numbers of all pairs up to a distance, by row.

        Codes below `first` are left out.
        """
        first = int(first)
        compiled = self._loops(len(queries), first)
        if compiled and not self._finds_many(compiled, queries, limit):
            return self._within(compiled, queries, limit, first)
        import faiss

        queries, codes = np.ascontiguousarray(queries), self.codes[first:]
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
        numbers = faiss.rev_swig_ptr(found.labels, count) + first
        return rows, levels, numbers

    def _loops(self, queries, first=0):
        if queries * (len(self.codes) - first) < _MANY:
            return None
        return loops.load("scanning")

    def _shared(self, run, queries, rows):
        """Calls a function of some queries, in threads where it takes long."""
        import faiss

        threads = faiss.omp_get_max_threads()
        if len(queries) * len(self.codes) < _MORE:
            threads = 1
        rows = max(1, min(rows, -(-len(queries) // threads)))
        asked = words(queries)
        parts = [asked[at : at + rows] for at in range(0, len(queries), rows)]
        if threads == 1 or len(parts) == 1:
            return [run(part) for part in parts]
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            return list(pool.map(run, parts))

    def _nearest(self, compiled, queries, k):
        piece, columns = compiled.PIECE, self.columns

        def run(asked, guess=True):
            def some(step, k, limits):
                out = np.empty((2, len(asked), k), "int64")
                held = np.empty((len(asked), 2 * k + piece, 2), "int64")
                counts = np.empty((len(asked), self.bits + 2), "int64")
                ends = 0, columns.shape[1], step
                size = compiled.nearest(
                    asked, columns, ends, k, limits, held, counts, out
                )
                return out, size

            limits = np.full(len(asked), self.bits + 1, columns.dtype)
            if guess and columns.shape[1] >= 4 * _SAMPLE * compiled.BLOCK:
                # As far away as the k-th, more or less, and rather more.
                share = k / _SAMPLE
                some(_SAMPLE, int(share + 2 * share**0.5 + 2.5), limits)
                limits += columns.dtype.type(1)
            out, size = some(1, k, limits)
            less = np.flatnonzero(size < k)
            if len(less):
                out[:, less] = run(asked[less], guess=False)
            return out

        rows = min(64, max(1, (1 << 20) // (2 * k + piece)))
        return np.concatenate(self._shared(run, queries, rows), axis=1)

    def _finds_many(self, compiled, queries, limit):
        """Whether a few of many queries find so much that FAISS is faster, as
        it writes down more quickly what it finds."""
        few = words(queries[: min(4, len(queries) // 8)])
        limits = np.full(len(few), min(limit, self.bits) + 1, "uint64")
        limits = limits.astype(self.columns.dtype)
        blocks = -(-len(self.codes) // compiled.BLOCK)
        found = np.empty((blocks, len(few)), "int64")
        compiled.count(few, self.columns, 0, limits, found)
        return found.sum() > len(few) * len(self.codes) / _DENSE

    def _within(self, compiled, queries, limit, first):
        columns, start = self.columns, first // compiled.BLOCK * compiled.BLOCK

        def run(asked):
            limits = np.full(
                len(asked), min(int(limit), self.bits) + 1, columns.dtype
            )
            blocks = -(-(columns.shape[1] - start) // compiled.BLOCK)
            found = np.empty((blocks, len(asked)), "int64")
            compiled.count(asked, columns, start, limits, found)
            sizes = found.sum(axis=0)
            out = np.empty((2, sizes.sum()), "int64")
            places = np.cumsum(sizes) - sizes
            compiled.fill(asked, columns, start, limits, found, places, out)
            rows = np.repeat(np.arange(len(asked)), sizes)
            if start < first:
                kept = out[1] >= first
                rows, out = rows[kept], out[:, kept]
            return len(asked), rows, *out

        parts = self._shared(run, queries, 64)
        counts, rows, *found = zip(*parts)
        shifts = np.cumsum(counts) - counts
        rows = [part + shift for part, shift in zip(rows, shifts)]
        return [np.concatenate(part) for part in (rows, *found)]

    def _sorted(self, queries, k, block):
        items = words(self.codes).T[:, None, :]
        found = np.empty((2, len(queries), k), "int64")
        rows = max(1, block // len(self.codes))
        for start in range(0, len(queries), rows):
            part = words(queries[start : start + rows]).T[:, :, None]
            far = ones_of_words(part, items, "xor")
            order = np.argsort(far, axis=1, kind="stable")[:, :k]
            found[0, start : start + rows] = np.take_along_axis(far, order, 1)
            found[1, start : start + rows] = order
        return found
