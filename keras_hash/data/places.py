"""Where datasets are looked for."""

import os
import pathlib


def folders(name):
    """The places of a dataset's folder, in the order they are looked at.

    Args:
        name: str, such as `"tfds"` or `"corel5k"`.

    Returns:
        A list of `pathlib.Path`: inside `KERAS_HASH_DATA`, if that is set, and
        inside `../shared/data`. They need not exist.
    """
    roots = [pathlib.Path("..") / "shared" / "data"]
    if os.environ.get("KERAS_HASH_DATA"):
        roots.insert(0, pathlib.Path(os.environ["KERAS_HASH_DATA"]))
    return [root / name for root in roots]
