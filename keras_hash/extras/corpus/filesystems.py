"""Files on this machine, or on any file system that Beam knows (`gs://`...).

Beam is imported for the latter alone.
"""

import os
import pathlib
import uuid

from keras_hash import files


def is_local(path):
    """Whether a path is of this machine.

    Args:
        path: str.

    Returns:
        bool.
    """
    return "://" not in path


def join(folder, *names):
    """A path in a folder.

    Args:
        folder: str.
        names: str, each with `/` between folders.

    Returns:
        str.
    """
    return "/".join([folder.rstrip("/") if folder != "/" else "", *names])


def exists(path):
    """Whether there is a file (or, on this machine, a folder).

    Args:
        path: str.

    Returns:
        bool.
    """
    return os.path.exists(path) if is_local(path) else _beam().exists(path)


def listing(folder):
    """All files below a folder.

    Args:
        folder: str.

    Returns:
        list of pairs, path and size in bytes, sorted; empty where there is no
        such folder.
    """
    found = []
    if is_local(folder):
        for root, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(root, name)
                if os.path.isfile(path):
                    found.append((path, os.path.getsize(path)))
        return sorted(found)
    for match in _beam().match([join(folder, "**")]):
        found += [
            (file.path, file.size_in_bytes) for file in match.metadata_list
        ]
    return sorted(found)


def opened(path):
    """A file to read and to seek in.

    Args:
        path: str.

    Returns:
        A binary file, not decompressed whatever its name.
    """
    if is_local(path):
        return open(path, "rb")
    return _beam().open(path, compression_type=_plain())


def read(path, offset=0, length=-1):
    """Bytes of a file.

    Args:
        path: str.
        offset: int, where to start.
        length: int, how many; to the end by default.

    Returns:
        bytes, fewer where the file ends.
    """
    with opened(path) as file:
        if offset:
            file.seek(offset)
        return file.read(length) if length >= 0 else file.read()


def write(path, content):
    """Writes a file so that its name stands for a whole one.

    Args:
        path: str; folders are made where they are missing.
        content: bytes.
    """
    if is_local(path):
        files.write(path, content)
        return
    folder, name = path.rsplit("/", 1)
    beside = join(folder, f".{name}.{uuid.uuid4().hex}.new")
    with _beam().create(beside, compression_type=_plain()) as file:
        file.write(content)
    _beam().rename([beside], [path])


def remove(paths):
    """Removes files; those that are not there are passed over.

    Args:
        paths: list of str.
    """
    for path in paths:
        if is_local(path):
            pathlib.Path(path).unlink(missing_ok=True)
        elif exists(path):
            _beam().delete([path])


def _beam():
    try:
        from apache_beam.io.filesystems import FileSystems
    except ImportError as error:
        raise ImportError(
            "Paths such as gs://... need Apache Beam: "
            'pip install "keras-hash[beam]"'
        ) from error
    return FileSystems


def _plain():
    """Bytes as they are, whatever the name of the file."""
    _beam()
    from apache_beam.io.filesystem import CompressionTypes

    return CompressionTypes.UNCOMPRESSED
