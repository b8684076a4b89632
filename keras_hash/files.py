"""Files that are whole or absent, and the JSON that they hold."""

import collections.abc
import contextlib
import hashlib
import json
import math
import os
import pathlib
import shutil


@contextlib.contextmanager
def beside(path):
    """A path to write to, renamed to `path` where all went well.

    A kill leaves the old file or folder, or the new one; an error leaves the
    old one. Folders are replaced only where they are not there yet.

    Args:
        path: str or path of a file or folder; its parent is made.

    Yields:
        A path beside it, of nothing yet, that starts with a dot and carries
        the process' number.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending of `path` stays: some writers choose a format by it.
    new = path.with_name(f".{os.getpid()}.new.{path.name}")
    try:
        _remove(new)
        yield new
        if new.is_file():
            with open(new, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(new, path)
    finally:
        _remove(new)


def check_new(path, name):
    """Refuses a path where there is something; `name` is its argument's."""
    if os.path.lexists(path):
        raise ValueError(
            f"`{name}` already exists and is not replaced: remove it, or give "
            f"another name. Received: {path}"
        )


def write(path, content):
    """Writes a file so that a kill leaves the old one or the new one.

    Args:
        path: str or path; its folder is made where it is missing.
        content: str or bytes.
    """
    data = content.encode() if isinstance(content, str) else content
    with beside(path) as new, open(new, "wb") as file:
        file.write(data)


def to_json(content, indent=1):
    """JSON text of dicts, other mappings, lists and what they hold.

    JSON has neither NaN nor infinity: both become null, which `numbers` reads
    as NaN where only numbers are expected.

    Args:
        content: what to write.
        indent: int, spaces a level; `None` for one line.

    Returns:
        str.
    """
    return json.dumps(_finite(content), indent=indent, allow_nan=False)


def _finite(content):
    if isinstance(content, collections.abc.Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    finite = not isinstance(content, float) or math.isfinite(content)
    return content if finite else None


def numbers(content):
    """Dicts and lists of numbers from JSON, with NaN where it has null."""
    if isinstance(content, dict):
        return {key: numbers(value) for key, value in content.items()}
    if isinstance(content, list):
        return [numbers(value) for value in content]
    return math.nan if content is None else content


def sha256(path):
    """The sha256 of a file, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
