"""Files and folders that are whole or absent: written beside, then renamed."""

import contextlib
import hashlib
import os
import pathlib
import shutil


@contextlib.contextmanager
def beside(path):
    """A path in the folder of another one, whose place it takes at the end.

    Args:
        path: str or path of a file, or of a folder that is empty or not there;
            the folder around it is made where it is missing.

    Yields:
        The path to write to, hidden and with the same suffix, of this process
        alone. After an error it is removed, and what stood at `path` stays.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.stem}.{os.getpid()}.new{path.suffix}")
    # A process that was killed may have had the same number.
    _remove(new)
    try:
        yield new
        if new.is_file():
            with open(new, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(new, path)
    finally:
        _remove(new)


def write(path, content):
    """Writes a str or bytes so that a kill leaves the old file or the new."""
    data = content.encode() if isinstance(content, str) else content
    with beside(path) as new, open(new, "wb") as file:
        file.write(data)


def sha256(path):
    """The sha256 of a file, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
