"""CIFAR-10 through TensorFlow Datasets.

The prepared dataset is looked for in `TFDS_DATA_DIR`, in the folder `tfds` of
`KERAS_HASH_DATA` or of `../shared/data`, and in the default folder of
TensorFlow Datasets, which downloads it where it can. Folders that were given
are only read.
"""

import numpy as np

from keras_hash.data import places
from keras_hash.data import protocols
from keras_hash.data.benchmark import Benchmark

_DRAWN = "Drawn from all 60,000 images, training before test. " + protocols.OURS
PROTOCOLS = (
    protocols.published(
        dataset="cifar10",
        counts=dict(query=10_000, train=50_000, database=50_000),
        labels="10 classes",
        papers=("DLBHC", "SSDH", "GreedyHash (cifar2)"),
    ),
    protocols.of_each(
        "class",
        query=1000,
        dataset="cifar10",
        name="dshc",
        counts=dict(query=10_000, train=50_000, database=50_000),
        labels="10 classes",
        papers=("DSHC", "TALR (setting 2)", "DeepHash-pytorch (cifar10-2)"),
        notes=_DRAWN,
    ),
    protocols.of_each(
        "class",
        query=100,
        train=500,
        dataset="cifar10",
        name="cifar10-1",
        counts=dict(query=1000, train=5000, database=59_000),
        labels="10 classes",
        papers=("CNNH", "DPSH", "DTSH", "DSDH", "GreedyHash", "TALR"),
        notes=_DRAWN,
    ),
    protocols.of_each(
        "class",
        query=100,
        train=500,
        train_in_database=False,
        dataset="cifar10",
        name="cifar10",
        counts=dict(query=1000, train=5000, database=54_000),
        labels="10 classes",
        papers=("DeepHash-pytorch", "HashNet lists"),
        notes=_DRAWN,
    ),
    protocols.disjoint(
        dataset="cifar10",
        counts=dict(query=5000, train=25_000, database=25_000),
        labels="10 classes, 5 of them trained",
        whole=protocols.held_out("test"),
    ),
)


def load(plan):
    """The images of both splits, each in the order of its ids, in memory."""
    splits, labels = _read()
    columns = {
        key: np.concatenate([split[key] for split in splits])
        for key in ("image", "label", "id")
    }
    targets = columns["label"].astype("int64")
    names = np.repeat(["train", "test"], [len(s["id"]) for s in splits])
    return Benchmark(
        name=plan.dataset,
        protocol=plan.name,
        images=columns["image"],
        targets=targets,
        ids=columns["id"].astype(str),
        parts=plan.draw(targets, names),
        labels=labels,
        licence="no licence stated by the publisher (Krizhevsky 2009)",
    )


def is_prepared():
    """Whether CIFAR-10 can be loaded without a download."""
    return places.prepared("cifar10") is not None


def _read():
    """Training and test columns, each sorted by id, and the class names."""
    import tensorflow_datasets as tfds

    folder = places.prepared("cifar10")
    try:
        splits, info = tfds.load(
            "cifar10",
            split=["train", "test"],
            data_dir=folder,
            batch_size=-1,
            download=folder is None,
            # A shard at a time, so that the order does not depend on settings.
            read_config=tfds.ReadConfig(interleave_cycle_length=1),
            with_info=True,
        )
    except Exception as error:
        raise FileNotFoundError(
            "CIFAR-10 is not prepared here and could not be downloaded. "
            'Prepare it on a machine with a network by `python -c "import '
            "tensorflow_datasets as t; t.load('cifar10')\"`, copy the folder "
            "`tensorflow_datasets` and set TFDS_DATA_DIR to it. "
            f"The reader said: {type(error).__name__}: {error}"
        ) from error
    ordered = []
    for columns in tfds.as_numpy(splits):
        order = np.argsort(columns["id"], kind="stable")
        ordered.append({key: value[order] for key, value in columns.items()})
    return ordered, list(info.features["label"].names)
