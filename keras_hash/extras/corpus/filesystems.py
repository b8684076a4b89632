"""Files on this machine, or on any file system that fsspec knows (`gs://`...)."""

import contextlib
import os
import re
import uuid

import fsspec

from keras_hash import files


def is_local(path):
    """Whether a path is of this machine."""
    return not files.is_url(path)


def system(path):
    """The file system of a path, and the path as that file system takes it."""
    if is_local(path):
        # As it stands: fsspec would find a protocol in some names of files.
        path = os.path.abspath(files.local(path))
        return fsspec.filesystem("file"), path
    return fsspec.url_to_fs(path)


def check(url, where):
    """Refuses an address of a file system that is not known or not here."""
    # `simplecache::s3://...` lies on s3.
    protocol = url.partition("://")[0].rpartition("::")[2]
    try:
        fsspec.get_filesystem_class(protocol)
    except (ValueError, ImportError) as error:
        raise type(error)(f"{error}. Received: {url!r}, in {where}") from error


def join(folder, *names):
    """A path in a folder, on every file system."""
    return "/".join([folder.rstrip("/") if folder != "/" else "", *names])


def exists(path):
    """Whether there is a file or a folder."""
    there, path = system(path)
    return there.exists(path)


def listing(folder):
    """All files below a folder, sorted; none where there is no such folder."""
    there, path = system(folder)
    # What other machines wrote since is not in its cache.
    there.invalidate_cache()
    return [
        join(folder, name.removeprefix(path).lstrip("/"))
        for name in there.find(path)
    ]


def opened(path, mode="rb"):
    """A binary file to read and to seek in, not decompressed."""
    there, path = system(path)
    return there.open(path, mode)


def read(path, most=-1):
    """Bytes of a file: all, or at most some."""
    with opened(path) as file:
        return file.read(most)


def write(path, content):
    """Writes a file so that its name stands for a whole one."""
    if is_local(path):
        files.write(path, content)
        return
    there, path = system(path)
    folder, _, name = path.rpartition("/")
    there.makedirs(folder, exist_ok=True)
    beside = f"{folder}/.{name}.{uuid.uuid4().hex}.new"
    there.pipe_file(beside, content)
    there.mv(beside, path)


def sweep(folder):
    """Removes what `write` left below a folder when it was killed."""
    if is_local(folder):
        for place, _, _ in os.walk(files.local(folder)):
            files.sweep(place)
        return
    left = re.compile(r"/\.[^/]+\.[0-9a-f]{32}\.new$")
    remove(path for path in listing(folder) if left.search(path))


def remove(paths):
    """Removes files; those that are not there are passed over."""
    for path in paths:
        there, name = system(path)
        with contextlib.suppress(FileNotFoundError):
            there.rm_file(name)
