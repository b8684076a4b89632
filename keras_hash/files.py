"""Names of files, files that are whole or absent, and JSON.

A name means the file that it names: what a shell, a library or a terminal
makes of its characters is settled here.
"""

import collections.abc
import contextlib
import errno
import functools
import hashlib
import importlib.util
import json
import math
import os
import pathlib
import re
import shutil
import socket
import tempfile
import time
import zlib

# Two letters at least: `C:/` is a drive.
_SCHEME = r"[A-Za-z][A-Za-z0-9+.:-]+"
# Longest name in bytes to which what `beside` adds may be added.
_LONG = 200


def is_url(path):
    """Whether a path is one of another machine, `gs://...`."""
    if isinstance(path, pathlib.PurePath):
        # Which has made `gs:/` of it.
        first = path.parts[:1]
        return bool(
            re.match(f"{_SCHEME}:/", str(path)) and not os.path.exists(*first)
        )
    return bool(re.match(f"{_SCHEME}://", os.fsdecode(path)))


def local(path):
    """The path of a file or folder on this machine, from the home folder where
    it starts with `~/`; URLs, and nothing, are refused."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise ValueError(
            f"A path should be a str or a `pathlib.Path`. Received: {path!r}"
        )
    text = os.fsdecode(path)
    if is_url(path):
        raise ValueError(
            "A path should be on this machine, not a URL; copy the files here, "
            f"or mount what it names. Received: {text}"
        )
    if not text or "\0" in text:
        raise ValueError(
            f"A path should name a file or a folder. Received: {text!r}"
        )
    if text == "~" or text.startswith("~/"):
        text = os.path.expanduser(text)
    path = pathlib.Path(text)
    # Of `./~/x` there is `~/x` left, which is not in the home folder.
    return path.absolute() if path.parts[:1] == ("~",) else path


@contextlib.contextmanager
def plain(path):
    """The path under a name that libraries take as it is, for some time.

    TensorFlow reads weights by a pattern, and takes UTF-8 alone. A name of
    other than plain characters is reached by a link.
    """
    path = local(path)
    if re.fullmatch(r"[\w ~:,+=@/.-]*", os.path.abspath(path), re.ASCII):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="keras-hash-") as folder:
        link = pathlib.Path(folder, "link")
        link.symlink_to(path.absolute())
        yield link


def shown(text):
    """Text as UTF-8 can hold it: parts of names may be no characters."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@contextlib.contextmanager
def beside(path):
    """A path to write a file or folder to, renamed to `path` where all went
    well.

    A kill leaves the old file or folder, or the new one; an error leaves the
    old one, and no folder that was made for the new one. Folders are replaced
    only where they are not there yet. The name starts with a dot, and carries
    the process' number for `sweep`.
    """
    path = local(path)
    if path.is_symlink():
        # What it leads to is written, and the link stays.
        path = pathlib.Path(os.path.realpath(path))
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    name = os.fsencode(path.name)
    if len(name) > _LONG:
        name = b"%08x%s" % (zlib.crc32(name), name[-_LONG // 2 :])
    # The ending of `path` stays: some writers choose a format by it.
    mine = f"{os.getpid()}-{_here()}{os.urandom(4).hex()}"
    new = path.with_name(f".{mine}.new.{os.fsdecode(name)}")
    try:
        yield new
        if new.is_file():
            # Windows has to write it; elsewhere it may be read-only.
            with open(new, "rb" if os.name == "posix" else "rb+") as file:
                os.fsync(file.fileno())
            # Who may read it stays; a hard link shares that with its file.
            if path.is_file() and new.stat().st_nlink == 1:
                shutil.copymode(path, new)
        os.replace(new, path)
    except Exception as error:
        raise _of(path, new, error) from error
    finally:
        _remove(new)
        for folder in () if path.exists() else made:
            # Those with something in them stay.
            with contextlib.suppress(OSError):
                folder.rmdir()


def _of(path, new, error):
    """An error of writing, such as of a full disk, that names the path."""
    named = os.fsdecode(getattr(error, "filename", None) or "")
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno is not None:
        if not named or named.startswith(str(new)):
            return OSError(error.errno, os.strerror(error.errno), str(path))
    elif str(new) in text:
        # Of a write inside of this one.
        text = text.removeprefix(f"{new} cannot be written: ")
        return OSError(f"{path} cannot be written: {text[:300]}")
    return error


@contextlib.contextmanager
def locked(path, timeout=60):
    """Lets other processes wait, up to `timeout` seconds, to write a file.

    The lock is one of the system on a file beside it, which names its owner,
    and ends with the process. Systems without such locks have none.
    """
    path = local(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    place = path.with_name(f".{zlib.crc32(os.fsencode(path.name)):08x}.lock")
    if importlib.util.find_spec("fcntl") is None:
        yield
        return
    end = time.monotonic() + timeout
    while (file := _lock(place)) is None:
        if time.monotonic() > end:
            owner = place.read_text() if place.exists() else "another"
            raise TimeoutError(
                f"{path} has been written by {owner} for {timeout} seconds: "
                "try again when that has ended"
            )
        time.sleep(0.05)
    # The owner is a help to others: a full disk has no room for it, and the
    # lock may be a file of another user.
    with contextlib.suppress(OSError):
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            place.unlink()
        file.close()


def _lock(place):
    """A file, opened and locked; `None` if another one has it."""
    import fcntl

    try:
        file = open(place, "ab", buffering=0)  # noqa: SIM115
    except PermissionError:
        if not place.exists():
            raise
        # Of another user, who may have been killed: to read is to lock.
        file = open(place, "rb", buffering=0)  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its owner before may have removed it meanwhile.
        if os.path.samestat(os.fstat(file.fileno()), os.stat(place)):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP):
            # A file system without locks.
            return file
        file.close()
        raise
    file.close()
    return None


def sweep(folder):
    """Removes what processes that were killed left of `beside` in a folder."""
    folder = local(folder)
    for place in folder.iterdir() if folder.is_dir() else ():
        found = re.match(r"\.(\d+)(-[0-9a-f]+)?\.new\.", place.name)
        # It may not be there any more, or of another user.
        with contextlib.suppress(OSError):
            if found and _is_left(place, int(found[1]), found[2] or ""):
                _remove(place)


def _is_left(place, process, mark):
    """Whether the process that was writing a file or folder is gone."""
    if len(mark) < 17 or mark.startswith(f"-{_here()}"):
        return not is_running(process)
    # Its number says nothing on another machine or in another container.
    return time.time() - place.lstat().st_mtime > 86_400


@functools.cache
def _here():
    """Eight digits that differ where numbers of processes mean others."""
    known = [socket.gethostname()]
    with contextlib.suppress(OSError):
        known.append(os.readlink("/proc/self/ns/pid"))
        known.append(local("/proc/sys/kernel/random/boot_id").read_text())
    return f"{zlib.crc32(''.join(known).encode()):08x}"


def is_running(process):
    """Whether there is a process of a number on this machine."""
    if os.name != "posix":
        # Where asking by a signal would stop it.
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def check_new(path, name):
    """Refuses a path where there is something; `name` is its argument's."""
    if os.path.lexists(path):
        raise ValueError(
            f"`{name}` already exists and is not replaced: remove it, or give "
            f"another name. Received: {path}"
        )


def write(path, content):
    """Writes a file of text or bytes so that a kill leaves the old one or the
    new one."""
    text = isinstance(content, str)
    data = shown(content).encode() if text else content
    with beside(path) as new, open(new, "wb") as file:
        file.write(data)


# A dataset of TensorFlow passes on the text of an error, not its type.
_IN_DATASET = re.compile(
    r"Error in user-defined function.*?: ValueError: (.+?)(\nTraceback|$)",
    re.DOTALL,
)


def said_in_dataset(error):
    """What the reader of files said while a dataset read them, or `None`."""
    found = _IN_DATASET.search(str(error))
    return found and found[1]


def to_json(content, indent=1):
    """JSON text of dicts, other mappings, lists and what they hold.

    JSON has neither NaN nor infinity: both become null, which `numbers` reads
    as NaN where only numbers are expected.
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


# Of `numbers`: null stands for NaN.
NUMBER = int | float | None


def check_shape(content, shape, name):
    """Refuses what JSON held, with its place, unless it has a shape.

    That is a type, a list of the shape of all items, or a dict of the shapes of
    keys that have to be there, with `...` for that of all others.
    """
    nested = isinstance(shape, (list, dict))
    kind = type(shape) if nested else shape
    wrong = isinstance(content, bool) and kind is not bool
    if isinstance(content, float) and shape != NUMBER:
        # Python reads NaN and Infinity, which JSON does not have.
        wrong = not math.isfinite(content)
    if wrong or not isinstance(content, kind):
        kind = getattr(kind, "__name__", kind)
        raise ValueError(f"`{name}` should be {kind}. Received: {content!r}")
    if isinstance(shape, list):
        for place, item in enumerate(content):
            check_shape(item, shape[0], f"{name}[{place}]")
    elif isinstance(shape, dict):
        missing = shape.keys() - content.keys() - {...}
        if missing:
            missing = ", ".join(sorted(missing))
            raise ValueError(f"`{name}` should have {missing}")
        for key, item in content.items():
            inside = shape.get(key, shape.get(...))
            if inside:
                check_shape(item, inside, f"{name}[{key!r}]")


def sha256(path):
    """The sha256 of a file, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
