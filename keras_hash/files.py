"""Files that are whole or absent: written beside, then renamed."""

import hashlib
import os
import pathlib


def write(path, content):
    """Writes a file so that a kill leaves the old one or the new one.

    Args:
        path: str or path; its folder is made where it is missing.
        content: str or bytes.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    data = content.encode() if isinstance(content, str) else content
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def sha256(path):
    """The sha256 of a file.

    Args:
        path: str or path.

    Returns:
        str, 64 hex digits.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
