"""Zoo entries that are downloaded: the index, the cache, the archives.

`zoo_index.json` ships with the package. For each entry it holds the card, the
name of the archive, its sha256 and its size, so that entries can be listed and
described without the network, and whatever a server sends can be checked.

An archive is `<name>-<version>.tar`: the card and the files that it names, and
nothing else. It is not compressed, because what `gzip` writes depends on the
version of zlib, and the hash should be the same wherever it is made. That costs
a quarter to a third of a download: weights are small numbers already.

A download is written beside its target, checked, unpacked and renamed: an
entry in the cache is whole or absent, whichever process is killed and however
many ask for it at once.
"""

import atexit
import contextlib
import json
import os
import pathlib
import shutil
import socket
import sys
import tarfile
import tempfile
import threading
import time
import urllib.parse
import warnings

from keras_hash import files

# Where the archives of this version are. The project has no public home yet:
# this is the address that a release will have. Until then, and for mirrors,
# `KERAS_HASH_ZOO_URL` names another place, http(s):// or file://. The hashes
# are in the index, so who owns the address cannot change what is loaded.
URL = "https://github.com/keras-hash/keras-hash/releases/download/v{version}"
INDEX = pathlib.Path(__file__).resolve().parents[1] / "zoo_index.json"
TIMEOUT = 60  # Seconds without a byte until a server counts as silent.
STALE = 24 * 3600  # Seconds until what a killed process left is removed.

# One download at a time: it changes the process' stdout and socket timeout.
_lock = threading.Lock()
_temporary = None  # The cache of this process where the home is read-only.


def index():
    """The entries that can be downloaded: what the index holds, by name."""
    return json.loads(INDEX.read_text())


def cache_folder():
    """The folder of downloaded entries, which need not exist."""
    # As `keras.src.backend.config.keras_home`, which is private, and without
    # its turn to a shared temporary folder, where others may have put files.
    home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    return pathlib.Path(os.path.expanduser(home)) / "keras_hash"


def cached(name):
    """The folder of an entry that was downloaded before, or `None`."""
    pinned = index().get(str(name))
    if pinned is None:
        return None
    for place in (cache_folder(), _temporary):
        if place and os.path.isfile(_target(place, name, pinned) / "card.json"):
            return _target(place, name, pinned)
    return None


def entry(name):
    """The folder of an entry of the index, downloaded if it is not cached yet.

    Where the cache cannot be written, the entry is kept in a temporary folder
    until the process ends, and a warning says so. `OSError` where no download
    is to be had or nothing can be written, `ValueError` where what came is not
    what the index says.
    """
    pinned = index()[name]
    with _lock:
        folder = cached(name)
        if folder:
            return folder
        staging = _staging(f".{name}.")
        folder = _target(staging.parent, name, pinned)
        try:
            archive = _download(name, pinned, staging)
            _unpack(archive, name, staging)
            _settle(staging / name, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return folder


def _target(place, name, pinned):
    """The folder of an entry in a cache.

    The hash is in its name, so that two versions of the package can share a
    cache, and an entry that was trained again is not taken for the old one.
    """
    return place / f"{name}-{pinned['version']}-{pinned['sha256'][:12]}"


def _remove(folder, process):
    """Removes a temporary folder, unless a forked child is what ends."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _staging(prefix):
    """A new folder to work in, in the cache, or else in a temporary one."""
    global _temporary
    place = cache_folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        staging = tempfile.mkdtemp(".part", prefix, place)
    except OSError as error:
        try:
            if _temporary is None or not _temporary.exists():
                # Private to the process: a name that others can guess in a
                # shared folder would let them choose what is loaded.
                folder = tempfile.mkdtemp(prefix="keras_hash-")
                atexit.register(_remove, folder, os.getpid())
                _temporary = pathlib.Path(folder)
                warnings.warn(
                    f"The cache {place} cannot be written, so zoo entries are "
                    f"kept in {folder} until this process ends. Set "
                    "KERAS_HOME to a folder that can be written to keep them. "
                    f"Received: {error}"
                )
            return pathlib.Path(tempfile.mkdtemp(".part", prefix, _temporary))
        except OSError as worse:
            raise OSError(
                f"Neither the cache {place} nor a temporary folder can be "
                "written; set KERAS_HOME to a folder that can. "
                f"Received: {error}; {worse}"
            ) from worse
    for left in place.glob(".*.part"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE:
                shutil.rmtree(left, ignore_errors=True)
    return pathlib.Path(staging)


def _download(name, pinned, staging):
    """Downloads the archive of an entry and checks it; gives its path."""
    import keras

    from keras_hash._version import __version__

    base = os.environ.get("KERAS_HASH_ZOO_URL") or URL
    base = base.replace("{version}", __version__).rstrip("/")
    url = f"{base}/{pinned['archive']}"
    if base.startswith("file://"):
        # Also a path as it stands, in which `#` and `%` mean nothing.
        place = base.removeprefix("file://").removeprefix("localhost")
        if not os.path.exists(place):
            place = urllib.parse.unquote(place)
        url = pathlib.Path(place, pinned["archive"]).absolute().as_uri()
    waiting = socket.getdefaulttimeout()
    try:
        # `get_file` sets no timeout and waits for ever otherwise. Its bar goes
        # to stdout, where it would mix with what a command prints. It writes
        # straight to the file's final name, so each call has its own folder.
        socket.setdefaulttimeout(waiting or TIMEOUT)
        with contextlib.redirect_stdout(sys.stderr):
            path = keras.utils.get_file(
                pinned["archive"], url, cache_dir=str(staging), cache_subdir=""
            )
        came = os.path.getsize(path)
    except Exception as error:  # `get_file` raises plain `Exception`.
        raise OSError(
            f"The zoo entry {name!r} could not be downloaded; nothing was "
            "kept. Try again, or set KERAS_HASH_ZOO_URL to a place "
            f"(http://, https:// or file://) that has {pinned['archive']}, or "
            "KERAS_HASH_ZOO to a folder of entries. "
            f"Received: {error or type(error).__name__}, from {url}"
        ) from error
    finally:
        socket.setdefaulttimeout(waiting)
    # Not by `file_hash=`: that error does not say what came.
    found = files.sha256(path)
    if found != pinned["sha256"]:
        raise ValueError(
            f"What was downloaded for the zoo entry {name!r} is not the "
            "archive that this version of keras_hash knows; nothing was "
            "kept. Try again; if it stays so, the server has another version, "
            "or a proxy answered in its place. "
            f"Expected: {pinned['bytes']} bytes, sha256={pinned['sha256']}. "
            f"Received: {came} bytes, "
            f"sha256={found}, from {url}"
        )
    return path


def _unpack(archive, name, staging):
    """Unpacks an archive whose hash was right, as `<staging>/<name>/`."""
    try:
        with tarfile.open(archive, "r:") as tar:
            # As `filter="data"`, which Python has from 3.11.4 on.
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            tar.extractall(staging)
    except Exception as error:  # `tarfile` raises nearly anything.
        raise OSError(
            f"The zoo entry {name!r} could not be unpacked; nothing was kept. "
            f"Free some space, or set KERAS_HOME. Received: {error}"
        ) from error


def _settle(staged, folder):
    """Renames a whole entry into place, unless another process was first."""
    try:
        os.rename(staged, folder)
    except OSError as error:
        if not os.path.isfile(folder / "card.json"):
            raise OSError(
                "A zoo entry could not be moved into the cache; remove "
                f"{folder} if it is there, and try again. Received: {error}"
            ) from error
