"""What the adapters have in common: checks, batches, running ids, order."""

import contextlib
import os
import re

import numpy as np

from keras_hash.codes import check
from keras_hash.codes import num_bytes
from keras_hash.search.ids import LARGEST
from keras_hash.search.ids import check_different
from keras_hash.search.ids import check_ids
from keras_hash.search.ids import check_int
from keras_hash.search.ids import check_kind
from keras_hash.search.ids import running

# Longest id of text, in bytes of UTF-8. Milvus wants a bound, and sizes its
# segments by it.
LONGEST = 1024
# What filters cannot spell in both engines, and halves of characters.
_UNUSUAL = re.compile("[\0-\x1f\x7f\ud800-\udfff]")


class Engine:
    """What the adapters have in common: checks, batches, running ids, order."""

    # Ids or rows in one request: Milvus returns at most 16,384 rows and takes
    # messages of 64 MB. And results that one request asks for.
    batch, results = 10_000, 1 << 18
    _name = _extra = _most = None

    def __init__(self, bits, uri, name, similarity, lists, probes):
        self._width = num_bytes(bits)
        if similarity != "hamming":
            raise ValueError(
                '`similarity` should be "hamming": databases have no distance '
                'for "and"; `keras_hash.Index` has. '
                f"Received: similarity={similarity!r}"
            )
        for key, value in (("lists", lists), ("probes", probes)):
            if value is not None:
                check_int(value, key)
        if probes is not None and probes > (lists or 0):
            raise ValueError(
                "`probes` should be at most `lists`. "
                f"Received: probes={probes}, lists={lists}"
            )
        self.bits, self.uri, self.name = int(bits), os.fspath(uri), name
        self.lists, self.probes = lists, probes
        # Whether ids are strings; `None` while nothing is stored.
        self._strings = None
        self._following = 0
        self._closed = False
        with self._asked("opened"):
            self._connect()
        try:
            self._exists()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __repr__(self):
        return (
            f"<{type(self).__name__} bits={self.bits}, uri={self.uri!r}, "
            f"name={self.name!r}>"
        )

    def __len__(self):
        if not self._exists():
            return 0
        with self._asked("counted"):
            return self._count()

    def add(self, codes, ids=None):
        """Adds codes.

        What is wrong with codes or ids is found before anything is written.
        Databases do not keep ids apart themselves: two programs that add the
        same ids at the same moment both succeed.

        Args:
            codes: packed codes `uint8 [n, ceil(bits / 8)]`.
            ids: `[n]` ints or strings, all different and of the kind that came
                first; strings of up to 1024 bytes, without control characters.
                `None`: numbers that follow the largest one, from 0.

        Raises:
            ValueError: codes that do not fit `bits`; another number of ids, or
                of another kind; an id that is there already.
            ConnectionError: the database did not do it. LanceDB has then stored
                nothing of this call, Milvus the rows that the error names.
        """
        codes = check(codes, self.bits)
        exists = self._exists()
        if ids is None:
            ids = self._running(len(codes))
        else:
            ids = _check_names(ids, len(codes))
        if not len(codes):
            return
        if exists:
            check_kind(ids, self._strings, repr(self.name))
        check_different(ids)
        there = self._there(ids) if exists else set()
        if there:
            raise ValueError(
                "`ids` should all be different, also from those stored; "
                "`remove` an item before adding it anew. Received: "
                f"{len(there)} that are there, such as {min(there)!r}"
            )
        if not exists:
            strings = ids.dtype == object
            with self._asked("created"):
                self._create(strings)
            self._strings = strings
        self._write(codes, ids)
        if not self._strings:
            self._following = max(self._following, int(ids.max()) + 1)

    def remove(self, ids):
        """Removes items.

        Args:
            ids: ids of items, any number of them; repeated ones count once.

        Raises:
            ValueError: an id that is not there; nothing is removed then.
            ConnectionError: the database did not do it, or not for all.
        """
        ids = np.unique(_check_names(ids))
        if not len(ids):
            return
        same = self._exists() and (ids.dtype == object) == self._strings
        there = self._there(ids) if same else set()
        if len(there) < len(ids):
            missing = [one for one in ids.tolist() if one not in there]
            raise ValueError(
                f"`ids` should be in {self.name!r}. Received: {len(missing)} "
                f"that are not, first {missing[0]!r}"
            )
        for done, part in self._batches(ids):
            with self._asked(f"cleared of ids behind {done} of these"):
                self._delete(self._among(part.tolist()))

    def search(self, codes, k=10):
        """Finds the nearest items of each query.

        Rows are ordered by distance, then by id. Where more items than fit lie
        at the last distance of a row, the database chooses among them, and may
        choose others when it has tidied up: learned codes repeat, so this is
        the usual case. `keras_hash.Index` always takes the first ones added.

        Args:
            codes: packed codes `uint8 [q, ceil(bits / 8)]`.
            k: int, items a query; all items where there are fewer.

        Returns:
            A pair: distances `int32 [q, k]` and ids `[q, k]`, exact unless
            `probes` is set.

        Raises:
            ValueError: nothing is stored, codes that do not fit, `k` below 1,
                or more items than the database returns (Milvus: 16,384).
            ConnectionError: the database did not answer.
        """
        codes = check(codes, self.bits)
        check_int(k, "k")
        size = len(self)
        if not size:
            raise ValueError("The index is empty: call `add` before `search`.")
        k = min(int(k), size)
        if self._most and k > self._most:
            raise ValueError(
                f"`k` should be at most {self._most}, which is all that "
                f"{self._name} returns. Received: k={k}"
            )
        distances = np.zeros((len(codes), k), "int32")
        ids = np.zeros((len(codes), k), object if self._strings else "int64")
        rows = max(1, min(self.batch, self.results // k))
        for start in range(0, len(codes), rows):
            part = slice(start, start + rows)
            distances[part], ids[part] = self._rows(codes[part], k)
        order = np.lexsort((ids, distances))
        return (
            np.take_along_axis(distances, order, axis=1),
            np.take_along_axis(ids, order, axis=1),
        )

    def close(self):
        """Lets go of the database; what was added stays."""
        if not self._closed:
            self._closed = True
            self._leave()

    def _exists(self):
        """Whether anything was stored; looks again while nothing was."""
        if self._closed:
            raise ValueError("This index is closed: open it again.")
        if self._strings is not None:
            return True
        with self._asked("opened"):
            stored = self._open()
        if stored is None:
            return False
        bits, strings = stored
        if bits != str(self.bits):
            held = f"codes of {bits} bits" if bits else "no codes of keras_hash"
            raise ValueError(
                f"{self.name!r} in {self.uri!r} holds {held}; give another "
                f"name or those bits. Received: bits={self.bits}"
            )
        self._strings = strings
        return True

    def _running(self, count):
        if self._strings is False:
            with self._asked("read"):
                # Ids often run from 0: the largest is then near the count.
                start = self._following or max(0, self._count() - 1)
                # They come in no order, so this asks until none is larger.
                while start <= LARGEST and (
                    found := self._between(start, LARGEST, self.batch)
                ):
                    start = max(found) + 1
                self._following = start
        return running(count, self._following, self._strings, repr(self.name))

    def _between(self, low, high, limit):
        return self._ids(f"id >= {low} and id <= {high}", limit)

    def _there(self, ids):
        """Those of some ids that are stored."""
        there = set()
        with self._asked("read"):
            # One question settles it for ids that follow the others.
            if not self._strings and not self._between(ids.min(), ids.max(), 1):
                return there
            for _, part in self._batches(ids):
                there.update(self._ids(self._among(part.tolist()), len(part)))
        return there

    def _batches(self, rows):
        """Yields as many as fit into one request, and how many come before."""
        for start in range(0, len(rows), self.batch):
            yield start, rows[start : start + self.batch]

    def _rows(self, codes, k):
        with self._asked("searched"):
            found = self._nearest(codes, k, exact=self.probes is None)
            short = [i for i, (_, ids) in enumerate(found) if len(ids) < k]
            if short and self.probes is not None:
                # The lists probed held too few items.
                again = self._nearest(codes[short], k, exact=True)
                for i, row in zip(short, again):
                    found[i] = row
        if any(len(ids) != k for _, ids in found):
            raise ConnectionError(
                f"{self._name} returned fewer than {k} items for a query: "
                "another program is removing some. Search again. "
                f"Received: uri={self.uri!r}"
            )
        distances = np.array([row for row, _ in found], "float64")
        ids = np.array([ids for _, ids in found], object)
        return np.rint(distances), ids

    @contextlib.contextmanager
    def _asked(self, verb):
        """Makes one clear error of what a database may raise."""
        try:
            with self._quiet():
                yield
        except ImportError as error:
            raise ImportError(
                f"{type(self).__name__} needs packages that are not there: "
                f'pip install "keras-hash[{self._extra}]" ({error})'
            ) from error
        except self._errors() as error:
            reason = " ".join(str(error).split())[:300]
            raise ConnectionError(
                f"`uri` should be a {self._name} that answers and allows this: "
                f"{self.name!r} was not {verb}. What was stored before "
                f"stays. Received: uri={self.uri!r} ({reason})"
            ) from error

    def _quiet(self):
        return contextlib.nullcontext()


def _check_names(ids, count=None):
    """Ids that filters of both engines can name."""
    ids = check_ids(ids, count=count)
    if ids.dtype == object:
        bad = [
            one
            for one in ids
            if _UNUSUAL.search(one) or len(one.encode()) > LONGEST
        ]
    else:
        bad = ids[ids < -LARGEST].tolist()
    if bad:
        raise ValueError(
            "`ids` should be ints above -2**63, or strings of up to "
            f"{LONGEST} bytes without control characters: filters of "
            f"databases cannot name others. Received: {bad[0]!r:.80}"
        )
    return ids
