"""How commands print, and what they look at before they write."""

import contextlib
import os
import pathlib
import sys
import tempfile

from keras_hash import files


def aside(json):
    """Keeps stdout for the result."""
    to = sys.stderr if json else sys.stdout
    return contextlib.redirect_stdout(to)


def print_json(content):
    """Prints what JSON can hold, cards included."""
    print(files.to_json(content))


def _is_image(path):
    from keras_hash.data import images

    return path.is_file() and not images.check(path)


def check_writable(path, name="--out", read=()):
    """Tries to write before minutes are spent on what is written, and refuses
    to replace a file that is `read`, or one in a folder that is."""
    if path is None:
        return
    path = files.local(path).absolute()
    target = os.path.realpath(path)
    here = [source for source in read if not files.is_url(source)]
    for source in map(os.path.realpath, map(files.local, here)):
        inside = os.path.commonpath([source, target]) == source
        if source == target or (inside and _is_image(path)):
            raise ValueError(
                f"`{name}` would replace {path}, which is read. Give another "
                f"name. Received: {name} {path}"
            )
    with _refused(f"`{name}` should be a file", path):
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        _try_to_write(pathlib.Path(target).parent)


def protect(benchmark, path, option):
    """Refuses to write over a photo of a benchmark."""
    from keras_hash.data import images

    pool = benchmark.images
    if path is None or not isinstance(pool, images.ImageFiles):
        return
    path = files.local(path)
    if path.exists() and any(os.path.samefile(path, p) for p in pool.paths):
        raise ValueError(
            f"`{option}` would replace {path}, a photo of {benchmark.name}. "
            f"Give another name. Received: {option} {path}"
        )


def check_folder(path, name):
    """Tries to write into a folder, or into what it will be made in."""
    folder = files.local(path).absolute()
    with _refused(f"`{name}` should be a folder", folder):
        _try_to_write(folder)


def _try_to_write(folder):
    there = (place for place in (folder, *folder.parents) if place.exists())
    with tempfile.TemporaryFile(dir=next(there)):
        pass


@contextlib.contextmanager
def _refused(expected, path):
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"{expected} that can be written. Received: {path} "
            f"({error.strerror or error})"
        ) from error


def counted(count, noun):
    """Such as `"1 file"`, `"2,000 files"`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def say(text):
    """Prints on stderr, in one line, what went wrong."""
    print(f"keras-hash: {' '.join(str(text).split())}", file=sys.stderr)


def show(content):
    """Prints a report or a table."""
    from rich.console import Console

    # Brackets in names are themselves, and no markup.
    Console(markup=False).print(content)
