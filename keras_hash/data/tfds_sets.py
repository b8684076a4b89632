"""Benchmarks that TensorFlow Datasets has prepared: images stay on disk."""

import dataclasses
import pathlib
import warnings

import numpy as np

from keras_hash.data import places
from keras_hash.data import protocols
from keras_hash.data import records
from keras_hash.data.benchmark import Benchmark

# Height and width of all images whose own sizes differ.
SIZE = 224


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a dataset is and what its fields are called.

    Attributes:
        builder: str, dataset and configuration in TensorFlow Datasets.
        splits: tuple of str, the splits that are read.
        id: tuple of str, path of the field with the publisher's name.
        labels: tuple of paths, fields with labels.
        licence: str.
        get: str, how to prepare it.
    """

    builder: str
    splits: tuple
    id: tuple
    labels: tuple
    licence: str
    get: str


def _builtin(name):
    return (
        'Prepare it by `python -c "import tensorflow_datasets as t; '
        f"t.builder('{name}').download_and_prepare()\"`"
    )


def _own(name, what):
    return (
        f'Get {what} and prepare it by `python -c "from keras_hash.data '
        f"import builders; builders.prepare('{name}', 'FOLDER')\"`"
    )


_FLICKR = "each photo has the licence of its owner on Flickr"
SOURCES = {
    "cifar100": Source(
        "cifar100",
        ("train", "test"),
        ("id",),
        (("label",), ("coarse_label",)),
        "no licence stated by the publisher (Krizhevsky 2009)",
        _builtin("cifar100"),
    ),
    "coco": Source(
        "coco/2014",
        ("train", "validation"),
        ("image/filename",),
        (("objects", "label"),),
        "annotations CC BY 4.0; " + _FLICKR,
        _builtin("coco/2014"),
    ),
    "imagenet100": Source(
        "imagenet2012",
        ("train", "validation"),
        ("file_name",),
        (("label",),),
        "non-commercial research (ImageNet terms of access)",
        "Register at image-net.org, put ILSVRC2012_img_train.tar and "
        "ILSVRC2012_img_val.tar into `~/tensorflow_datasets/downloads/manual`. "
        + _builtin("imagenet2012"),
    ),
    "mirflickr25k": Source(
        "mirflickr25k",
        ("full",),
        ("id",),
        (("labels",),),
        "Creative Commons; " + _FLICKR,
        _own(
            "mirflickr25k",
            "mirflickr25k.zip and mirflickr25k_annotations_v080.zip of "
            "press.liacs.nl/mirflickr, unpack both into one FOLDER",
        ),
    ),
    "nus_wide": Source(
        "nus_wide",
        ("full",),
        ("id",),
        (("labels",),),
        "research use; " + _FLICKR,
        _own(
            "nus_wide",
            "the lists, the ground truth and the images of NUS-WIDE in one "
            "FOLDER",
        ),
    ),
    "voc2007": Source(
        "voc/2007",
        ("train", "validation", "test"),
        ("image/filename",),
        (("labels_no_difficult",),),
        _FLICKR,
        _builtin("voc/2007"),
    ),
    "voc2012": Source(
        "voc/2012",
        ("train", "validation"),
        ("image/filename",),
        (("labels_no_difficult",),),
        _FLICKR,
        _builtin("voc/2012"),
    ),
}


def load(name, protocol="official"):
    """Loads a prepared dataset; ids and labels are read, images stay on disk.

    All records are read once for it, which takes minutes for the largest sets.
    Images are streamed from their places in the files when they are asked for,
    resized, bilinear with antialias, to 224x224 (`SIZE`) unless all images of
    the set have one size already, as those of CIFAR-100, which are kept in
    memory.
    """
    plan = protocols.find(name, protocol)
    source = SOURCES[name]
    folder = places.prepared(source.builder)
    if folder is None:
        raise FileNotFoundError(
            f"{name} is not prepared here. {source.get}, and, where it is "
            "another folder, set TFDS_DATA_DIR to the one that then contains "
            f"`{source.builder}`."
        )
    fields = tuple((f,) for f in plan.fields) or source.labels
    pool, targets, ids, splits, labels = read(
        pathlib.Path(folder) / source.builder, source.splits, source.id, fields
    )
    split = plan.split(targets, ids, splits, labels)
    different = plan.differences(split.parts)
    if different:
        warnings.warn(
            f"{name}:{protocol} is not complete here, so that results cannot "
            f"be compared ({'; '.join(different)}).",
            stacklevel=2,
        )
    return Benchmark(
        name=name,
        protocol=protocol,
        images=pool.take(split.rows)
        if name != "cifar100"
        else pool[split.rows],
        targets=split.targets,
        ids=ids[split.rows],
        parts=split.parts,
        labels=split.labels,
        licence=source.licence,
    )


def is_prepared(name):
    """Whether a dataset can be loaded."""
    return places.prepared(SOURCES[name].builder) is not None


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
    whole = builder.info.features
    paths = (id_field, *label_fields)
    wanted = {}
    for first, *rest in paths:
        wanted[first] = {rest[0]: True} if rest else True
    columns = tfds.decode.PartialDecoding(wanted).extract_features(whole)

    def parse(record):
        example = columns.deserialize_example(record)
        return tuple(_at(example, path) for path in paths)

    files, found, where, names = [], [], [], []
    for split in splits:
        paths_of_split = builder.info.splits[split].filepaths
        rows, spots = records.scan(paths_of_split, parse)
        spots[:, 0] += len(files)
        files += paths_of_split
        found += rows
        where.append(spots)
        names += [split] * len(rows)
    ids = np.array([row[0].decode() for row in found])
    targets, labels = _targets(whole, label_fields, [row[1:] for row in found])
    decode, size = _decoder(whole)
    pool = records.RecordImages(files, np.concatenate(where), decode, size)
    return pool, targets, ids, np.array(names), labels


def _at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def _targets(features, fields, rows):
    """Labels of all rows, and their names, field after field."""
    labels, starts = [], []
    for field in fields:
        feature = _at(features, field)
        starts.append(len(labels))
        labels += getattr(feature, "feature", feature).names
    if len(fields) == 1 and np.ndim(rows[0][0]) == 0:
        return np.array([row[0] for row in rows], "int64"), labels
    targets = np.zeros((len(rows), len(labels)), "uint8")
    for target, row in zip(targets, rows):
        for start, numbers in zip(starts, row):
            target[start + np.atleast_1d(numbers)] = 1
    return targets, labels


def _decoder(features):
    """A function from a serialized example to its image, and the size."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    column = tfds.decode.PartialDecoding({"image": True}).extract_features(
        features
    )
    height, width, _ = features["image"].shape
    known = height is not None and width is not None
    size = (height, width) if known else (SIZE, SIZE)

    def decode(record):
        image = column.deserialize_example(record)["image"]
        if known:
            return image
        image = tf.image.resize(image, size, antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)

    return decode, size
