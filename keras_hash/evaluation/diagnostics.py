"""What codes look like: how many differ, how even and independent bits are."""

import numpy as np

from keras_hash import codes as codes_lib

# Codes that are unpacked at once.
_ROWS = 1 << 14


class CodeCensus:
    """The distinct codes of a database that comes in shards, and how many each.

    Memory: 8 bytes and the code for each distinct one, and as much again for
    what was added since they were last merged.

    Args:
        bits: int, code length.
    """

    def __init__(self, bits):
        self.bits = bits
        width = codes_lib.num_bytes(bits)
        self._codes = [np.zeros((0, width), "uint8")]
        self._counts = [np.zeros(0, "int64")]

    def update(self, codes, counts):
        """Adds codes.

        Args:
            codes: packed codes `uint8 [m, bytes]`.
            counts: int `[m]`, how often each was seen.
        """
        self._codes.append(np.asarray(codes))
        self._counts.append(np.asarray(counts))
        # Merged when as much is new as is known, so that the work stays linear.
        if sum(map(len, self._codes[1:])) >= len(self._codes[0]):
            self.distinct()

    def distinct(self):
        """The distinct codes in order, and their counts.

        Returns:
            A pair: `uint8 [u, bytes]` and `int64 [u]`.
        """
        codes = np.concatenate(self._codes)
        counts = np.concatenate(self._counts)
        if len(self._codes) > 1:
            first, inverse, _ = codes_lib.group(codes)
            codes = codes[first]
            counts = np.bincount(inverse, counts, len(first)).astype("int64")
            self._codes, self._counts = [codes], [counts]
        return codes, counts

    def metrics(self):
        """Diagnostics of the codes seen.

        Returns:
            dict: `unique_codes`; `largest_bucket`, the share of items with the
            most frequent code; `code_entropy`, in bits; `bit_balance`, the mean
            over bits of |share of ones - share of zeros| (0 is even, 1 is
            constant); `bit_correlation`, the mean absolute correlation between
            two bits (constant bits count as 0).
        """
        codes, counts = self.distinct()
        total = counts.sum()
        share = counts / total
        mean = np.zeros(self.bits)
        second = np.zeros((self.bits, self.bits))
        for low in range(0, len(codes), _ROWS):
            rows = slice(low, low + _ROWS)
            signs = codes_lib.unpack(codes[rows], self.bits).astype("float64")
            weighted = signs * share[rows, None]
            mean += weighted.sum(axis=0)
            second += weighted.T @ signs
        covariance = second - np.outer(mean, mean)
        spread = np.sqrt(np.maximum(np.diag(covariance), 0))
        scale = np.outer(spread, spread)
        correlation = np.abs(covariance) / np.where(
            scale > 1e-12, scale, np.inf
        )
        pairs = self.bits * (self.bits - 1)
        between = correlation.sum() - np.trace(correlation)
        return {
            "unique_codes": float(len(codes)),
            "largest_bucket": float(share.max()),
            "code_entropy": float(-(share * np.log2(share)).sum()),
            "bit_balance": float(np.abs(mean).mean()),
            "bit_correlation": float(between / pairs) if pairs else 0.0,
        }
