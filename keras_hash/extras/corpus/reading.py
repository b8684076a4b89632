"""Reads images: many at a time, and those in TFRecord files by their places."""

import concurrent.futures
import itertools
import struct
import time

import numpy as np

from keras_hash.extras.corpus import filesystems

# No image within the pixel limit of the served graph takes as many bytes.
MOST_BYTES = 1 << 28
_THREADS, _TRIES = 16, 3
# A record starts with its length (8 bytes) and a checksum of it (4 bytes), and
# ends with a checksum (4 bytes).
_HEAD, _FRAME = 12, 16


def batches(rows, size, image_feature=None, id_feature=None, id_type="string"):
    """Pairs of images with their ids and of refusals, read a batch ahead."""

    def read(places):
        if image_feature is None:
            return [_file(place) for place in places]
        return _records(places, image_feature, id_feature, id_type)

    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:

        def start(low):
            places = rows.slice(low, size).to_pylist()
            runs = [[place] for place in places]
            if image_feature is not None:
                # Records that follow each other in a file are read at once.
                groups = itertools.groupby(places, lambda place: place["file"])
                runs = [list(run) for _, run in groups]
            return [pool.submit(read, run) for run in runs]

        starts = range(0, len(rows), size)
        ahead = start(0) if starts else []
        for low in starts:
            tasks, ahead = ahead, start(low + size)
            pairs = [pair for task in tasks for pair in task.result()]
            yield (
                [pair for pair in pairs if isinstance(pair[1], bytes)],
                [pair for pair in pairs if not isinstance(pair[1], bytes)],
            )


def _file(place):
    """The id of a file, and its bytes or a text why there are none."""
    name, size = place["id"], place["length"]
    try:
        if size is None or size <= MOST_BYTES:
            content = _patiently(place["file"], 0, MOST_BYTES + 1)
            size = len(content)
    except OSError as error:
        return name, _reason(error)
    if size > MOST_BYTES:
        return name, f"above {MOST_BYTES} bytes: {size}"
    return name, content


def _records(places, image_feature, id_feature, id_type):
    """The ids of records that follow each other, and bytes or texts."""
    start, last = places[0]["offset"], places[-1]
    length = last["offset"] + last["length"] - start
    # What there is to name a record by, until its own id is read.
    numbered = "record {}" if id_feature else "{}"
    names = [numbered.format(place["id"]) for place in places]
    try:
        content = _patiently(places[0]["file"], start, length)
    except OSError as error:
        return [(name, _reason(error)) for name in names]
    pairs = []
    for name, place in zip(names, places):
        low = place["offset"] - start
        record = content[low : low + place["length"]]
        try:
            identity = place["id"]
            if id_feature:
                identity = identity_of(record, id_feature)
                if isinstance(identity, int) != (id_type == "int64"):
                    raise ValueError(f"id of another type: {identity!r}")
            name = identity
            pairs.append((identity, image_of(record, image_feature)))
        except ValueError as error:
            pairs.append((name, str(error)))
    return pairs


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


def scan(path):
    """Offsets and lengths of what records hold, int64 `[n, 2]`, unread."""
    places, offset = [], 0
    with filesystems.opened(path) as file:
        size = file.seek(0, 2)
        while offset < size:
            file.seek(offset)
            head = file.read(_HEAD)
            length = struct.unpack("<Q", head[:8])[0] if len(head) > 7 else size
            if offset + length + _FRAME > size:
                raise ValueError(
                    f"{path} is cut off, compressed or not a TFRecord file. "
                    f"Received: at byte {offset} a record of {length} bytes, "
                    f"the file ends at {size}"
                )
            places.append((offset + _HEAD, length))
            offset += length + _FRAME
    return np.array(places, "int64").reshape(-1, 2)


def image_of(record, feature):
    """The bytes of the image in a serialised `tf.train.Example`."""
    return _value(record, feature, "image", bytes)


def identity_of(record, feature):
    """The id in a serialised `tf.train.Example`, an int or a str."""
    found = _value(record, feature, "id", (int, bytes))
    try:
        # Errors of UTF-8 are ValueErrors too, but say nothing of the feature.
        return found.decode() if isinstance(found, bytes) else found
    except UnicodeDecodeError as error:
        raise ValueError(f"feature {feature!r} is not UTF-8") from error


def features(record):
    """The features of a serialised `tf.train.Example` by their names."""
    from google.protobuf import message
    from tensorflow.core.example import example_pb2

    try:
        return example_pb2.Example.FromString(record).features.feature
    except message.DecodeError as error:
        raise ValueError("no tf.train.Example") from error


def _value(record, feature, what, types):
    """The only value of a feature, of one of these types."""
    found = features(record)
    kind = found[feature].WhichOneof("kind") if feature in found else None
    values = getattr(found[feature], kind).value if kind else []
    if len(values) != 1 or not isinstance(values[0], types):
        raise ValueError(f"no {what} in feature {feature!r}")
    return values[0]
