"""CIFAR-10 through TensorFlow Datasets."""

import numpy as np

from keras_hash.data import places
from keras_hash.data import protocols
from keras_hash.data.benchmark import Benchmark


def load(protocol="official"):
    """Loads CIFAR-10.

    The prepared dataset is looked for in `TFDS_DATA_DIR`, in the folder `tfds`
    of `KERAS_HASH_DATA` or of `../shared/data`, and in the default folder of
    TensorFlow Datasets, which downloads it where it can. Folders that were
    given are only read.
    """
    plan = protocols.find("cifar10", protocol)
    splits, labels = _read()
    columns = {
        key: np.concatenate([splits[s][key] for s in ("train", "test")])
        for key in ("image", "label", "id")
    }
    targets = columns["label"].astype("int64")
    split_names = np.repeat(
        ["train", "test"], [len(splits[s]["label"]) for s in ("train", "test")]
    )
    return Benchmark(
        name="cifar10",
        protocol=protocol,
        images=columns["image"],
        targets=targets,
        ids=columns["id"].astype(str),
        parts=plan.draw(targets, split_names),
        labels=labels,
        licence="no licence stated by the publisher (Krizhevsky 2009)",
    )


def is_prepared():
    """Whether CIFAR-10 can be loaded without a download."""
    return places.prepared("cifar10") is not None


def _read():
    """Both splits as columns sorted by id, and the class names."""
    import tensorflow_datasets as tfds

    folder = places.prepared("cifar10")
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
