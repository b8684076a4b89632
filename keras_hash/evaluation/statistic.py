"""The one table from which every ranking metric follows.

For each query: how many database items lie at each Hamming distance, by the
number of labels that they share with the query and by how many labels they
have. No ranking is ever sorted, and the table adds up over database shards.
"""

import concurrent.futures
import dataclasses
import os

import numpy as np

from keras_hash import codes as codes_lib
from keras_hash.evaluation import kernels

SIMILARITIES = ("hamming", "and")
# Pairs that a thread handles at once, and items: their distances stay in the
# cache. A chunk takes at most 32 bytes a pair, so 32 MiB a thread.
_CHUNK = 1 << 20
_COLUMNS = 1 << 16


@dataclasses.dataclass
class Counts:
    """The table, and the label counts that give its planes a meaning.

    Attributes:
        planes: dict from `(shared, size)` to `int64 [u, bits + 1]`: for each
            distinct query, the items with `size` labels of which `shared` are
            the query's, by distance.
        query_sizes: `int64 [u]`, number of labels of each distinct query.
        bits: int, code length.
    """

    planes: dict
    query_sizes: np.ndarray
    bits: int

    def add(self, other):
        """Adds another table of the same queries to this one, in place.

        Args:
            other: a `Counts`.
        """
        for key, plane in other.planes.items():
            if key in self.planes:
                self.planes[key] = self.planes[key] + plane
            else:
                self.planes[key] = plane

    def keys(self):
        """The keys of the planes, sorted: shared labels first.

        Returns:
            `int64 [planes, 2]`.
        """
        return np.array(sorted(self.planes), "int64").reshape(-1, 2)

    def stacked(self, rows=slice(None)):
        """Some queries' rows of all planes, in the order of `keys`.

        Args:
            rows: slice or int array of distinct queries; all by default.

        Returns:
            `int64 [rows, planes, bits + 1]`.
        """
        planes = [self.planes[key][rows] for key in sorted(self.planes)]
        if planes:
            return np.stack(planes, axis=1)
        return np.zeros(
            (len(self.query_sizes[rows]), 0, self.bits + 1), "int64"
        )


class Queries:
    """Query codes and labels, equal ones grouped, ready to be counted against.

    Args:
        codes: packed codes `uint8 [q, bytes]`.
        labels: int `[q]` or multi-hot `[q, num_classes]`.
        bits: int, code length.
        similarity: `"hamming"`, or `"and"`: the level of a pair is
            `bits - popcount(a & b)`, for codes whose ones are predicted labels.
        group: bool, whether to count equal items of the database once. It
            changes the time, not the result.

    Attributes:
        first: int `[u]`, a query of each group of equal codes and labels.
        inverse: int `[q]`, the group of each query.
        sizes: `int64 [u]`, labels of each group.

    Raises:
        ValueError: codes or labels that do not fit each other or `bits`, or an
            unknown similarity.
    """

    def __init__(self, codes, labels, bits, similarity="hamming", group=True):
        if similarity not in SIMILARITIES:
            raise ValueError(
                f"`similarity` should be one of {SIMILARITIES}. "
                f"Received: similarity={similarity!r}"
            )
        self.bits = int(bits)
        self.similarity = similarity
        self.group = group
        codes = codes_lib.check(codes, bits, "query_codes")
        labels = check_labels(labels, len(codes), "query")
        self.multi_hot = labels.ndim == 2
        self.num_classes = labels.shape[1] if self.multi_hot else None
        self.first, self.inverse, _ = _group(codes, labels, True)
        first = self.first
        self.sizes = label_sizes(labels[first])
        self._words = codes_lib.words(codes[first])
        self._labels = _label_words(labels[first])

    def count(self, codes, labels, kernel=None):
        """Counts a shard of the database.

        Memory beside the inputs: one chunk of 2**20 pairs (about 16 MiB) and
        the planes, 8 bytes for each query, distance and plane.

        Args:
            codes: packed codes `uint8 [m, bytes]`.
            labels: int `[m]` or multi-hot `[m, num_classes]`.
            kernel: what counts a block: `kernels.numpy_kernel` (if `None`),
                the faster one on CPU, or `kernels.tensorflow_kernel`.

        Returns:
            A `Counts`.

        Raises:
            ValueError: codes or labels that do not fit those of the queries.
        """
        kernel = kernel or kernels.numpy_kernel
        codes = codes_lib.check(codes, self.bits, "database_codes")
        labels = check_labels(labels, len(codes), "database")
        width = labels.shape[1] if labels.ndim == 2 else None
        if width != self.num_classes:
            raise ValueError(
                "Query and database labels should be of one kind. Received: "
                f"{_kind(self.num_classes)} for the queries, {_kind(width)} "
                "for the database"
            )
        first, _, weights = _group(codes, labels, self.group)
        if len(first) > len(codes) / 4:
            # Counting each item once is faster than weighing so many.
            first, _, weights = _group(codes, labels, False)
        codes, labels = codes[first], labels[first]
        sizes = label_sizes(labels)
        # Blocks of equal size: inside one, a pair is described by its distance
        # and its shared labels. Class numbers (all of size 1) in rising order.
        order = np.argsort(sizes if self.multi_hot else labels, kind="stable")
        starts = np.flatnonzero(np.diff(sizes[order], prepend=-1))
        words = codes_lib.words(codes)[order]
        weights = weights[order]
        label_words = _label_words(labels)[order]
        planes = {}
        for low, high in zip(starts, [*starts[1:], len(order)]):
            block = slice(low, high)
            size = int(sizes[order[low]])
            table = self._count_block(
                words[block], label_words[block], size, weights[block], kernel
            )
            for shared in range(table.shape[1]):
                if table[:, shared].any():
                    # A copy, so that the empty levels are let go.
                    planes[shared, size] = table[:, shared].copy()
        return Counts(planes, self.sizes, self.bits)

    def _count_block(self, words, label_words, size, weights, kernel):
        """`int64 [unique queries, levels, bits + 1]` of a block."""
        levels, distances = size + 1, self.bits + 1
        count = len(self._words)
        table = np.zeros((count, levels * distances), "int64")
        weights = None if (weights == 1).all() else weights.astype("int64")
        columns = min(len(words), _COLUMNS, _CHUNK)
        # Neither the pairs nor the cells of a chunk pass the bound.
        rows = max(1, _CHUNK // max(columns, levels * distances))

        def fill(top):
            for left in range(0, len(words), columns):
                chunk = slice(left, left + columns)
                table[top : top + rows] += kernel(
                    self._words[top : top + rows],
                    words[chunk],
                    self._labels[top : top + rows],
                    label_words[chunk],
                    None if weights is None else weights[chunk],
                    self.multi_hot,
                    levels,
                    self.bits,
                    self.similarity,
                )

        # NumPy lets go of the interpreter in most of the work.
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(fill, range(0, count, rows)))
        return table.reshape(count, levels, distances)


def label_sizes(labels):
    """The number of labels of each item.

    Args:
        labels: checked labels, int `[n]` or multi-hot `[n, num_classes]`.

    Returns:
        `int64 [n]`; ones for class numbers.
    """
    if labels.ndim == 1:
        return np.ones(len(labels), "int64")
    return labels.sum(axis=1, dtype="int64")


def check_labels(labels, count, name):
    """Checks labels and copies them.

    Args:
        labels: int `[n]` or multi-hot `[n, num_classes]`.
        count: int, number of codes that they belong to.
        name: str, `"query"` or `"database"`, for the error.

    Returns:
        `int64 [n]`, or bool `[n, num_classes]`.

    Raises:
        ValueError: an empty set, another length or rank, multi-hot values
            other than 0 and 1, or class numbers that are no whole numbers.
    """
    labels = np.asarray(labels)
    if count == 0:
        raise ValueError(
            f"There is nothing to evaluate: the {name} set is empty. "
            f"Received: {name}_codes with 0 rows"
        )
    if labels.ndim not in (1, 2) or len(labels) != count:
        raise ValueError(
            f"`{name}_labels` should be int [{count}] or multi-hot "
            f"[{count}, num_classes], one row a code. "
            f"Received: {name}_labels.shape={labels.shape}"
        )
    if labels.dtype.kind not in "biuf":
        raise ValueError(
            f"`{name}_labels` should hold numbers. "
            f"Received: {name}_labels.dtype={labels.dtype}"
        )
    if labels.ndim == 2:
        if not ((labels == 0) | (labels == 1)).all():
            raise ValueError(
                f"`{name}_labels` of rank 2 should be multi-hot, 0 and 1 only. "
                f"Received: values from {labels.min()} to {labels.max()}"
            )
        return labels.astype(bool)
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        raise ValueError(
            f"`{name}_labels` of rank 1 should be class numbers. "
            f"Received: {name}_labels.dtype={labels.dtype} with fractions"
        )
    return labels.astype("int64")


def _kind(width):
    return "class numbers" if width is None else f"{width} labels an item"


def _label_words(labels):
    """Class numbers `int64 [n, 1]`, or bit sets `uint64 [n, words]`."""
    if labels.ndim == 1:
        return labels[:, None]
    return codes_lib.words(np.packbits(labels, axis=1))


def _group(codes, labels, group):
    """Equal (code, label) rows: first index, inverse and count of each."""
    count = len(codes)
    if not group:
        return np.arange(count), np.arange(count), np.ones(count, "int64")
    if labels.ndim == 2:
        packed = np.packbits(labels, axis=1)
    else:
        packed = _class_bytes(labels)
    return codes_lib.group(np.concatenate([codes, packed], axis=1))


def _class_bytes(labels):
    """Class numbers as few bytes as their range needs, `uint8 [n, bytes]`."""
    low, high = int(labels.min()), int(labels.max())
    dtype = np.min_scalar_type(high - low)
    return (labels - low).astype(dtype).reshape(-1, 1).view("uint8")
