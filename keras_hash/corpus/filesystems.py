"""Files on this machine, or on any file system that Beam knows (`gs://`...).

Beam is imported for the latter alone.
"""

import os
import pathlib
import uuid

from keras_hash import files
from keras_hash.corpus import extras


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
    return (
        os.path.exists(path)
        if is_local(path)
        else extras.beam_filesystems().exists(path)
    )


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
    for match in extras.beam_filesystems().match([join(folder, "**")]):
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
    from apache_beam.io.filesystem import CompressionTypes

    plain = CompressionTypes.UNCOMPRESSED
    return extras.beam_filesystems().open(path, compression_type=plain)


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
    from apache_beam.io.filesystem import CompressionTypes

    folder, name = path.rsplit("/", 1)
    beside = join(folder, f".{name}.{uuid.uuid4().hex}.new")
    plain = CompressionTypes.UNCOMPRESSED
    with extras.beam_filesystems().create(
        beside, compression_type=plain
    ) as file:
        file.write(content)
    extras.beam_filesystems().rename([beside], [path])


def remove(paths):
    """Removes files; those that are not there are passed over.

    Args:
        paths: list of str.
    """
    for path in paths:
        if is_local(path):
            pathlib.Path(path).unlink(missing_ok=True)
        elif exists(path):
            extras.beam_filesystems().delete([path])
