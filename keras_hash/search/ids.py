"""What items are called: unique ints or strings, and where each one stands."""

import collections

import numpy as np

from keras_hash.codes import as_array
from keras_hash.codes import check_int

LARGEST = np.iinfo("int64").max


def check_ids(ids, name="ids", count=None):
    """Ids as `int64 [count]` or as an object array of `str`."""
    if count is not None and isinstance(ids, (set, frozenset)):
        raise ValueError(
            f"`{name}` should be in the order of the codes, and a set has "
            f"none. Received: type={type(ids).__name__}"
        )
    array = ids
    kinds = list, tuple, set, frozenset, range, type({}.keys())
    if isinstance(ids, kinds):
        # NumPy would make strings of ints, or ints of booleans, among them.
        kept = any(isinstance(one, (str, bool)) for one in ids)
        array = as_array(list(ids), name, object if kept else None)
    array = _int_or_str(as_array(array, name))
    if array is None:
        array = np.asarray(ids)
        raise ValueError(
            f"`{name}` should be ints (int64) or strings, of one kind, in one "
            f"dimension. Received: type={type(ids).__name__}, "
            f"shape={array.shape}, dtype={array.dtype}"
        )
    if count is not None and len(array) != count:
        raise ValueError(
            f"`{name}` should have shape [{count}], one a code. "
            f"Received: {name}.shape={array.shape}"
        )
    return array


def _int_or_str(array):
    """The array in the dtype that ids have, or `None` for other values."""
    kind = array.dtype.kind
    if array.ndim != 1:
        return None
    if not array.size:
        return array.astype(object if kind == "U" else "int64")
    if kind in "UTO":
        array = array.astype(object)
        return array if all(isinstance(one, str) for one in array) else None
    if kind in "iu" and array.max() <= LARGEST:
        return np.ascontiguousarray(array, "int64")
    return None


def check_different(ids):
    """Refuses an id that is given twice."""
    if ids.dtype == object:
        twice, count = collections.Counter(ids).most_common(1)[0]
    elif _rising(ids):
        return
    else:
        values, counts = np.unique(ids, return_counts=True)
        twice, count = values[counts.argmax()], counts.max()
    if count > 1:
        _refuse_twice(twice)


class Ids:
    """The ids of an index in the order of its items, all of one kind.

    The first ones decide the kind; `following` is the first running number.
    """

    def __init__(self, values=None, following=0):
        self.values = np.zeros(0, "int64") if values is None else values
        self.following = following
        # Where strings stand; ints in order, and where those stand.
        self._places = self._sorted = None
        self._rising = not self.is_str and _rising(self.values)

    def __len__(self):
        return len(self.values)

    @property
    def is_str(self):
        """Whether they are strings."""
        return self.values.dtype == object

    def running(self, count):
        """The next `count` numbers, where ids are numbers and so many left."""
        if self.is_str and len(self):
            raise ValueError(
                "`ids` should be given: this index has strings for ids. "
                "Received: ids=None"
            )
        if self.following > LARGEST - count:
            raise ValueError(
                "`ids` should be given: no ints are left after the largest id. "
                f"Received: ids=None, largest={self.following - 1}"
            )
        return np.arange(self.following, self.following + count)

    def refuse(self, ids):
        """Refuses ids of another kind, or that are there twice."""
        if not len(ids):
            return
        if len(self) and (ids.dtype == object) != self.is_str:
            kinds = ("ints", "strings")[:: -1 if self.is_str else 1]
            raise ValueError(
                f"`ids` should be {kinds[0]}, as before: this index has ids of "
                f"one kind. Received: {kinds[1]}, first {ids[0]!r}"
            )
        check_different(ids)
        there = self.places(ids) >= 0
        if there.any():
            _refuse_twice(ids[there][0])

    def add(self, ids):
        """Appends ids that `refuse` let pass."""
        if not len(ids):
            return
        old = len(self)
        values = np.concatenate([self.values, ids]) if old else ids.copy()
        if values.dtype == object:
            if self._places is not None:
                self._places.update(zip(ids, range(old, len(values))))
        else:
            self.following = max(self.following, int(ids.max()) + 1)
            after = not old or ids[0] > self.values[-1]
            self._rising = self._rising and after and _rising(ids)
            if self._sorted is not None:
                order = np.argsort(ids)
                at = np.searchsorted(self._sorted[0], ids[order])
                keys = np.insert(self._sorted[0], at, ids[order])
                self._sorted = keys, np.insert(self._sorted[1], at, order + old)
        self.values = values

    def places(self, ids):
        """Where ids stand, `int64 [m]`; -1 for those that are not there."""
        same = (ids.dtype == object) == self.is_str
        if not (same and len(ids) and len(self)):
            return np.full(len(ids), -1)
        if self.is_str:
            if self._places is None:
                self._places = dict(zip(self.values, range(len(self))))
            found = (self._places.get(one, -1) for one in ids)
            return np.fromiter(found, "int64", len(ids))
        keys, order = self.values, None
        if not self._rising:
            if self._sorted is None:
                order = np.argsort(self.values)
                self._sorted = self.values[order], order
            keys, order = self._sorted
        at = np.minimum(np.searchsorted(keys, ids), len(keys) - 1)
        places = at if order is None else order[at]
        return np.where(keys[at] == ids, places, -1)

    def places_of_all(self, ids):
        """Where ids stand, of which none may be missing."""
        places = self.places(ids)
        if (places < 0).any():
            raise ValueError(
                "`ids` should be in the index. Received: "
                f"{int((places < 0).sum())} that are not, first "
                f"{_shown(ids[places < 0][0])}"
            )
        return places

    def chosen(self, places):
        """Some of the ids, in their order."""
        return Ids(self.values[places], self.following)

    def arrays(self):
        """The ids as a dict of plain arrays, for a file."""
        if not self.is_str:
            return {"ids": self.values}
        # File names may hold what is not Unicode.
        parts = [one.encode("utf-8", "surrogatepass") for one in self.values]
        ends = np.cumsum([len(part) for part in parts], dtype="int64")
        return {
            "ids_text": np.frombuffer(b"".join(parts), "uint8"),
            "ids_ends": ends,
        }

    @classmethod
    def from_arrays(cls, arrays, following):
        """The ids that `arrays` gave; refuses what it does not give."""
        following = check_int(following, "following", 0, LARGEST + 1)
        if "ids" in arrays:
            values = arrays["ids"]
            if values.dtype != np.int64 or values.ndim != 1:
                raise ValueError("its ids are no list of ints")
            if following <= values.max(initial=-1):
                raise ValueError("its next id is there already")
            return cls(values, following)
        text, ends = arrays["ids_text"], arrays["ids_ends"]
        kinds = text.dtype == np.uint8, ends.dtype == np.int64, ends.ndim == 1
        right = all(kinds)
        if right:
            lengths = np.diff(ends, prepend=0, append=text.size)
            right = lengths.min() >= 0 and not lengths[-1]
        if not right:
            raise ValueError("its ids are no list of strings")
        text, ends = text.tobytes(), ends.tolist()
        values, parts = np.empty(len(ends), object), zip([0, *ends], ends)
        if text.isascii():
            # Most are, and parts of one text are cut in a third of the time.
            text = text.decode()
            values[:] = [text[start:end] for start, end in parts]
        else:
            values[:] = [
                text[start:end].decode("utf-8", "surrogatepass")
                for start, end in parts
            ]
        return cls(values, following)


def _rising(values):
    return bool((values[1:] > values[:-1]).all())


def _shown(one):
    return repr(one if isinstance(one, str) else int(one))


def _refuse_twice(one):
    raise ValueError(
        "`ids` should all be different, in an index also from those that are "
        "there; `Index.remove` takes an item out. "
        f"Received: {_shown(one)} twice"
    )
