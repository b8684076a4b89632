"""What codes look like: how many differ, how even and independent bits are."""

import dataclasses

import numpy as np

from keras_hash import codes


@dataclasses.dataclass(frozen=True)
class CodeStatistics:
    """What the codes of a set are like, in float64."""

    # The share of the items that each distinct code has, `[u]`.
    shares: np.ndarray
    # Means of the bits as +1 and -1, `[bits]`.
    mean: np.ndarray
    # Of two bits, `[bits, bits]`; 0 for constant ones.
    correlation: np.ndarray

    @property
    def ones(self):
        """The share of ones of each bit, float64 `[bits]`."""
        return (1 + self.mean) / 2


def code_statistics(packed, bits, counts=None, chunk=1 << 14):
    """The `CodeStatistics` of packed codes, each seen `counts` times.

    Without `counts` every row is one item, and equal rows are counted first.
    `chunk` codes are unpacked at once: many small products would wait for
    threads that are busy.
    """
    if counts is None:
        first, _, counts = codes.group(packed)
        packed = packed[first]
    shares = counts / counts.sum()
    mean, second = np.zeros(bits), np.zeros((bits, bits))
    for low in range(0, len(packed), chunk):
        rows = slice(low, low + chunk)
        signs = codes.unpack(packed[rows], bits).astype("float64")
        weighted = signs * shares[rows, None]
        mean += weighted.sum(axis=0)
        second += weighted.T @ signs
    covariance = second - np.outer(mean, mean)
    spread = np.sqrt(np.maximum(np.diag(covariance), 0))
    scale = np.outer(spread, spread)
    correlation = covariance / np.where(scale > 1e-12, scale, np.inf)
    return CodeStatistics(shares, mean, correlation)


class CodeCensus:
    """The distinct codes of a database that comes in shards, and how many each.

    Memory: 8 bytes and the code for each distinct one, and as much again for
    what was added since they were last merged.
    """

    def __init__(self, bits):
        self.bits = bits
        width = codes.num_bytes(bits)
        self._codes = [np.zeros((0, width), "uint8")]
        self._counts = [np.zeros(0, "int64")]

    def update(self, packed, counts):
        """Adds codes that were seen so often."""
        self._codes.append(np.asarray(packed))
        self._counts.append(np.asarray(counts))
        # Merged when as much is new as is known, so that the work stays linear.
        if sum(map(len, self._codes[1:])) >= len(self._codes[0]):
            self.distinct()

    def distinct(self):
        """The distinct codes in order, and how often each was seen."""
        packed = np.concatenate(self._codes)
        counts = np.concatenate(self._counts)
        if len(self._codes) > 1:
            first, inverse, _ = codes.group(packed)
            packed = packed[first]
            counts = np.bincount(inverse, counts, len(first)).astype("int64")
            self._codes, self._counts = [packed], [counts]
        return packed, counts

    def statistics(self):
        """The `CodeStatistics` of the codes seen."""
        packed, counts = self.distinct()
        return code_statistics(packed, self.bits, counts)
