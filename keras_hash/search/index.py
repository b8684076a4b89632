"""`Index`: exact nearest codes by Hamming distance on one machine."""

import io
import pathlib
import zipfile

import numpy as np

from keras_hash import codes as codes_lib
from keras_hash import files

# Codes are held in whole 32-bit words: FAISS has fast kernels for those.
_WORD = 4


class Index:
    """Exact search among packed codes, over FAISS.

    Results are ordered by distance, items at equal distance in the order in
    which they were added.

    Args:
        bits: int, code length, any number from 1.
        codes: optional packed codes to start with, see `add`.
        ids: optional int64 `[n]`, their ids, see `add`.

    Raises:
        ValueError: `bits` is not a positive int, or as `add`.

    Example:

    >>> index = keras_hash.Index(bits=30)
    >>> index.add(codes, ids)
    >>> distances, ids = index.search(query_codes, k=10)
    """

    def __init__(self, bits, codes=None, ids=None):
        import faiss

        self.bits = int(bits)
        self._bytes = codes_lib.num_bytes(bits)
        self._width = -(-self._bytes // _WORD) * _WORD
        self._faiss = faiss.IndexBinaryFlat(8 * self._width)
        # Counting by distance in place of a heap keeps ties in order.
        self._faiss.use_heap = False
        self._ids = np.zeros(0, "int64")
        if codes is not None:
            self.add(codes, ids)

    def __len__(self):
        return len(self._ids)

    def add(self, codes, ids=None):
        """Adds codes.

        Args:
            codes: packed codes `uint8 [n, ceil(bits / 8)]`.
            ids: int64 `[n]`, what `search` returns; running numbers if `None`.

        Raises:
            ValueError: codes that do not fit `bits`, or another number of ids.
        """
        codes = codes_lib.check(codes, self.bits)
        if ids is None:
            ids = np.arange(len(self), len(self) + len(codes))
        ids = np.asarray(ids)
        if ids.shape != (len(codes),) or ids.dtype.kind not in "iu":
            raise ValueError(
                f"`ids` should be ints of shape [{len(codes)}], one a code. "
                f"Received: ids.shape={ids.shape}, dtype={ids.dtype}"
            )
        self._faiss.add(self._padded(codes))
        self._ids = np.concatenate([self._ids, ids.astype("int64")])

    def search(self, codes, k=10):
        """Finds the nearest items of each query.

        Args:
            codes: packed codes `uint8 [q, ceil(bits / 8)]`.
            k: int, items a query; all items where there are fewer.

        Returns:
            A pair: distances `int32 [q, k]` and ids `int64 [q, k]`.

        Raises:
            ValueError: an empty index, codes that do not fit, or `k` below 1.
        """
        codes = codes_lib.check(codes, self.bits)
        if len(self) == 0:
            raise ValueError("The index is empty: call `add` before `search`.")
        if not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f"`k` should be at least 1. Received: k={k!r}")
        k = min(int(k), len(self))
        if len(codes) == 0:
            return np.zeros((0, k), "int32"), np.zeros((0, k), "int64")
        distances, places = self._faiss.search(self._padded(codes), k)
        return distances, self._ids[places]

    def save(self, path):
        """Writes the index; a kill leaves the old file or the new one.

        Args:
            path: str or path.
        """
        import faiss

        content = io.BytesIO()
        packed = faiss.vector_to_array(self._faiss.xb)
        packed = packed.reshape(-1, self._width)
        np.savez(
            content,
            codes=packed[:, : self._bytes],
            ids=self._ids,
            bits=self.bits,
        )
        files.write(path, content.getvalue())

    @classmethod
    def load(cls, path):
        """Reads an index that `save` wrote.

        Args:
            path: str or path.

        Returns:
            An `Index`.

        Raises:
            ValueError: the file is missing or is not a whole index.
        """
        try:
            # The archive holds a checksum of each array.
            with np.load(pathlib.Path(path), allow_pickle=False) as stored:
                index = cls(int(stored["bits"]))
                index.add(stored["codes"], stored["ids"])
        except (
            OSError,
            EOFError,
            ValueError,
            KeyError,
            zipfile.BadZipFile,
        ) as error:
            raise ValueError(
                "`path` should be a file written by `Index.save`. "
                f"Received: path={str(path)!r} ({error})"
            ) from error
        return index

    def _padded(self, codes):
        padded = np.zeros((len(codes), self._width), "uint8")
        padded[:, : self._bytes] = codes
        return padded
