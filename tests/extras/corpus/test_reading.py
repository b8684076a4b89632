"""Reading what is listed: each image once, faults tried again."""

import time

import pyarrow as pa
import pytest

from keras_hash.extras import corpus
from keras_hash.extras.corpus import filesystems
from keras_hash.extras.corpus import reading


@pytest.mark.parametrize("size", [1, 3, 64])
def test_batches_read_everything_once(photos, size):
    listing = corpus.from_glob(str(photos))
    gone = photos / "0" / "04.png"
    gone.unlink()
    ids, batches = listing.table["id"].to_pylist(), []
    for batch, refused in reading.batches(listing.table, size):
        assert len(batch) + len(refused) <= size
        batches.append((batch, refused))
    read = dict(pair for batch, _ in batches for pair in batch)
    assert list(read) == [i for i in ids if i != "0/04.png"]
    assert all(read[i] == (photos / i).read_bytes() for i in read)
    refused = [pair for _, some in batches for pair in some]
    assert refused == [
        ("0/04.png", "cannot be read: No such file or directory")
    ]


def test_faults_that_pass_are_tried_again(photos, monkeypatch):
    calls = []
    read = filesystems.read

    def fails(path, *args):
        calls.append(path)
        if path.endswith("00.png") and calls.count(path) < 3:
            raise OSError("the network is away")
        if path.endswith("02.png"):
            raise OSError("the disk is broken")
        return read(path, *args)

    monkeypatch.setattr(filesystems, "read", fails)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    table = corpus.from_glob(f"{photos}/0/0[0246].png").table
    ((images, refused),) = reading.batches(table, 64)
    assert [name for name, _ in images] == ["00.png", "04.png", "06.png"]
    assert refused == [("02.png", "cannot be read: the disk is broken")]
    assert len(calls) == 3 + 3 + 1 + 1


def test_files_too_large_for_an_image_are_not_read(photos, monkeypatch):
    monkeypatch.setattr(reading, "MOST_BYTES", 5000)
    (photos / "0" / "00.png").write_bytes(bytes(5001))
    table = corpus.from_glob(f"{photos}/0/0[02].png").table
    for length in (table["length"], pa.nulls(2, pa.int64())):
        rows = table.set_column(2, "length", length)
        ((images, refused),) = reading.batches(rows, 64)
        assert [name for name, _ in images] == ["02.png"]
        assert refused == [("00.png", "above 5000 bytes: 5001")]


def test_what_no_path_can_be_is_refused_alone(photos):
    table = pa.table(
        {"id": ["odd"], "file": ["a\0b.png"], "length": pa.nulls(1, pa.int64())}
    )
    ((images, refused),) = reading.batches(table, 64)
    assert not images and refused[0][1].startswith("cannot be read: A path")
