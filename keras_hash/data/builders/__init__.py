"""Builders for data sets that TensorFlow Datasets lacks.

Each is imported, and registered, when it is asked for: TensorFlow Datasets
takes seconds to import. They read folders that were downloaded by hand and
never write into them.
"""

import importlib

from keras_hash import files

NAMES = ("mirflickr25k", "nus_wide")


def get(name):
    """The builder of a dataset; `tfds.load(name)` knows it from then on."""
    if name not in NAMES:
        raise ValueError(
            f"`name` should be one of {list(NAMES)}. Received: name={name!r}"
        )
    module = f"{__name__}.{name}.{name}_dataset_builder"
    return importlib.import_module(module).Builder


def prepare(name, source, data_dir=None, config=None):
    """Prepares a dataset from a folder, once.

    Args:
        name: `"mirflickr25k"` or `"nus_wide"`.
        source: path of the folder that was downloaded; the README.md beside
            the builder says what it should hold.
        data_dir: path of the folder of TensorFlow Datasets; its default folder
            if `None`.
        config: str, configuration of the builder, where it has several.

    Returns:
        The prepared `tfds.core.DatasetBuilder`.

    Raises:
        ValueError: another name, a URL, or a file that cannot be read.
        FileNotFoundError: `source`, or a file that it should hold, is missing.
    """
    builder_class = get(name)
    source = files.local(source).expanduser().resolve()
    if not source.is_dir() or not any(source.iterdir()):
        raise FileNotFoundError(
            f"There is no folder {source}, or nothing in it. "
            + builder_class.MANUAL_DOWNLOAD_INSTRUCTIONS
        )
    import tensorflow_datasets as tfds

    builder = builder_class(data_dir=data_dir, config=config)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            manual_dir=str(source), register_checksums=False
        )
    )
    return builder
