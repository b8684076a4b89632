"""Where to look for datasets."""

import os
import pathlib

from keras_hash import files


def folders(name):
    """The places of a dataset's folder, in the order they are looked at."""
    roots = [pathlib.Path("..") / "shared" / "data"]
    if os.environ.get("KERAS_HASH_DATA"):
        roots.insert(0, files.local(os.environ["KERAS_HASH_DATA"]))
    return [root / name for root in roots]


def found(name):
    """The first of these places that is there, or `None`."""
    return next((p for p in folders(name) if p.exists()), None)


def required(name, remedy):
    """The folder of a data set; where there is none, the error says the remedy
    and the places."""
    folder = found(name)
    if folder is None:
        looked = " and ".join(str(place) for place in folders(name))
        raise FileNotFoundError(f"{remedy} Looked for: {looked}")
    return folder


def prepared(name):
    """The folder of TensorFlow Datasets in which a dataset is prepared."""
    candidates = [
        os.environ.get("TFDS_DATA_DIR"),
        *folders("tfds"),
        pathlib.Path.home() / "tensorflow_datasets",
    ]
    for place in candidates:
        # A download that failed leaves an empty folder.
        folder = pathlib.Path(place or ".") / name
        if place and any(folder.rglob("dataset_info.json")):
            return str(place)
    return None
