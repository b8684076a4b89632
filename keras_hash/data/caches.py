"""Files in which `data.batches` keeps decoded images for later runs."""

import atexit
import contextlib
import hashlib
import json
import os
import re

import numpy as np

from keras_hash import files

# Elements that tell a dataset: so many first ones, and so many behind.
_SAMPLE = 16


def checked(path, dataset, **settings):
    """The path of a cache of this dataset, as TensorFlow takes it.

    What the cache holds is written beside it, and compared in later runs:
    what tells `dataset` from others, before it is fed by these `settings`.
    """
    found = {
        "elements": str(dataset.element_spec),
        "count": int(dataset.cardinality()),
        "settings": json.loads(json.dumps(settings)),
    }
    # Read in another folder, it should be the same.
    path = files.local(path).absolute()
    about = path.with_name(f"{path.name}.json")
    held = path in _HELD
    if not held and not os.path.exists(f"{path}.index"):
        _hold(path)
    # Another run may have ended it before this one held it; of what this one
    # has begun, the other file tells whose it is.
    if not os.path.exists(f"{path}.index") and not (held and about.exists()):
        files.write(about, json.dumps({**found, "sample": _sample(dataset)}))
        return os.fsencode(path)
    known = {}
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(about.read_text())
    # Of a dataset that yields others each time there is no sample.
    if known.get("sample"):
        found = {**found, "sample": _digest(dataset)}
    if known != {"sample": None, **found}:
        raise ValueError(
            "`cache` should be a new path, or the one where this dataset was "
            f"kept: give another, or remove {path}.* where its images are no "
            f"longer needed. Received: cache={str(path)!r}, which holds "
            "another dataset"
        )
    return os.fsencode(path)


# The caches that this process writes, or has written.
_HELD = set()


def _hold(path):
    """Lets no other process write a cache until this one ends.

    TensorFlow's own lock stays when a process is killed, and is removed by
    another process that finds it.
    """
    lock = files.locked(path, timeout=0)
    try:
        lock.__enter__()
    except TimeoutError as error:
        raise ValueError(
            "`cache` should be a path that no other run writes: wait until "
            "that run has read its images once, or give another path. "
            f"Received: cache={str(path)!r}"
        ) from error
    _HELD.add(path)
    atexit.register(_release, lock, os.getpid())
    left = re.compile(
        re.escape(path.name) + r"_\d+\.(lockfile|.*\.tempstate\d+)"
    )
    for place in path.parent.iterdir():
        if left.fullmatch(place.name):
            place.unlink(missing_ok=True)


def _release(lock, process):
    # A forked child ends without it.
    if os.getpid() == process:
        lock.__exit__(None, None, None)


def _sample(dataset):
    """The hash of some elements, `None` if they differ at each reading."""
    first = _digest(dataset)
    return first if first == _digest(dataset) else None


def _digest(dataset):
    """The sha256 of the first elements and, where they can be had, others."""
    import tensorflow as tf

    digest = hashlib.sha256()

    def add(element):
        for tensor in tf.nest.flatten(element, expand_composites=True):
            digest.update(tf.io.serialize_tensor(tensor).numpy())

    for element in dataset.take(_SAMPLE):
        add(element)
    places = np.linspace(_SAMPLE, int(dataset.cardinality()) - 1, _SAMPLE)
    # Only some datasets can be read at any place.
    with contextlib.suppress(tf.errors.OpError):
        for place in np.unique(places[places >= _SAMPLE].astype(int)):
            add(tf.data.experimental.at(dataset, int(place)))
    return digest.hexdigest()
