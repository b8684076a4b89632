"""Event files, as they are read back."""

import pathlib

import tensorflow as tf


def events(folder):
    """Tag to list of (step, value), from the event files of a folder."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value))
    return found


def array(value):
    return tf.make_ndarray(value.tensor)


def plugin(value):
    return value.metadata.plugin_data.plugin_name
