"""Shards of codes: what is written, read, refused, damaged or missing."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import keras_hash
from keras_hash import zoo
from keras_hash.extras import corpus
from tests.extras.corpus.outputs import NAME
from tests.extras.corpus.outputs import found
from tests.extras.corpus.outputs import refusals


def test_what_is_written_is_read(written, tmp_path):
    made, codes = written
    assert made.finished() == set(range(5)) and made.finish() == 0
    assert refusals(tmp_path / "out") == {}
    read = {}
    for some, ids in corpus.read(str(tmp_path / "out")):
        assert some.dtype == np.uint8 and some.shape == (len(ids), 4)
        read |= {i: code.tobytes() for i, code in zip(ids, some)}
    assert read == codes == found(tmp_path / "out")
    file = tmp_path / "out" / "codes" / "00000-of-00005.parquet"
    schema = parquet.read_schema(file)
    assert schema.field("code").type == pa.binary(4)
    maker = zoo.card(NAME).maker
    said = {k.decode(): v.decode() for k, v in schema.metadata.items()}
    assert said == {
        "keras_hash.encoder": NAME,
        "keras_hash.files_sha256": maker["files_sha256"],
        "keras_hash.bits": "30",
        "keras_hash.similarity": "hamming",
        "keras_hash.refused": "0",
        "keras_hash.shard": "0",
    }


def test_an_index_takes_what_is_read(written):
    made, codes = written
    index = keras_hash.Index(30)
    for some, ids in made.read():
        index.add(some, ids)
    queries = np.array([np.frombuffer(c, "uint8") for c in codes.values()])
    distances, found = index.search(queries, k=1)
    assert len(index) == 40 and not distances.any()
    held = dict(zip(index.ids, index.codes))
    for query, (name,) in zip(queries, found):
        np.testing.assert_array_equal(held[name], query)


def test_a_copy_of_another_shard_is_named(written, tmp_path):
    """Of the same size, by the same encoder."""
    made, _ = written
    codes = tmp_path / "out" / "codes"
    content = (codes / "00001-of-00005.parquet").read_bytes()
    (codes / "00002-of-00005.parquet").write_bytes(content)
    for call in (made.finish, lambda: list(made.read())):
        with pytest.raises(
            ValueError, match="00002.* is a copy of shard 00001"
        ):
            call()


def test_damaged_and_missing_shards_are_named(written, tmp_path):
    made, _ = written
    path = tmp_path / "out" / "codes" / "00002-of-00005.parquet"
    content = path.read_bytes()
    for end in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:end])
        for call in (made.finish, lambda: list(made.read())):
            with pytest.raises(
                ValueError, match="00002-of-00005.parquet is mi"
            ):
                call()
    made.write(2, ["a"], np.zeros((1, 4), "uint8"), [("b", "bad")])
    with pytest.raises(ValueError, match="should be of 8 images.*2 images"):
        made.finish()
    path.unlink()
    assert made.finished() == {0, 1, 3, 4}
    with pytest.raises(ValueError, match="1 of 5 shards are not encoded yet"):
        list(made.read())
    with pytest.raises(ValueError, match="00002-of-00005.parquet is missing"):
        made.finish()


def test_refused_images_have_one_list(written, tmp_path):
    made, codes = written
    ids = made.rows(3)["id"].to_pylist()
    odd = 'a,"b"\nc'
    lone = "Icon\r"
    made.write(
        3, ids[2:], np.zeros((6, 4), "uint8"), [(ids[0], odd), (lone, "x")]
    )
    left = tmp_path / "out" / "codes" / ".99999999-1f.new.00003.parquet"
    left.write_bytes(b"of a kill")
    assert made.finish() == 2
    assert refusals(tmp_path / "out") == {ids[0]: odd, lone: "x"}
    assert len(found(tmp_path / "out")) == 38
    assert not left.exists()
    made.open_again()
    assert made.finished() == {0, 1, 2, 4}
    # Mended: the old list goes.
    made.write(3, ids, np.zeros((8, 4), "uint8"), [])
    assert made.finish() == 0 and refusals(tmp_path / "out") == {}


def test_a_shard_without_any_image(written, tmp_path):
    made, _ = written
    ids = made.rows(0)["id"].to_pylist()
    made.write(0, [], np.zeros((0, 4), "uint8"), [(i, "bad") for i in ids])
    assert made.finish() == 8
    assert sum(len(ids) for _, ids in made.read()) == 32
