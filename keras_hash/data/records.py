"""Datasets as TensorFlow Datasets prepares them: images read when asked for."""

import numpy as np

from keras_hash.data import images
from keras_hash.data.images import ImageFiles

# A record starts with its length (8 bytes) and a checksum of it (4 bytes), and
# ends with a checksum (4 bytes).
HEAD, FRAME = 12, 16


class RecordImages(ImageFiles):
    """A pool of images inside TFRecord files: file, offset and length each."""

    def __init__(self, files, places):
        super().__init__(files)
        self.places = places

    def __len__(self):
        return len(self.places)

    def take(self, rows):
        """A pool of some of the images."""
        return RecordImages(self.paths, self.places[rows])

    def content(self, index):
        from tensorflow.core.example import example_pb2

        file, offset, length = self.places[index]
        with open(self.paths[file], "rb") as stream:
            stream.seek(offset + HEAD)
            example = example_pb2.Example.FromString(stream.read(length))
        return example.features.feature["image"].bytes_list.value[0]

    def _read(self, index):
        return images.decode(self.content(index))


def scan(files, parse):
    """Values of all records, read once without images, and their places."""
    import tensorflow as tf

    rows, places = [], []
    for number, file in enumerate(files):
        stream = tf.data.TFRecordDataset(str(file)).map(
            lambda record: (tf.strings.length(record), *parse(record)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        offset = 0
        for length, *values in stream.prefetch(
            tf.data.AUTOTUNE
        ).as_numpy_iterator():
            rows.append(tuple(values))
            places.append((number, offset, int(length)))
            offset += int(length) + FRAME
    return rows, np.array(places, "int64").reshape(-1, 3)


def read(folder, splits, id_field, label_fields):
    """Pool, labels, ids, split names and names of labels of a prepared set."""
    import tensorflow_datasets as tfds

    versions = tfds.core.utils.version.list_all_versions(str(folder))
    builder = tfds.builder_from_directory(folder / str(max(versions)))
    if builder.info.file_format != tfds.core.FileFormat.TFRECORD:
        raise ValueError(
            f"{folder} should be prepared as TFRecords. "
            f"Received: {builder.info.file_format}"
        )
    features = builder.info.features
    # A field that lies inside another one is the path to it.
    paths = [
        (field,) if isinstance(field, str) else field
        for field in (id_field, *label_fields)
    ]
    wanted = {}
    for first, *rest in paths:
        wanted[first] = {rest[0]: True} if rest else True
    columns = tfds.decode.PartialDecoding(wanted).extract_features(features)

    def parse(record):
        example = columns.deserialize_example(record)
        return tuple(_at(example, path) for path in paths)

    files, rows, places, names = [], [], [], []
    for split in splits:
        split_files = builder.info.splits[split].filepaths
        found, where = scan(split_files, parse)
        where[:, 0] += len(files)
        files += split_files
        rows += found
        places.append(where)
        names += [split] * len(found)
    ids = np.array([row[0].decode() for row in rows])
    targets, labels = _targets(
        [_at(features, path) for path in paths[1:]], [row[1:] for row in rows]
    )
    pool = RecordImages(files, np.concatenate(places))
    return pool, targets, ids, np.array(names), labels


def _at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def _targets(features, rows):
    """Labels of all rows, and their names, field after field.

    One field with one label gives class numbers, all else multi-hot rows.
    """
    labels, starts = [], []
    for feature in features:
        starts.append(len(labels))
        labels += getattr(feature, "feature", feature).names
    if len(features) == 1 and np.ndim(rows[0][0]) == 0:
        return np.array([row[0] for row in rows], "int64"), labels
    targets = np.zeros((len(rows), len(labels)), "uint8")
    for target, row in zip(targets, rows):
        for start, numbers in zip(starts, row):
            target[start + np.atleast_1d(numbers)] = 1
    return targets, labels
