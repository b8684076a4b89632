"""CIFAR-10 through TensorFlow Datasets."""

import os
import pathlib

import numpy as np

from keras_hash.data import places
from keras_hash.data import protocols
from keras_hash.data.benchmark import Benchmark

# Each but the official one draws from all 60,000 images with seed 0. The
# papers' own draws were random and mostly never published: the counts are
# theirs, the lists ours.
PROTOCOLS = {
    # The test images are the queries, the training images all else.
    "official": None,
    # Luo et al. 2021 (DSHC); also "setting 2" of the field.
    "dshc": {"query": 1000, "train": 5000, "train_in_database": True},
    # "Setting 1" (CNNH, DPSH, DTSH, DSDH): 59,000 in the database.
    "cifar10-1": {"query": 100, "train": 500, "train_in_database": True},
    # DeepHash-pytorch and HashNet: 54,000, without the training images.
    "cifar10": {"query": 100, "train": 500, "train_in_database": False},
}


def load(protocol="official"):
    """Loads CIFAR-10.

    The prepared dataset is looked for in `TFDS_DATA_DIR`, in the folder `tfds`
    of `KERAS_HASH_DATA` or of `../shared/data`, and in the default folder of
    TensorFlow Datasets, which downloads it where it can. Folders that were
    given are only read.

    Args:
        protocol: `"official"`: the 10,000 test images are the queries, the
            50,000 training images are training set and database; `"dshc"`:
            the same counts, drawn from all; `"cifar10-1"`: 1,000 queries,
            5,000 training images, which are among the 59,000 of the database;
            `"cifar10"`: the same without them, 54,000.

    Returns:
        A `Benchmark`, each split in the order of its ids.

    Raises:
        ValueError: another protocol.
        FileNotFoundError: not prepared anywhere and not downloadable.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(
            f"CIFAR-10 has the protocols {sorted(PROTOCOLS)}. "
            f"Received: protocol={protocol!r}"
        )
    splits, labels = _read()
    first = len(splits["train"]["label"])
    count = first + len(splits["test"]["label"])
    columns = {
        key: np.concatenate([splits[s][key] for s in ("train", "test")])
        for key in ("image", "label", "id")
    }
    targets = columns["label"].astype("int64")
    if PROTOCOLS[protocol] is None:
        train = np.arange(first)
        parts = protocols.parts(train, np.arange(first, count), train)
    else:
        parts = protocols.draw_per_class(targets, **PROTOCOLS[protocol], seed=0)
    return Benchmark(
        name="cifar10",
        protocol=protocol,
        images=columns["image"],
        targets=targets,
        ids=columns["id"].astype(str),
        parts=parts,
        labels=labels,
        licence="no licence stated by the publisher (Krizhevsky 2009)",
    )


def is_prepared():
    """Whether CIFAR-10 can be loaded without a download.

    Returns:
        bool.
    """
    return _prepared_folder() is not None


def _prepared_folder():
    candidates = [
        os.environ.get("TFDS_DATA_DIR"),
        *places.folders("tfds"),
        pathlib.Path.home() / "tensorflow_datasets",
    ]
    for place in candidates:
        if place and (pathlib.Path(place) / "cifar10").is_dir():
            return str(place)
    return None


def _read():
    """Both splits as columns sorted by id, and the class names."""
    import tensorflow_datasets as tfds

    folder = _prepared_folder()
    try:
        builder = tfds.builder("cifar10", data_dir=folder)
        if folder is None:
            builder.download_and_prepare()
        # One shard at a time, so that the order does not depend on settings.
        config = tfds.ReadConfig(interleave_cycle_length=1)
        splits = {
            split: tfds.as_numpy(
                builder.as_dataset(
                    split=split, batch_size=-1, read_config=config
                )
            )
            for split in ("train", "test")
        }
    except Exception as error:
        raise FileNotFoundError(
            "CIFAR-10 is not prepared here and could not be downloaded. "
            'Prepare it on a machine with a network by `python -c "import '
            "tensorflow_datasets as t; t.load('cifar10')\"`, copy the folder "
            "`tensorflow_datasets` and set TFDS_DATA_DIR to it. "
            f"The reader said: {type(error).__name__}: {error}"
        ) from error
    for split, columns in splits.items():
        order = np.argsort(columns["id"], kind="stable")
        splits[split] = {key: value[order] for key, value in columns.items()}
    return splits, list(builder.info.features["label"].names)
