"""From a list to its codes, on Beam: files, records, file systems."""

import fsspec
import numpy as np
import pytest
from pyarrow import parquet

import keras_hash
from keras_hash.extras import corpus
from tests.extras.corpus.inputs import example
from tests.extras.corpus.inputs import huge
from tests.extras.corpus.inputs import png
from tests.extras.corpus.inputs import write_records
from tests.extras.corpus.outputs import NEEDS_BEAM
from tests.extras.corpus.outputs import by_id
from tests.extras.corpus.outputs import encode
from tests.extras.corpus.outputs import found
from tests.extras.corpus.outputs import refusals
from tests.extras.corpus.outputs import shards


@NEEDS_BEAM
def test_a_glob_is_encoded(photos, tmp_path, images):
    (photos / "0" / "bad.png").write_bytes(b"this is no image, whatever")
    (photos / "1" / "huge.png").write_bytes(huge())
    (photos / "1" / "cut.png").write_bytes(png(images[0][3])[:60])
    out = tmp_path / "out"
    done = encode(corpus.from_glob(str(photos)), out)
    assert (done.images, done.refused, done.shards) == (40, 3, 6)
    assert found(out) == by_id(images)
    reasons = refusals(out)
    assert set(reasons) == {"0/bad.png", "1/huge.png", "1/cut.png"}
    assert reasons["1/huge.png"].startswith("Image above")
    index = keras_hash.Index(done.corpus.bits)
    for codes, ids in corpus.read(str(out)):
        index.add(codes, ids)
    distances, ids = index.search(images[1][:1], k=1)
    assert (
        distances[0, 0] == 0 and found(out)[ids[0, 0]] == images[1][0].tobytes()
    )


@NEEDS_BEAM
def test_records_are_encoded(tmp_path, images):
    contents = [png(image) for image in images[0]]
    records = [
        example(image=content, key=f"k{number}".encode(), number=-number)
        for number, content in enumerate(contents)
    ]
    records[9] = example(image=b"bad", key=b"nine", number=-9)
    write_records(tmp_path / "x.tfrecord-0", records[:25])
    write_records(tmp_path / "x.tfrecord-1", records[25:])
    codes = {n: code.tobytes() for n, code in enumerate(images[1]) if n != 9}
    for feature, name, bad in [
        (None, int, "9"),
        ("key", "k{}".format, "nine"),
        ("number", int.__neg__, "-9"),
    ]:
        listing = corpus.from_tfrecord(str(tmp_path), id_feature=feature)
        out = tmp_path / f"by {feature}"
        done = encode(listing, out, 12)
        assert (done.images, done.refused, done.shards) == (39, 1, 4)
        assert found(out) == {name(n): code for n, code in codes.items()}
        assert list(refusals(out)) == [bad]


@NEEDS_BEAM
def test_repeated_ids_of_records_are_said(tmp_path, images):
    contents = [png(image) for image in images[0][:4]]
    records = [example(image=c, id=n % 3) for n, c in enumerate(contents)]
    write_records(tmp_path / "x.tfrecord", records)
    listing = corpus.from_tfrecord(str(tmp_path), id_feature="id")
    with pytest.raises(ValueError, match="'id'.* 0 2 times; 1 ids"):
        encode(listing, tmp_path / "out", 2)
    assert len(shards(tmp_path / "out")) == 2


@NEEDS_BEAM
def test_a_csv_file_is_encoded(photos, tmp_path, images):
    codes, rows = by_id(images), ["file,id,note"]
    expected = {}
    for number, (path, code) in enumerate(codes.items()):
        rows.append(f"photos/{path},{1000 - number},x")
        expected[1000 - number] = code
    rows.append("photos/gone.png,5,x")
    rows.append(f"{photos}/0/00.png,6,absolute")
    expected[6] = codes["0/00.png"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    listing = corpus.from_csv(f"{tmp_path}/list.csv", "file", "id")
    done = encode(listing, tmp_path / "out", 100)
    assert (done.images, done.refused, done.shards) == (41, 1, 1)
    assert found(tmp_path / "out") == expected
    assert refusals(tmp_path / "out") == {
        "5": "cannot be read: No such file or directory"
    }


@NEEDS_BEAM
def test_other_file_systems(photos, images):
    """Input, codes and encoder on a file system of fsspec, as on gs://."""
    memory = fsspec.filesystem("memory")
    memory.put(f"{photos}/", "/photos/", recursive=True)
    try:
        listing = corpus.from_glob("memory://photos/**/*.png")
        assert listing.table["file"][0].as_py() == "memory:///photos/0/00.png"
        out = "memory://out"
        assert encode(listing, out).shards == 5
        with memory.open("/out/codes/00000-of-00005.parquet") as file:
            table = parquet.read_table(file)
        expected = by_id(images)
        assert table["code"].to_pylist() == [
            expected[name] for name in table["id"].to_pylist()
        ]
        assert not [n for n in memory.find("/out") if n.endswith(".new")]
        memory.rm_file("/out/codes/00004-of-00005.parquet")
        assert encode(listing, out).shards == 1
        read = [code for codes, _ in corpus.read(out) for code in codes]
        np.testing.assert_array_equal(read, [*images[1][::2], *images[1][1::2]])
    finally:
        memory.rm("/", recursive=True)
