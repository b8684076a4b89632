"""Reads the images of a shard: many at a time, and ahead of their encoding."""

import concurrent.futures
import itertools
import time

from keras_hash.extras.corpus import filesystems
from keras_hash.extras.corpus import tfrecord

# No image within the pixel limit of the served graph takes as many bytes.
MOST_BYTES = 1 << 28
_THREADS, _TRIES = 16, 3


def batches(rows, size, image_feature=None, id_feature=None, id_type="string"):
    """The contents of images, one batch read while another one is in use.

    Args:
        rows: a `pyarrow.Table` as in `Listing`.
        size: int, images a batch.
        image_feature: as in `Listing`.
        id_feature: as in `Listing`.
        id_type: as in `Listing`.

    Yields:
        Pairs: a list of pairs of id and bytes, and a list of pairs of id and
        reason for what cannot be read.
    """
    records = image_feature is not None

    def read(places):
        if not records:
            return _file(places[0])
        return _records(places, image_feature, id_feature, id_type)

    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:

        def start(low):
            places = rows.slice(low, size).to_pylist()
            return [pool.submit(read, run) for run in _runs(places, records)]

        starts = range(0, len(rows), size)
        ahead = start(0) if starts else []
        for low in starts:
            tasks, ahead = ahead, start(low + size)
            images, refused = [], []
            for task in tasks:
                for found, into in zip(task.result(), (images, refused)):
                    into.extend(found)
            yield images, refused


def _runs(places, records):
    """What is read at once: a file, or the records that follow in one."""
    if not records:
        return [[place] for place in places]
    by_file = itertools.groupby(places, lambda place: place["file"])
    return [list(run) for _, run in by_file]


def _file(place):
    """The image in a file, or why there is none."""
    size = place["length"]
    try:
        if size is None or size <= MOST_BYTES:
            content = _patiently(place["file"], 0, MOST_BYTES + 1)
            size = len(content)
    except OSError as error:
        return [], [(place["id"], _reason(error))]
    if size > MOST_BYTES:
        return [], [(place["id"], f"above {MOST_BYTES} bytes: {size}")]
    return [(place["id"], content)], []


def _records(places, image_feature, id_feature, id_type):
    """The images in records that follow each other, and why others are not."""
    start, last = places[0]["offset"], places[-1]
    length = last["offset"] + last["length"] - start
    numbered = "record {}" if id_feature else "{}"
    images, refused = [], []
    try:
        content = _patiently(places[0]["file"], start, length)
    except OSError as error:
        return [], [
            (numbered.format(place["id"]), _reason(error)) for place in places
        ]
    for place in places:
        low = place["offset"] - start
        record = content[low : low + place["length"]]
        # What there is to name it by, until its own id is read.
        name = numbered.format(place["id"])
        try:
            identity = place["id"]
            if id_feature:
                identity = tfrecord.identity(record, id_feature)
                if isinstance(identity, int) != (id_type == "int64"):
                    raise ValueError(f"id of another type: {identity!r}")
            name = identity
            images.append((identity, tfrecord.image(record, image_feature)))
        except ValueError as error:
            refused.append((name, str(error)))
    return images, refused


def _patiently(path, offset, length):
    """Reads; what may pass, such as a network's fault, is tried again."""
    for wait in range(1, _TRIES + 1):
        try:
            return filesystems.read(path, offset, length)
        except (FileNotFoundError, IsADirectoryError, PermissionError):
            raise
        except OSError:
            if wait == _TRIES:
                raise
            time.sleep(wait)


def _reason(error):
    return f"cannot be read: {error.strerror or error}"
