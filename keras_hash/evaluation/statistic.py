"""The one table from which every ranking metric follows.

For each query: how many database items lie at each Hamming distance, by the
number of labels that they share with the query and by how many labels they
have. No ranking is ever sorted, and the table adds up over database shards.
"""

import concurrent.futures
import dataclasses
import os

import numpy as np

from keras_hash import codes
from keras_hash import similarity
from keras_hash.evaluation import kernels


@dataclasses.dataclass
class Counts:
    """The table: `planes` is a dict from `(shared, size)` to `int64 [u,
    bits + 1]`, for each of `rows` distinct queries the items with `size` labels
    of which `shared` are the query's, by distance."""

    planes: dict
    rows: int
    bits: int

    def add(self, other):
        """Adds another table of the same queries to this one, in place."""
        if not self.planes:
            self.planes = dict(other.planes)
            return
        for key in self.planes.keys() | other.planes.keys():
            one, two = self.planes.get(key), other.planes.get(key)
            if one is not None and two is not None:
                self.planes[key] = one + two
                continue
            plane = two if one is None else one
            # Views would keep whole tables whose other planes are gone.
            self.planes[key] = plane if plane.base is None else plane.copy()

    def keys(self):
        """The keys of the planes, `int64 [planes, 2]`, sorted."""
        return np.array(sorted(self.planes), "int64").reshape(-1, 2)

    def stacked(self, rows=slice(None)):
        """Some queries' rows of all planes, `int64 [rows, planes, bits + 1]`,
        in the order of `keys`."""
        if not self.planes:
            return np.zeros((self.rows, 0, self.bits + 1), "int64")[rows]
        planes = [self.planes[key][rows] for key in sorted(self.planes)]
        return np.stack(planes, axis=1)


class Items:
    """Codes and labels of a shard of the database, equal ones grouped: the
    `first` of each group, how many there are (`weights`), the group of each
    item (`inverse`), and the number of labels of each group (`sizes`)."""

    name = "database"

    def __init__(self, packed, labels, bits, group=True):
        packed = codes.check(packed, bits, f"{self.name}_codes")
        labels = check_labels(labels, len(packed), self.name)
        # Of multi-hot labels.
        self.num_classes = labels.shape[1] if labels.ndim == 2 else None
        self.first, self.inverse, self.weights = _group(packed, labels, group)
        self.codes, labels = packed[self.first], labels[self.first]
        self.sizes = label_sizes(labels)
        self.words = _words(self.codes)
        self.labels = _label_words(labels)


class Queries(Items):
    """Codes and labels of queries, ready to be counted against `Items`."""

    name = "query"

    def __init__(self, packed, labels, bits, similarity="hamming"):
        codes.check_similarity(similarity)
        super().__init__(packed, labels, bits)
        self.bits = int(bits)
        self.similarity = similarity
        # Pairs counted so far.
        self._pairs = 0

    def count(self, items, kernel="auto", **sizes):
        """The `Counts` of a shard of the database; `kernel` is a name, or a
        function like those of `kernels`."""
        if items.num_classes != self.num_classes:
            raise ValueError(
                "Query and database labels should be of one kind. Received: "
                f"{_kind(self.num_classes)} for the queries, "
                f"{_kind(items.num_classes)} for the database"
            )
        self._pairs += len(self.first) * len(items.codes)
        if isinstance(kernel, str):
            kernel = kernels.choose(kernel, self._pairs)
        planes = {}
        # Inside a block, a pair is described by its distance and its shared
        # labels.
        for size in np.unique(items.sizes).tolist():
            table = self._count_block(items, size, kernel, **sizes)
            found = np.flatnonzero(table.any(axis=(0, 2)))
            for shared in found.tolist():
                plane = table[:, shared]
                # A copy of few lets go of the empty levels.
                few = len(found) < table.shape[1]
                planes[shared, size] = plane.copy() if few else plane
        return Counts(planes, len(self.sizes), self.bits)

    def _count_block(self, items, size, kernel, rows=1 << 8, cells=1 << 20):
        """`int64 [unique queries, levels, bits + 1]` of items of one size.

        A thread counts at most `rows` queries at once and fills `cells`.
        """
        levels, distances = size + 1, self.bits + 1
        count = len(self.first)
        table = np.empty((count, levels * distances), "int64")
        rows = min(rows, max(1, cells // (levels * distances)))
        part = items.sizes == size
        words = np.compress(part, items.words, axis=1)
        labels = np.compress(part, items.labels, axis=1)
        weights = items.weights[part]

        def fill(top):
            these = slice(top, top + rows)
            block = kernels.Block(
                self.words[:, these],
                words,
                self.labels[:, these],
                labels,
                weights,
                self.num_classes is not None,
                levels,
                self.bits,
                self.similarity,
            )
            table[these] = kernel(block)

        # The kernels let go of the interpreter in most of the work.
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(fill, range(0, count, rows)))
        return table.reshape(count, levels, distances)


def label_sizes(labels):
    """The number of labels of each item, `int64 [n]`: 1 for a class number, and
    0 for an item without."""
    if labels.ndim == 1:
        return (labels >= 0).astype("int64")
    return labels.sum(axis=1, dtype="int64")


def check_labels(labels, count, name):
    """Labels of the `"query"` or `"database"` set, checked and copied: `int64
    [n]`, or bool multi-hot.

    Items of the database without a label, -1, become -2: they are like no
    query, not even like one without a label.
    """
    if count == 0:
        raise ValueError(
            f"There is nothing to evaluate: the {name} set is empty. "
            f"Received: {name}_codes with 0 rows"
        )
    labels = similarity.check_labels(
        labels, name=f"{name}_labels", count=count, unlabelled=True
    )
    if labels.ndim == 2:
        return labels.astype(bool)
    return np.where(labels < 0, -1 if name == "query" else -2, labels)


def _kind(width):
    return "class numbers" if width is None else f"{width} labels an item"


def _words(packed):
    """Packed codes as machine words, `[words, n]`: words before items."""
    return np.ascontiguousarray(codes.words(packed).T)


def _label_words(labels):
    """Class numbers, int `[1, n]`, or bit sets of labels, `[words, n]`."""
    if labels.ndim == 2:
        return _words(np.packbits(labels, axis=1))
    # Twice as many at once where they fit.
    least, most = np.iinfo("int32").min, np.iinfo("int32").max
    if least <= labels.min() and labels.max() <= most:
        labels = labels.astype("int32")
    return labels[None]


def _group(packed, labels, group):
    """Equal (code, label) rows: first index, inverse and count of each."""
    count = len(packed)
    if not group:
        return np.arange(count), np.arange(count), np.ones(count, "int64")
    if labels.ndim == 2:
        named = np.packbits(labels, axis=1)
    else:
        named = _class_bytes(labels)
    return codes.group(np.concatenate([packed, named], axis=1))


def _class_bytes(labels):
    """Class numbers as few bytes as their range needs, `uint8 [n, bytes]`."""
    low, high = int(labels.min()), int(labels.max())
    dtype = np.min_scalar_type(high - low)
    return (labels - low).astype(dtype).reshape(-1, 1).view("uint8")
