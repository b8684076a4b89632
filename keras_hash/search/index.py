"""`Index`: exact nearest codes by Hamming distance on one machine."""

import contextlib
import json
import os

import numpy as np

from keras_hash import files
from keras_hash import forks
from keras_hash.codes import check
from keras_hash.codes import check_int
from keras_hash.codes import check_similarity
from keras_hash.codes import group
from keras_hash.codes import num_bytes
from keras_hash.codes import pack
from keras_hash.search import asymmetric
from keras_hash.search import by_features
from keras_hash.search import joins
from keras_hash.search import storage
from keras_hash.search.groups import Groups
from keras_hash.search.groups import check_arrays
from keras_hash.search.groups import width_of
from keras_hash.search.ids import Ids
from keras_hash.search.ids import check_ids

# Distances of which there are many.
_ALL = 1 << 30


class Index:
    """Exact search among packed codes, by compiled loops or FAISS.

    Results are ordered by distance, items at equal distance in the order in
    which they were added. Equal codes are compared once. Several threads may
    search at a time, but not while another one adds or removes. A process that
    is forked from one that has searched does so with one thread.

    Args:
        bits: int, code length, any number from 1.
        codes: optional packed codes to start with, see `add`.
        ids: optional, their ids, see `add`.
        similarity: `"hamming"`, or `"and"`, for which the distance is `bits`
            less the ones in common (multi-label codes of DSHC).
        method: how to search; results are the same. `"scan"`: all distinct
            codes are compared. `"multi-index"`: tables of substrings, made
            when they are first needed, 17 bytes a distinct code of 64 bits, 75
            of 256; queries for which they are not faster are scanned.
            `"auto"`: tables from two million distinct codes on, for
            `"hamming"`. `among` scans.

    Attributes:
        about: dict of facts about where the codes come from, such as their
            encoder, as `save` was given and a file keeps them; empty if none.

    Raises:
        ValueError: `bits` is not a positive int, an unknown `similarity` or
            `method`, tables for `similarity="and"`, or as `add`.

    Example:

    >>> index = keras_hash.Index(bits=30)
    >>> index.add(codes, ids)
    >>> distances, ids = index.search(query_codes, k=10)
    """

    def __init__(
        self,
        bits,
        codes=None,
        ids=None,
        similarity="hamming",
        method="auto",
    ):
        num_bytes(bits)
        check_similarity(similarity)
        method = _check_method(method, similarity)
        self.bits, self.similarity = int(bits), similarity
        self.about = {}
        # What `PhotoIndex` knows of each item, in the folder of its file; items
        # that came later have none.
        self._beside, self._folder = {}, None
        self._ids = Ids()
        empty = np.zeros((0, width_of(bits)), "uint8")
        # Groups, and codes that wait to be grouped: one attribute, so that
        # threads that search see both as they belong together.
        groups = Groups(self.bits, similarity, empty, method=method)
        self._state = groups, ()
        if codes is not None:
            self.add(codes, ids)
        elif ids is not None:
            raise ValueError(
                "`ids` should come with their codes. Received: codes=None"
            )

    def __len__(self):
        return len(self._ids)

    def __copy__(self):
        new = object.__new__(type(self))
        # What is added to one is not in the other; codes are replaced, not
        # changed, and shared until then.
        vars(new).update(vars(self), _ids=self._ids.chosen(slice(None)))
        return new

    def __repr__(self):
        return (
            f"<Index bits={self.bits}, similarity={self.similarity!r}, "
            f"items={len(self)}, distinct codes={len(self._groups().codes)}>"
        )

    @property
    def ids(self):
        """The ids in the order of addition: `int64 [n]`, or `str` objects."""
        view = self._ids.values.view()
        view.flags.writeable = False
        return view

    @property
    def codes(self):
        """The packed codes in the order of `ids`, `uint8`, read-only."""
        groups = self._groups()
        codes = groups.codes[:, : num_bytes(self.bits)]
        codes = codes if groups.group is None else codes[groups.group]
        view = codes.view()
        view.flags.writeable = False
        return view

    @property
    def nbytes(self):
        """Bytes of codes and of what is made to search them, without ids."""
        return self._groups().nbytes

    def add(self, codes, ids=None):
        """Adds codes, all or, after an error, none.

        Args:
            codes: packed codes `uint8 [n, ceil(bits / 8)]`.
            ids: `[n]` ints or strings, what `search` returns, all different and
                of one kind in an index; `None`: the numbers that follow the
                largest one so far, from 0.

        Raises:
            ValueError: codes that do not fit `bits`; another number of ids, or
                of another kind; an id that is there already.
        """
        codes = check(codes, self.bits)
        if ids is None:
            ids = self._ids.running(len(codes))
        else:
            ids = check_ids(ids, count=len(codes))
            self._ids.refuse(ids)
        if not len(codes):
            return
        groups, waiting = self._state
        waiting = *waiting, codes.copy()
        self._ids.add(ids)
        self._state = groups, waiting

    def remove(self, ids):
        """Removes items, all or, after an error, none.

        Args:
            ids: ids of items, any number of them; repeated ones count once.

        Raises:
            ValueError: an id that is not in the index.
        """
        places = self._ids.places_of_all(check_ids(ids))
        if not len(places):
            return
        keep = np.ones(len(self), bool)
        keep[places] = False
        keep = np.flatnonzero(keep)
        groups = self._groups().chosen(keep)
        self._beside = {k: c[keep] for k, c in self._all_beside().items()}
        self._ids, self._state = self._ids.chosen(keep), (groups, ())

    def search(
        self,
        codes=None,
        k=10,
        among=None,
        rerank=None,
        candidates=None,
        threads=None,
        real_codes=None,
    ):
        """Finds the nearest items of each query.

        Args:
            codes: packed codes `uint8 [q, ceil(bits / 8)]`; those of
                `real_codes` where these are given in their place.
            k: int, items a query; all items where there are fewer.
            among: optional ids: only these items are searched; ids that are not
                in the index are passed over.
            rerank: optional pair, to order the `candidates` nearest items by
                the Euclidean distance of features: features of the queries
                `[q, d]`, and features of all items `[n, d]` in the order of
                `Index.ids`, or a function that returns `[m, d]` for ids `[m]`.
            candidates: int, at least `k`, items a query that `rerank` orders,
                `None` means `10 * k`; or that `real_codes` order, `None` means
                1,000 or `k`.
            threads: int, up to 1024 threads of FAISS; `None` leaves it to
                FAISS, but for the smallest searches, which take one.
            real_codes: optional float `[q, bits]`, as `HashModel.real_codes`
                returns them: the `candidates` nearest items are ordered by the
                sum of their magnitudes at the bits that differ, which finds
                better for nearly the same time.

        Returns:
            A pair: distances `int32 [q, k]`, with `rerank` or `real_codes`
            `float32 [q, k]`, and ids `[q, k]`.

        Raises:
            ValueError: an empty index, codes or features that do not fit, or
                `k` below 1.
        """
        if real_codes is not None:
            codes, real = self._real(codes, real_codes, rerank)
        codes = self._checked(codes)
        count = k = check_int(k, "k")
        if real_codes is not None:
            most = asymmetric.CANDIDATES
            count = max(k, most) if candidates is None else candidates
            count = check_int(count, "candidates", k)
        elif rerank is not None:
            count = 10 * k if candidates is None else candidates
            count = check_int(count, "candidates", k)
            rerank = by_features.check(rerank, len(codes), len(self))
        elif candidates is not None:
            raise ValueError(
                "`candidates` needs `rerank` or `real_codes`. "
                f"Received: candidates={candidates!r}, neither of them"
            )
        groups, chosen = self._among(among)
        count, k = min(count, len(groups)), min(k, len(groups))
        if len(codes) == 0 or k == 0:
            whole = rerank is None and real_codes is None
            dtype = "int32" if whole else "float32"
            shape = len(codes), k
            return np.zeros(shape, dtype), np.zeros(shape, self.ids.dtype)
        # Queries repeat as items do.
        first, inverse, _ = group(codes)
        if len(first) == len(codes):
            first = inverse = slice(None)
        with _threads(threads, len(codes) * len(groups)):
            levels, places = groups.nearest(codes[first], count)
        levels, places = levels[inverse], places[inverse]
        if real_codes is not None:
            own = groups.codes[:, : num_bytes(self.bits)]
            numbers = groups.numbers(places)
            levels, places = asymmetric.nearest(
                real, own, numbers, places, k, self.bits
            )
        if chosen is not None:
            places = chosen[places]
        if rerank is not None:
            levels, places = by_features.nearest(
                *rerank, places, self._ids.values, k
            )
        return levels, self._ids.values[places]

    def range_search(self, codes, radius, among=None, threads=None):
        """Finds all items up to a distance.

        Args:
            codes: packed codes `uint8 [q, ceil(bits / 8)]`.
            radius: int, the largest distance.
            among: optional ids: only these items are searched, as in `search`.
            threads: int, up to 1024 threads of FAISS; `None` leaves it to
                FAISS, but for the smallest searches, which take one.

        Returns:
            A triple: bounds `int64 [q + 1]`, distances `int32 [m]` and ids
            `[m]`. Those of query i are from bound i to bound i + 1, in the
            order of `search`.

        Raises:
            ValueError: an empty index, codes that do not fit, or `radius` below
                0.
        """
        codes = self._checked(codes)
        radius = check_int(radius, "radius", 0)
        groups, chosen = self._among(among)
        with _threads(threads, len(codes) * len(groups)):
            lims, levels, places = groups.within(codes, radius)
        if chosen is not None:
            places = chosen[places]
        return lims, levels, self._ids.values[places]

    def pairs(self, radius):
        """Finds all pairs of items up to a distance: duplicates, for example.

        Args:
            radius: int, the largest distance; 0 for equal codes.

        Returns:
            A generator of triples of arrays of equal length: ids of the items
            that were added first, ids of the others, and distances `int32`.
            Each pair comes once; a triple holds some millions at most.

        Raises:
            ValueError: `radius` below 0, or an index for `similarity="and"`.

        Example:

        >>> for first, second, distances in index.pairs(radius=2):
        ...     print(first, second, distances)
        """
        radius = check_int(radius, "radius", 0)
        groups, ids = self._joined(), self.ids

        def found():
            with _threads(None, _ALL):
                for one, other, far in joins.item_pairs(groups, radius):
                    yield ids[one], ids[other], far

        return found()

    def clusters(self, radius):
        """Groups items that pairs up to a distance connect.

        Two items of a cluster may be further from each other than `radius`:
        what lies between leads from one to the other.

        Args:
            radius: int, the largest distance of a pair.

        Returns:
            A list of arrays of ids, each of two items or more in the order of
            addition; the clusters in the order of their first items.

        Raises:
            ValueError: as `pairs`.
        """
        radius = check_int(radius, "radius", 0)
        groups, ids = self._joined(), self.ids
        with _threads(None, _ALL):
            return [ids[part] for part in joins.clusters(groups, radius)]

    def _joined(self):
        if self.similarity != "hamming":
            raise ValueError(
                "Pairs are those of Hamming distances: make an index of the "
                f"same codes for them. Received: similarity={self.similarity!r}"
            )
        return self._groups()

    def save(self, path, about=None):
        """Writes the index; a kill leaves the old file or the new one.

        Args:
            path: str or path; its folder is made where it is missing.
            about: optional dict that JSON can hold, facts about where the codes
                come from; in the file and `Index.about` from then on. `None`:
                those that are there. To `keras-hash search`, `name`,
                `files_sha256` and `runtimes` say who made the codes.

        Raises:
            ValueError: `about` is not such a dict.
        """
        self.about = _check_about(self.about if about is None else about)
        fields, arrays = self._to_parts()
        if self._folder != _folder_of(path):
            # Its ids are paths from there.
            for name in self._beside:
                del arrays[name]
        storage.write(path, fields, arrays)

    def _all_beside(self):
        return {
            name: np.pad(
                column, (0, len(self) - len(column)), constant_values=-1
            )
            for name, column in self._beside.items()
        }

    def _to_parts(self):
        """What a file holds: a dict that JSON can hold, and one of arrays."""
        groups = self._groups()
        arrays = {"codes": groups.codes, **self._ids.arrays()}
        arrays |= self._all_beside()
        if groups.group is not None:
            arrays["group"] = groups.group
        fields = {
            "bits": self.bits,
            "similarity": self.similarity,
            "following": self._ids.following,
        }
        if self.about:
            fields["about"] = self.about
        return fields, arrays

    @classmethod
    def load(cls, path, mmap=False, method=None):
        """Reads an index that `save` wrote, and checks its sha256.

        Args:
            path: str or path.
            mmap: bool, whether codes and ids of ints stay in the file, which
                several processes then share. The file should not be changed in
                place meanwhile; `save` replaces it, which is safe.
            method: how to search, see `Index`; a file holds no tables. `None`:
                `"scan"` with `mmap`, since processes cannot share tables, else
                `"auto"`.

        Returns:
            An `Index`.

        Raises:
            ValueError: the file is missing or is not a whole index, or a wrong
                `method`.
        """
        if method is None:
            method = "scan" if mmap else "auto"
        return cls._read(path, mmap, method)[0]

    @classmethod
    def _read(cls, path, mmap=False, method="auto"):
        """What `load` reads, and the dict of all arrays in the file."""
        try:
            fields, arrays = storage.read(path, mmap)
            index = cls(fields["bits"], similarity=fields["similarity"])
            index._ids = Ids.from_arrays(arrays, fields["following"])
            held = arrays["codes"], arrays.get("group")
            check_arrays(index.bits, *held)
            # Indexes of photos had it by another name.
            about = fields.get("about", fields.get("encoder", {}))
            index.about = _check_about(about)
            items = Groups(index.bits, index.similarity, *held)
            if len(items) != len(index):
                raise ValueError(f"{len(index)} ids of {len(items)} codes")
            index._folder = _folder_of(path)
            index._beside = {
                name: array
                for name, array in arrays.items()
                if name.startswith("file_") and array.shape == (len(index),)
            }
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                "`path` should be a file written by `Index.save`. "
                f"Received: path={str(path)!r} ({error})"
            ) from error
        method = _check_method(method, index.similarity)
        index._state = items.searched_by(method), ()
        return index, arrays

    def _groups(self):
        groups, waiting = self._state
        if waiting:
            groups = groups.added(np.concatenate(waiting))
            self._state = groups, ()
        return groups

    def _real(self, codes, real_codes, rerank):
        """The packed and the real codes of queries that are given as such."""
        if codes is not None or rerank is not None:
            raise ValueError(
                "`real_codes` come in place of `codes`, and order what is "
                "found in place of `rerank`. Received: "
                f"codes of type {type(codes).__name__}, "
                f"rerank of type {type(rerank).__name__}"
            )
        asymmetric.check_similarity(self.similarity)
        real = asymmetric.check(real_codes, self.bits)
        return pack(real), real

    def _checked(self, codes):
        codes = check(codes, self.bits)
        if len(self) == 0:
            raise ValueError(
                "The index is empty: it needs codes before a search."
            )
        return codes

    def _among(self, ids):
        """The items to search, and their places unless these are all."""
        if ids is None:
            return self._groups(), None
        ids = check_ids(ids, "among")
        if len(ids) and (ids.dtype == object) != self._ids.is_str:
            kind = "strings" if self._ids.is_str else "ints"
            raise ValueError(
                f"`among` should be {kind}, as the ids of this index are. "
                f"Received: among[0]={ids[0]!r}"
            )
        places = self._ids.places(ids)
        chosen = np.unique(places[places >= 0])
        return self._groups().searched_by("scan").chosen(chosen), chosen


def _check_method(method, similarity):
    if method not in ("auto", "scan", "multi-index"):
        raise ValueError(
            '`method` should be "auto", "scan" or "multi-index". '
            f"Received: method={method!r}"
        )
    if similarity == "hamming":
        return method
    if method == "multi-index":
        raise ValueError(
            "Tables of substrings answer for Hamming distances only: take "
            'method="scan" or "auto". '
            f"Received: method={method!r}, similarity={similarity!r}"
        )
    return "scan"


def _folder_of(path):
    return os.path.dirname(os.path.realpath(files.local(path)))


def _check_about(about):
    """Facts as they come back from a file."""
    try:
        if isinstance(about, dict):
            return json.loads(files.to_json(about))
        reason = type(about).__name__
    except (TypeError, ValueError, RecursionError) as error:
        reason = error
    raise ValueError(
        "`about` should be a dict that JSON can hold. "
        f"Received: about={about!r:.80} ({reason})"
    )


@contextlib.contextmanager
def _threads(count, distances):
    """Limits the threads of FAISS for a while; few distances need one.

    Where the cores have other work, threads that wait for each other took a
    thousand times as long as what they had to do.
    """
    if count is not None:
        count = check_int(count, "threads")
        # So many more would end the process.
        check_int(count, "threads", most=1024)
    elif distances < 1 << 17:
        count = 1
    if forks.is_lost("FAISS"):
        # More than one would wait for those of the parent.
        count = 1
    if count != 1:
        forks.start("FAISS")
    if count is None:
        yield
        return
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
