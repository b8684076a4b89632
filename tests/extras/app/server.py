"""The page, served by a command in a process of its own."""

import collections
import contextlib
import os
import pathlib
import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
# What the console script does, on this checkout; connections to anywhere but
# this machine are seen from inside of the process.
SERVE = f"""
import importlib.util, signal, sys
sys.path.insert(0, {str(ROOT)!r})
signal.signal(signal.SIGINT, signal.default_int_handler)
here = "127.0.0.1", "localhost", "0.0.0.0", None
def watch(event, arguments):
    if event == "socket.connect":
        host = arguments[1][0] if isinstance(arguments[1], tuple) else here[0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host not in here:
        print(event, host, file=sys.stderr, flush=True)
sys.addaudithook(watch)
spec = importlib.util.spec_from_file_location(
    "keras_hash_cli", {str(ROOT / "keras_hash/cli/__init__.py")!r}
)
entry = importlib.util.module_from_spec(spec)
spec.loader.exec_module(entry)
sys.exit(entry.main(sys.argv[1:]))
"""
# Else the level of the tests, at which TensorFlow writes more, holds there too.
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
Server = collections.namedtuple("Server", "url process temporary folder")


@contextlib.contextmanager
def serving(folder, name, *options):
    """The command on `my.index` in a folder, until the end of the block."""
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "app", "--model", name, "--index"]
        + ["my.index", "--port", "0", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary), **_QUIET},
    )
    try:
        line = process.stdout.readline()
        found = re.search(r"(http://[\d.]+:\d+) \(Ctrl-C stops\)", line)
        if not found:
            pytest.fail(f"{line}{process.communicate(timeout=60)}")
        yield Server(found[1], process, temporary, folder)
    finally:
        process.kill()
        process.communicate(timeout=60)


def fetch(url, path, **options):
    request = urllib.request.Request(url + path, **options)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers
