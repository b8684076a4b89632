"""Reads images, many at a time."""

import time
from concurrent import futures

from keras_hash.extras.corpus import filesystems

# No image within the pixel limit of the served graph takes as many bytes.
MOST_BYTES = 1 << 28
_THREADS, _TRIES = 16, 3


def batches(rows, size):
    """Pairs of images with their ids and of refusals, read a batch ahead."""
    with futures.ThreadPoolExecutor(_THREADS) as pool:

        def start(low):
            return pool.map(_read, rows.slice(low, size).to_pylist())

        ahead = start(0)
        for low in range(0, len(rows), size):
            pairs, ahead = list(ahead), start(low + size)
            yield (
                [pair for pair in pairs if isinstance(pair[1], bytes)],
                [pair for pair in pairs if not isinstance(pair[1], bytes)],
            )


def _read(place):
    """The id of a file, and its bytes or a text why there are none."""
    name, size = place["id"], place["length"]
    try:
        if size is None or size <= MOST_BYTES:
            content = _patiently(place["file"])
            size = len(content)
    except (OSError, ValueError) as error:
        # What no path can be is a ValueError.
        why = getattr(error, "strerror", None) or error
        return name, f"cannot be read: {why}"
    if size > MOST_BYTES:
        return name, f"above {MOST_BYTES} bytes: {size}"
    return name, content


def _patiently(path):
    """Reads; what may pass, such as a network's fault, is tried again."""
    for wait in range(1, _TRIES + 1):
        try:
            return filesystems.read(path, MOST_BYTES + 1)
        except (FileNotFoundError, IsADirectoryError, PermissionError):
            raise
        except OSError:
            if wait == _TRIES:
                raise
            time.sleep(wait)
