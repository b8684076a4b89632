"""Where the records of TFRecord files lie, and what is in them."""

import struct

import numpy as np

from keras_hash.data.records import FRAME
from keras_hash.data.records import HEAD
from keras_hash.extras.corpus import filesystems


def scan(path, size):
    """The places of all records, without reading them.

    Args:
        path: str, a file that is not compressed.
        size: int, its bytes.

    Returns:
        int64 `[n, 2]`: offset and length of what each record holds.

    Raises:
        ValueError: no TFRecord file, or one that is cut off.
    """
    places, offset = [], 0
    with filesystems.opened(path) as file:
        while offset < size:
            head = file.read(HEAD)
            length = struct.unpack("<Q", head[:8])[0] if len(head) > 7 else size
            if offset + length + FRAME > size:
                raise ValueError(
                    f"{path} is cut off, compressed or no TFRecord file. "
                    f"Received: at byte {offset} a record of {length} bytes, "
                    f"the file ends at {size}"
                )
            places.append((offset + HEAD, length))
            offset += length + FRAME
            file.seek(offset)
    return np.array(places, "int64").reshape(-1, 2)


def values(record, feature):
    """The values of a feature.

    Args:
        record: bytes, a serialised `tf.train.Example`.
        feature: str.

    Returns:
        list of bytes, ints or floats; empty where there is no such feature.

    Raises:
        ValueError: no `tf.train.Example`.
    """
    features = _features(record)
    if feature not in features:
        return []
    kind = features[feature].WhichOneof("kind")
    return list(getattr(features[feature], kind).value) if kind else []


def names(record):
    """The names of a record's features.

    Args:
        record: bytes, a serialised `tf.train.Example`.

    Returns:
        Sorted list of str.

    Raises:
        ValueError: no `tf.train.Example`.
    """
    return sorted(_features(record))


def image(record, feature):
    """The image of a record.

    Args:
        record: bytes, a serialised `tf.train.Example`.
        feature: str.

    Returns:
        bytes of an image file.

    Raises:
        ValueError: no `tf.train.Example`, or not one value of bytes.
    """
    found = values(record, feature)
    if len(found) != 1 or not isinstance(found[0], bytes):
        raise ValueError(f"no image in feature {feature!r}")
    return found[0]


def identity(record, feature):
    """The id of a record.

    Args:
        record: bytes, a serialised `tf.train.Example`.
        feature: str.

    Returns:
        int or str.

    Raises:
        ValueError: no `tf.train.Example`, or not one int or string in UTF-8.
    """
    found = values(record, feature)
    if len(found) != 1 or isinstance(found[0], float):
        raise ValueError(f"no id in feature {feature!r}")
    try:
        # Errors of UTF-8 are ValueErrors too, but say nothing of the feature.
        return found[0].decode() if isinstance(found[0], bytes) else found[0]
    except UnicodeDecodeError as error:
        raise ValueError(f"feature {feature!r} is not UTF-8") from error


def _features(record):
    from google.protobuf import message
    from tensorflow.core.example import example_pb2

    try:
        return example_pb2.Example.FromString(record).features.feature
    except message.DecodeError as error:
        raise ValueError("no tf.train.Example") from error
