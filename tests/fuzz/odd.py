"""Odd values in the place of those that a function takes."""

import copy

import numpy as np

# Errors that are an answer: of a wrong value, a wrong type, a file not there.
REFUSED = ValueError, TypeError, OSError


def _exactly(array, dtype):
    """The same numbers, where that type has them."""
    if array.dtype.kind not in "biuf" or (array.astype(dtype) != array).any():
        raise ValueError(f"{array.dtype} has others than {dtype}")
    return array.astype(dtype)


def _wider(array):
    return np.concatenate([array, array], axis=-1)


def _with(value):
    def changed(array):
        array = np.array(array, "float64")
        array[(0,) * array.ndim] = value
        return array

    return changed


# The same numbers, held in another way: the answer is the same, or none.
HELD = {
    "not contiguous": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "columns first": np.asfortranarray,
    "other bytes first": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "int64": lambda a: _exactly(a, "int64"),
    "float64": lambda a: _exactly(a, "float64"),
    "longdouble": lambda a: _exactly(a, "longdouble"),
    "objects": lambda a: a.astype(object),
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(a),
    "masked array": np.ma.array,
    "subclass": lambda a: a.view(np.recarray),
}
# Other numbers, or none.
CHANGED = {
    "NaN": _with(np.nan),
    "infinity": _with(-np.inf),
    "huge": lambda a: a.astype("float64") * 1e300,
    "huge int": lambda a: np.full(a.shape, (1 << 63) - 1),
    "larger int": lambda a: np.full(a.shape, (1 << 64) - 1, "uint64"),
    "least int": lambda a: np.full(a.shape, -1 << 63),
    "negative": lambda a: -1 - a.astype("int64"),
    "halves": lambda a: a.astype("float64") / 2,
    "int8": lambda a: a.astype("int8"),
    "bool": lambda a: a.astype(bool),
    "complex": lambda a: a.astype("complex64"),
    "words": lambda a: a.astype(str),
    "bytes": lambda a: a.astype("S"),
    "dates": lambda a: a.astype("int64").astype("M8[s]"),
    "none of it": lambda a: a[:0],
    "no columns": lambda a: a[..., :0],
    "one less": lambda a: a[:-1],
    "one": lambda a: a[:1],
    "one column": lambda a: a[..., :1],
    "flat": np.ravel,
    "deeper": lambda a: a[None],
    "wider": _wider,
    "a number": lambda a: a.ravel()[0],
    "no axis": lambda a: a.ravel()[:1].reshape(()),
    "ragged": lambda a: [np.ravel(a)[: i + 1].tolist() for i in range(len(a))],
    "pairs": lambda a: list(enumerate(a.tolist())),
    "generator": lambda a: (row for row in a),
    "dict": lambda a: dict(enumerate(a.tolist())),
    "set": lambda a: set(np.ravel(a).tolist()),
    "memory": lambda a: memoryview(np.ascontiguousarray(a)),
}
THINGS = {
    "None": None,
    "true": True,
    "text": "text",
    "no text": "",
    "half a letter": "\udcff",
    "zero byte": "a\0b",
    "long text": "a" * 300,
    "bytes": b"\xff\0",
    "-1": -1,
    "0": 0,
    "1": 1,
    "a half": 0.5,
    "a float": 8.0,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "a billion": 10**9,
    "huge": 10**30,
    "least": -(10**30),
    "1e300": 1e300,
    "number in text": "8",
    "numpy int": np.int64(3),
    "numpy float": np.float32(3),
    "array": np.array(3),
    "list": [3],
    "nested": [[1, 2], [3]],
    "no list": [],
    "dict": {},
    "complex": 1j,
    "object": object(),
    "function": len,
    "class": int,
}


def changes(value):
    """Names of what can stand in the place of a value."""
    names = [f"thing {name}" for name in THINGS]
    if isinstance(value, np.ndarray):
        names += [f"held {name}" for name in HELD]
        names += [f"changed {name}" for name in CHANGED]
    return names


def changed(value, name):
    """A value, changed as the name says; `None` where that cannot be."""
    kind, _, name = name.partition(" ")
    if kind == "thing":
        return THINGS[name]
    try:
        return {"held": HELD, "changed": CHANGED}[kind][name](value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def outcome(function, arguments):
    """What a call gives, or the error that refuses it.

    Any other error goes on; so does one that says nothing. Arrays that were
    given have to stay as they are.
    """
    before = copy_of(arguments)
    try:
        return function(**arguments)
    except REFUSED as error:
        text = str(error).strip()
        assert text and len(text) < 3000, repr(error)
        return error
    finally:
        for name, value in before.items():
            assert same(value, arguments[name]), f"{name} was changed"


def copy_of(arguments):
    return {
        name: copy.deepcopy(value)
        for name, value in arguments.items()
        if isinstance(value, (np.ndarray, list, dict))
    }


def same(one, other):
    """Whether two answers are equal, NaN being equal to itself."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            same(one[key], other[key]) for key in one
        )
    if isinstance(one, (list, tuple)) and len(one) == len(other):
        return all(map(same, one, other))
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape:
        return False
    if one.dtype.kind in "fc" and other.dtype.kind in "fc":
        return bool(np.allclose(one, other, equal_nan=True, rtol=1e-5))
    return bool((one == other).all())
