"""The packages of the extra `beam`."""


def pyarrow():
    """The module `pyarrow`.

    Returns:
        The module.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(
            "A corpus is kept in Parquet files, which needs pyarrow: "
            'pip install "keras-hash[beam]"'
        ) from error
    return pyarrow


def beam_filesystems():
    """Beam's `FileSystems`.

    Returns:
        The class.

    Raises:
        ImportError: Beam is not installed.
    """
    try:
        from apache_beam.io.filesystems import FileSystems
    except ImportError as error:
        raise ImportError(
            "Paths such as gs://... need Apache Beam: "
            'pip install "keras-hash[beam]"'
        ) from error
    return FileSystems
