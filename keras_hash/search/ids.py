"""What items are called: unique ints or strings, and where each one stands."""

import numpy as np

_LARGEST = np.iinfo("int64").max


def check_int(value, name, least=1):
    """Refuses what is no whole number, or too small a one."""
    whole = isinstance(value, (int, np.integer))
    if isinstance(value, bool) or not whole or value < least:
        raise ValueError(
            f"`{name}` should be at least {least}, an int. "
            f"Received: {name}={value!r}"
        )


def check(ids, name="ids"):
    """Ids as an array.

    Args:
        ids: array, list, tuple or set of ints, or of strings.
        name: str, what the error calls them.

    Returns:
        `int64 [n]`, or an object array of `str`.

    Raises:
        ValueError: neither ints that fit int64 nor strings, or both.
    """
    given = ids
    if isinstance(ids, (set, frozenset, range)):
        ids = list(ids)
    if isinstance(ids, (list, tuple)) and any(isinstance(i, str) for i in ids):
        # NumPy would make strings of ints among them.
        array = np.empty(len(ids), object)
        array[:] = ids
    else:
        array = np.asarray(ids)
    if array.ndim == 1 and array.size == 0:
        return array.astype("int64" if array.dtype.kind != "U" else object)
    if array.ndim == 1 and array.dtype.kind in "UTO":
        array = array.astype(object)
        if all(isinstance(i, str) for i in array):
            return array
    elif (
        array.ndim == 1
        and array.dtype.kind in "iu"
        and (array.dtype != np.uint64 or array.max() <= _LARGEST)
    ):
        return np.ascontiguousarray(array, "int64")
    raise ValueError(
        f"`{name}` should be ints (int64) or strings, of one kind, in one "
        f"dimension. Received: type={type(given).__name__}, "
        f"shape={array.shape}, dtype={array.dtype}"
    )


class Ids:
    """The ids of an index, in the order of its items.

    Args:
        values: `int64 [n]` or object array of `str`, all different; `None` for
            none, of a kind that the first ones decide.
        following: int, the first running number.
    """

    def __init__(self, values=None, following=0):
        self.values = np.zeros(0, "int64") if values is None else values
        self.following = following
        self._sorted = self._places = None
        self._rising = not self.is_str and _rising(self.values)

    def __len__(self):
        return len(self.values)

    @property
    def is_str(self):
        """Whether they are strings."""
        return self.values.dtype == object

    def running(self, count):
        """The next running numbers.

        Args:
            count: int, how many.

        Returns:
            `int64 [count]`.

        Raises:
            ValueError: ids are strings, or there are no larger ints.
        """
        if self.is_str and len(self):
            raise ValueError(
                "`ids` should be given: this index has strings for ids. "
                "Received: ids=None"
            )
        if self.following > _LARGEST - count:
            raise ValueError(
                "`ids` should be given: no ints are left behind the largest "
                f"id. Received: ids=None, largest={self.following - 1}"
            )
        return np.arange(self.following, self.following + count)

    def refuse(self, ids):
        """Refuses ids that cannot be added.

        Args:
            ids: as `check` returns them.

        Raises:
            ValueError: another kind than before, or an id that is there twice.
        """
        if not len(ids):
            return
        if len(self) and (ids.dtype == object) != self.is_str:
            kinds = ("ints", "strings")[:: -1 if self.is_str else 1]
            raise ValueError(
                f"`ids` should be {kinds[0]}, as before: an index has ids of "
                f"one kind. Received: {kinds[1]}, first {ids[0]!r}"
            )
        twice = None
        if ids.dtype == object:
            seen = set()
            for one in ids:
                if one in seen:
                    twice = one
                    break
                seen.add(one)
        elif not _rising(ids):
            ordered = np.sort(ids)
            same = ordered[1:] == ordered[:-1]
            twice = ordered[1:][same][0] if same.any() else None
        if twice is None and len(self):
            there = self.places(ids) >= 0
            twice = ids[there][0] if there.any() else None
        if twice is not None:
            raise ValueError(
                "`ids` should all be different, also from those in the index; "
                "`remove` an item before adding it anew. "
                f"Received: {_shown(twice)} twice"
            )

    def add(self, ids):
        """Appends ids that `refuse` let pass.

        Args:
            ids: as `check` returns them.
        """
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
        """Where ids stand.

        Args:
            ids: as `check` returns them.

        Returns:
            `int64 [m]`, -1 for those that are not there.
        """
        if not len(ids) or not len(self):
            return np.full(len(ids), -1)
        if (ids.dtype == object) != self.is_str:
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
        """Where ids stand that should all be there.

        Args:
            ids: as `check` returns them.

        Returns:
            `int64 [m]`.

        Raises:
            ValueError: one is not there.
        """
        places = self.places(ids)
        if (places < 0).any():
            raise ValueError(
                "`ids` should be in the index. Received: "
                f"{int((places < 0).sum())} that are not, first "
                f"{_shown(ids[places < 0][0])}"
            )
        return places

    def chosen(self, places):
        """Some of the ids.

        Args:
            places: rising `int64 [m]`.

        Returns:
            `Ids`.
        """
        return Ids(self.values[places], self.following)

    def arrays(self):
        """The ids as plain arrays, for a file.

        Returns:
            dict of arrays.
        """
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
        """The ids that `arrays` gave.

        Args:
            arrays: dict of arrays.
            following: int, the first running number.

        Returns:
            `Ids`.
        """
        if "ids" in arrays:
            return cls(arrays["ids"], following)
        text, ends = arrays["ids_text"].tobytes(), arrays["ids_ends"].tolist()
        values = np.empty(len(ends), object)
        values[:] = [
            text[start:end].decode("utf-8", "surrogatepass")
            for start, end in zip([0, *ends], ends)
        ]
        return cls(values, following)


def _rising(values):
    return bool((values[1:] > values[:-1]).all())


def _shown(one):
    return repr(one if isinstance(one, str) else int(one))
