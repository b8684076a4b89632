"""Labels of your own: their names, and the numbers that they become."""

import numpy as np

from keras_hash import similarity

# More classes than that are no class numbers.
_MANY = 1 << 22


def distinct(names, option):
    """Names as a list, none of them twice."""
    found = [names] if isinstance(names, str) else map(_name, names)
    found = list(found)
    twice = [name for name in dict.fromkeys(found) if found.count(name) > 1]
    if twice:
        raise ValueError(
            f"`{option}` should be different names. Received: {twice[0]!r} "
            f"{found.count(twice[0])} times"
        )
    return found


def check_known(names, labels, where, option="labels"):
    """Refuses a name that is none of the labels, which an option gave."""
    unknown = [name for name in names if name not in labels]
    if unknown:
        raise ValueError(
            f"{where}: labels should be among {list(labels)} (`{option}`). "
            f"Received: {unknown[0]!r}"
        )


def in_order(names):
    """Names in order, numbers by their value."""
    numbers = all(name.isdecimal() for name in names)
    return sorted(names, key=(lambda n: (int(n), n)) if numbers else None)


def numbered(found, labels, single):
    """Class numbers of lists of one name, or multi-hot rows."""
    number = {name: i for i, name in enumerate(labels)}
    if single:
        return np.array([number[name] for (name,) in found])
    targets = np.zeros((len(found), len(labels)), "uint8")
    for row, names in zip(targets, found):
        row[[number[name] for name in names]] = 1
    return targets


def as_labels(labels):
    """Labels as an array, in which each name is itself: NumPy makes the text
    `nan` of a label that is missing among others."""
    if np.ma.is_masked(labels) or similarity.columns(labels):
        return similarity.check_labels(labels)
    if isinstance(labels, (list, tuple)):
        if any(isinstance(label, (str, bytes)) for label in labels):
            found = np.empty(len(labels), object)
            found[:] = labels
            return found
        try:
            return np.asarray(labels)
        except (ValueError, TypeError):
            return similarity.check_labels(labels)
    return np.asarray(labels)


def _name(label):
    """The name of a class, of text, bytes or a number."""
    if isinstance(label, (list, tuple, set, frozenset, dict, np.ndarray)):
        raise ValueError(
            "Labels should be one name or number an image; several labels an "
            "image are multi-hot rows, 0 and 1 for each label. "
            f"Received: {type(label).__name__} {label!r}"
        )
    # Comparing pandas.NA gives neither true nor false.
    missing = label is None or type(label).__name__ == "NAType"
    if missing or label != label:
        raise ValueError(
            "Each image should have a label; leave out those without. "
            f"Received: {label!r}"
        )
    if not isinstance(label, bytes):
        return str(label)
    try:
        return label.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"Names of classes should be UTF-8. Received: {label!r}"
        ) from error


def targets_of(labels, names):
    """Class numbers or multi-hot rows, and the names of the labels."""
    if labels.dtype == object:
        numbers = [isinstance(x, (int, np.integer)) for x in labels.flat]
        labels = np.asarray(labels.tolist()) if all(numbers) else labels
    column = labels.ndim and labels.size == len(labels)
    if column and labels.dtype.kind in "USOT":
        found = [_name(label) for label in labels.ravel()]
        if names is None:
            names = in_order(set(found))
        names = distinct(names, "names")
        for i, label in enumerate(found):
            check_known([label], names, f"Image {i}", "names")
        return numbered([[label] for label in found], names, True), names
    labels = similarity.check_labels(labels)
    count = (
        labels.shape[1] if labels.ndim == 2 else int(labels.max(initial=-1)) + 1
    )
    if count > _MANY:
        raise ValueError(
            "Labels should be class numbers from 0 on; "
            "`np.unique(labels, return_inverse=True)[1]` makes them. "
            f"Received: labels up to {count - 1}"
        )
    names = range(count) if names is None else distinct(names, "names")
    names = [str(name) for name in names]
    if len(names) < count or (labels.ndim == 2 and len(names) != count):
        raise ValueError(
            f"`names` should have one name a label, {count}. "
            f"Received: {len(names)} names"
        )
    return labels.astype("uint8" if labels.ndim == 2 else "int64"), names
