"""Downloads: servers that fail, threads and processes at once, kills."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import keras_hash
from keras_hash import zoo
from keras_hash.zoo import fetch
from tests.zoo.fetch.mirror import ARCHIVE
from tests.zoo.fetch.mirror import NAME
from tests.zoo.fetch.mirror import ROOT
from tests.zoo.fetch.mirror import half
from tests.zoo.fetch.mirror import left_in
from tests.zoo.fetch.mirror import whole


def half_then_silence(handler, data):
    half(handler, data)
    handler.server.released.wait(60)


def damaged(handler, data):
    whole(handler, data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])


def test_a_model_by_download(remote, server, capsys):
    assert keras_hash.list_models() == [NAME]
    assert zoo.card(NAME) == zoo.card(ROOT / "zoo" / NAME)
    assert server.requests == [] and not remote.exists()

    images, _ = keras_hash.data.load("digits").arrays("query")
    expected = keras_hash.load(ROOT / "zoo" / NAME).encode(images)
    capsys.readouterr()
    model = keras_hash.load(NAME)
    captured = capsys.readouterr()
    assert captured.out == "" and "Downloading data" in captured.err
    assert "\u2501" in captured.err  # The bar.
    np.testing.assert_array_equal(model.encode(images), expected)
    codes = hashlib.sha256(model.encode(images).tobytes()).hexdigest()
    assert zoo.card(NAME)["code_sha256"]["query"] == codes
    assert socket.getdefaulttimeout() is None

    # The second time it is there, and the server is not asked.
    server.answer = half
    keras_hash.load(NAME)
    assert server.requests == [f"/{ARCHIVE}"]
    assert left_in(remote) == [zoo.entry_folder(NAME).name]
    zoo.verify_files(zoo.entry_folder(NAME))


@pytest.mark.parametrize("escaped", [True, False])
def test_a_mirror_in_a_folder(escaped, remote, built, tmp_path, monkeypatch):
    """Its URL, or `file://` in front of its path."""
    folder = tmp_path / "mirror #1 50%20 0.1"
    folder.mkdir()
    for file, content in built[1].items():
        (folder / file).write_bytes(content)
    url = folder.as_uri() if escaped else f"file://{folder}"
    monkeypatch.setenv("KERAS_HASH_ZOO_URL", url + "/")
    zoo.verify_files(NAME)


def test_the_version_is_put_into_the_url(remote, server, monkeypatch):
    monkeypatch.setenv("KERAS_HASH_ZOO_URL", server.url + "/v{version}/")
    with pytest.raises(OSError, match="404"):
        zoo.entry_folder(NAME)
    assert server.requests == [f"/v{keras_hash.__version__}/{ARCHIVE}"]
    assert "{version}" in fetch.URL


@pytest.mark.parametrize(
    "answer, error, message",
    [
        (half, OSError, r"could not be downloaded.*Received: .*got only"),
        (half_then_silence, OSError, r"could not be downloaded.*timed out"),
        (lambda h, _: whole(h, None), OSError, r"Received: .*404.*, from http"),
        (lambda h, _: h.connection.close(), OSError, r"Received: "),
        (
            damaged,
            ValueError,
            r"Expected: (\d+) .*Received: \1 bytes, sha",
        ),
        (lambda h, _: whole(h, b"log in"), ValueError, r"Received: 6 bytes, "),
        # Keras 3.10 cannot draw a bar for nothing.
        (lambda h, _: whole(h, b""), (OSError, ValueError), "nothing was kept"),
    ],
    ids=["half", "silent", "404", "closed", "damaged", "page", "empty"],
)
def test_a_download_that_fails_leaves_nothing(
    answer, error, message, remote, server, monkeypatch
):
    monkeypatch.setattr(fetch, "TIMEOUT", 0.5)
    server.answer = answer
    start = time.monotonic()
    with pytest.raises(error, match=message):
        zoo.entry_folder(NAME)
    assert time.monotonic() - start < 20
    assert left_in(remote) == []
    assert socket.getdefaulttimeout() is None
    server.answer = whole
    zoo.verify_files(NAME)


def test_no_server(remote, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("KERAS_HASH_ZOO_URL", url)
        with pytest.raises(OSError, match="KERAS_HASH_ZOO_URL.*refused, from"):
            zoo.entry_folder(NAME)
    monkeypatch.setenv("KERAS_HASH_ZOO_URL", "mirror/of/zoo")
    with pytest.raises(OSError, match="unknown url type.*from mirror/of/zoo/"):
        zoo.entry_folder(NAME)


def test_two_threads_download_once(remote, server):
    server.answer = lambda *a: (time.sleep(0.2), whole(*a))
    found, stdout = [], sys.stdout
    threads = [
        threading.Thread(target=lambda: found.append(zoo.entry_folder(NAME)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1
    assert len(server.requests) == 1
    assert sys.stdout is stdout and socket.getdefaulttimeout() is None


SCRIPT = f"""
import pathlib, sys
from keras_hash import zoo
from keras_hash.zoo import entries
from keras_hash.zoo import fetch
fetch.INDEX = pathlib.Path(sys.argv[1])
entries.folders = list
zoo.verify_files({NAME!r})
print(zoo.entry_folder({NAME!r}))
"""


def start_process():
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, fetch.INDEX],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_at_once(remote, server, monkeypatch):
    """Another one, and this one."""
    # No answer until both have asked: the second to finish finds the entry of
    # the first where it wants to put its own.
    both = threading.Barrier(2, timeout=300)
    monkeypatch.setattr(fetch, "TIMEOUT", 300)
    server.answer = lambda *a: (both.wait(), whole(*a))
    process = start_process()
    folder = zoo.entry_folder(NAME)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == str(folder)
    assert len(server.requests) == 2
    assert left_in(remote) == [folder.name]
    zoo.verify_files(NAME)


def test_a_kill_in_the_middle(remote, server):
    sent = threading.Event()

    def slow(handler, data):
        half(handler, data)
        handler.wfile.flush()
        sent.set()
        handler.server.released.wait(300)

    server.answer = slow
    process = start_process()
    assert sent.wait(300)
    deadline = time.monotonic() + 30
    while not list(remote.glob(".*.part/*.tar")):  # Not killed too early.
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    (part,) = remote.iterdir()
    assert part.name.endswith(".part")
    assert fetch.cached(NAME) is None

    server.answer = whole
    keras_hash.load(NAME)
    # What was left may belong to a process that is at work; a day later not.
    assert part.exists()
    os.utime(part, (0, time.time() - 2 * fetch.STALE))
    shutil.rmtree(zoo.entry_folder(NAME))
    assert left_in(remote) == [part.name]
    zoo.entry_folder(NAME)
    assert left_in(remote) == [zoo.entry_folder(NAME).name]


def test_a_forked_child_leaves_the_folder_of_its_parent(tmp_path):
    fetch._remove(tmp_path / "none", os.getpid())
    fetch._remove(tmp_path, os.getpid() + 1)
    assert tmp_path.exists()
    fetch._remove(tmp_path, os.getpid())
    assert not tmp_path.exists()
