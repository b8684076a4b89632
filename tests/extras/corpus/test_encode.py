"""From a list to its codes, on Beam: files, tables, file systems."""

import fsspec
import numpy as np
from pyarrow import parquet

import keras_hash
from keras_hash.extras import corpus
from tests.extras.corpus.inputs import huge
from tests.extras.corpus.inputs import png
from tests.extras.corpus.outputs import NEEDS_BEAM
from tests.extras.corpus.outputs import by_id
from tests.extras.corpus.outputs import encode
from tests.extras.corpus.outputs import found
from tests.extras.corpus.outputs import refusals


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
    assert reasons["1/huge.png"].startswith("100000x100000 pixels, above")
    index = keras_hash.Index(done.corpus.bits)
    for codes, ids in corpus.read(str(out)):
        index.add(codes, ids)
    distances, ids = index.search(images[1][:1], k=1)
    assert (
        distances[0, 0] == 0 and found(out)[ids[0, 0]] == images[1][0].tobytes()
    )


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
