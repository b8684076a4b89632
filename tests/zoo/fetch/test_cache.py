"""The cache: damage, rights, full disks, and where it is."""

import atexit
import contextlib
import os
import pathlib
import shutil
import tarfile
import tempfile
import warnings

import pytest

import keras_hash
from keras_hash import zoo
from keras_hash.zoo import fetch
from tests.zoo.fetch.mirror import GRAPH
from tests.zoo.fetch.mirror import NAME
from tests.zoo.fetch.mirror import left_in


def test_damage_in_the_cache_says_what_to_remove(remote, server):
    folder = zoo.entry_folder(NAME)
    (folder / GRAPH).write_bytes(b"")
    with pytest.raises(ValueError, match=f"remove {folder}, and it is down"):
        keras_hash.load(NAME)
    (folder / "card.json").unlink()
    with pytest.raises(OSError, match=f"remove {folder} if it is there"):
        zoo.verify_files(NAME)
    assert left_in(remote) == [folder.name]
    shutil.rmtree(folder)
    zoo.verify_files(NAME)
    assert len(server.requests) == 3


@contextlib.contextmanager
def without_rights():
    """As a user whom file modes bind, where the tests run as root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def open_to_all(remote, built, monkeypatch):
    """A folder that another user may read, with the index in it."""
    folder = pathlib.Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "index.json").write_text(built[0])
    monkeypatch.setattr(fetch, "INDEX", folder / "index.json")
    monkeypatch.setenv("KERAS_HOME", str(folder))
    monkeypatch.chdir(folder)
    yield folder
    shutil.rmtree(folder)


def test_a_home_that_cannot_be_written(open_to_all, server, monkeypatch):
    at_exit = []
    monkeypatch.setattr(
        atexit, "register", lambda *a, **k: at_exit.append((a, k))
    )
    open_to_all.chmod(0o555)
    with without_rights():
        with pytest.warns(UserWarning) as caught:
            folder = zoo.entry_folder(NAME)
        assert len(caught) == 1
        message = str(caught[0].message)
        assert str(open_to_all) in message and "Set KERAS_HOME" in message
        assert "Received: [Errno 13] Permission denied" in message
        zoo.verify_files(NAME)  # No second warning: it would be an error.
        assert zoo.entry_folder(NAME) == folder
        assert folder.parent.stat().st_mode & 0o077 == 0
        (((remove, *arguments), options),) = at_exit
        remove(*arguments, **options)
        assert not folder.parent.exists()
    assert len(server.requests) == 1
    assert left_in(open_to_all) == ["index.json"]
    open_to_all.chmod(0o755)


def test_no_folder_at_all_can_be_written(open_to_all, server, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(open_to_all))
    open_to_all.chmod(0o555)
    with (
        without_rights(),
        pytest.raises(OSError, match="Neither .*set KERAS_HOME .*Received: "),
    ):
        zoo.entry_folder(NAME)
    open_to_all.chmod(0o755)
    assert server.requests == []


def test_a_cache_that_can_only_be_read_is_read(open_to_all, server):
    folder = zoo.entry_folder(NAME)
    for path in (folder, folder.parent, open_to_all):
        path.chmod(0o555)
    with without_rights(), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert zoo.entry_folder(NAME) == folder
        zoo.verify_files(NAME)
    assert len(server.requests) == 1
    for path in (folder, folder.parent, open_to_all):
        path.chmod(0o755)


def test_folders_that_may_not_be_read(open_to_all):
    for name in ("keras_hash", "mine"):
        (open_to_all / name).mkdir(mode=0)
    with without_rights():
        with pytest.raises(ValueError, match="Entries here: .*Received: name="):
            zoo.entry_folder(open_to_all / "mine")
        with pytest.warns(UserWarning, match="Permission denied"):
            zoo.verify_files(NAME)


def test_a_file_where_the_cache_should_be(remote):
    remote.parent.write_text("not a folder")
    with pytest.warns(UserWarning, match="cannot be written.*Received: "):
        zoo.verify_files(NAME)


def test_a_full_disk(remote, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        # What `tarfile` writes a file by.
        patch.setattr(tarfile, "copyfileobj", full)
        with pytest.raises(OSError, match="Free some space.*No space left"):
            zoo.entry_folder(NAME)
    assert left_in(remote) == []
    zoo.verify_files(NAME)


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    assert fetch.cache_folder() == tmp_path / ".keras" / "keras_hash"
    monkeypatch.setenv("KERAS_HOME", "~/elsewhere")
    assert fetch.cache_folder() == tmp_path / "elsewhere" / "keras_hash"
