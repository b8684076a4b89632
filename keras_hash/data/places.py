"""Where datasets are looked for."""

import os
import pathlib


def folders(name):
    """The places of a dataset's folder, in the order they are looked at."""
    roots = [pathlib.Path("..") / "shared" / "data"]
    if os.environ.get("KERAS_HASH_DATA"):
        roots.insert(0, pathlib.Path(os.environ["KERAS_HASH_DATA"]))
    return [root / name for root in roots]


def prepared(name):
    """The folder of TensorFlow Datasets in which a dataset is prepared.

    Args:
        name: str, dataset and configuration, such as `"voc/2007"`.

    Returns:
        str, the first of `TFDS_DATA_DIR`, the folder `tfds` of
        `KERAS_HASH_DATA` and of `../shared/data`, and the default folder, that
        holds it; or `None`.
    """
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
