"""A mirror of a zoo of one entry, and a machine that has no other."""

import shutil
import threading

import pytest
import zoo_archives

from keras_hash.zoo import entries
from keras_hash.zoo import fetch
from tests.zoo.fetch.mirror import NAME
from tests.zoo.fetch.mirror import ROOT
from tests.zoo.fetch.mirror import Server


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The index of a zoo of one entry, and its archives."""
    folder = tmp_path_factory.mktemp("zoo")
    shutil.copytree(ROOT / "zoo" / NAME, folder / NAME)
    return zoo_archives.build(folder)


@pytest.fixture
def server(built):
    server = Server(dict(built[1]))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def remote(built, server, tmp_path, monkeypatch):
    """A machine without the zoo; gives the folder of its cache."""
    (tmp_path / "index.json").write_text(built[0])
    monkeypatch.setattr(fetch, "INDEX", tmp_path / "index.json")
    monkeypatch.setattr(fetch, "_temporary", None)
    monkeypatch.setattr(entries, "folders", list)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KERAS_HASH_ZOO_URL", server.url)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home" / "keras_hash"
