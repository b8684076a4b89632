"""Encoding a corpus: listings, shards, restarts, and Beam in between."""

import csv
import importlib.util
import io
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import dataset
from pyarrow import parquet

import keras_hash
from keras_hash import corpus
from keras_hash import encoding
from keras_hash import search
from keras_hash import zoo
from keras_hash.corpus import filesystems
from keras_hash.corpus import folder as folder_lib
from keras_hash.corpus import patterns
from keras_hash.corpus import prepare as prepare_lib
from keras_hash.corpus import reading
from keras_hash.corpus import tfrecord
from keras_hash.corpus import watching

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAME, OTHER = "dshc_digits_30", "dshc_multidigits_10"
NEEDS_BEAM = pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None,
    reason='no apache_beam: pip install "keras-hash[beam]", or make test-beam',
)


def png(image):
    content = io.BytesIO()
    Image.fromarray(image).save(content, "png")
    return content.getvalue()


def huge():
    """A PNG whose header claims 10^10 pixels."""

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)
        )

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def images():
    """Real digits, each with its expected code by the Keras model."""
    digits, _ = keras_hash.data.load("digits").arrays("query")
    digits = digits[:40]
    return digits, keras_hash.load(NAME).encode(digits)


@pytest.fixture
def photos(tmp_path, images):
    """A folder with the digits as files in two folders."""
    for number, image in enumerate(images[0]):
        path = tmp_path / "photos" / f"{number % 2}" / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(image))
    return tmp_path / "photos"


def by_id(images):
    """Expected codes of `photos`, by relative path."""
    return {
        f"{number % 2}/{number:02d}.png": code.tobytes()
        for number, code in enumerate(images[1])
    }


def example(**features):
    from tensorflow.core.example import example_pb2

    record = example_pb2.Example()
    for name, value in features.items():
        feature = record.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        elif isinstance(value, float):
            feature.float_list.value.append(value)
        else:
            feature.int64_list.value.append(value)
    return record.SerializeToString(deterministic=True)


def write_records(path, records):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


def found(folder):
    """Codes by id, as any reader of Parquet sees them."""
    table = dataset.dataset(f"{folder}/codes", format="parquet").to_table()
    return dict(zip(table["id"].to_pylist(), table["code"].to_pylist()))


def refusals(folder):
    with open(folder / "refused.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["id", "reason"]
    return dict(rows[1:])


def shards(folder):
    """Names and times of the files of codes."""
    files = sorted((folder / "codes").glob("[!.]*"))
    return {path.name: path.stat().st_mtime_ns for path in files}


def encode(listing, out, per_shard=8, model=NAME, **settings):
    return corpus.encode(
        model, listing, str(out), per_shard, progress=False, **settings
    )


# What is there to encode.


@pytest.mark.parametrize(
    "pattern, path, matches",
    [
        ("a/**/*.jpg", "a/1.jpg", True),
        ("a/**/*.jpg", "a/b/c/1.jpg", True),
        ("a/**/*.jpg", "a/b/c/1.jpg.txt", False),
        ("a/*.jpg", "a/b/1.jpg", False),
        ("a/**.jpg", "a/b/1.jpg", True),
        ("a/?.jpg", "a/12.jpg", False),
        ("a/[!1].jpg", "a/2.jpg", True),
        ("a/[!1].jpg", "a/1.jpg", False),
        ("a/[1-3].jpg", "a/3.jpg", True),
        ("a+(b)/*", "a+(b)/x", True),
        ("a.c/*", "abc/x", False),
    ],
)
def test_patterns(pattern, path, matches):
    assert bool(re.fullmatch(patterns.regex(pattern), path)) == matches


def test_glob_lists_files_in_order(photos, monkeypatch):
    (photos / ".hidden.png").write_bytes(b"x")
    (photos / "0" / "notes.txt").write_bytes(b"xy")
    expected = sorted(str(p) for p in photos.rglob("[!.]*.png"))
    for pattern in (f"{photos}/**/*.png", str(photos), f"{photos}/"):
        listing = corpus.from_glob(pattern)
        assert listing.table["file"].to_pylist() == expected
        ids = [str(pathlib.Path(p).relative_to(photos)) for p in expected]
        assert listing.table["id"].to_pylist() == ids
        sizes = [os.path.getsize(path) for path in expected]
        assert listing.table["length"].to_pylist() == sizes
    # Relative paths, several patterns, files that both of them name.
    monkeypatch.chdir(photos.parent)
    listing = corpus.from_glob(
        "photos/1/*.png", "photos/0/00.png", "photos/*/0*"
    )
    ids = listing.table["id"].to_pylist()
    assert ids == sorted(ids) and {"0/00.png", "1/39.png", "0/08.png"} <= set(
        ids
    )
    assert len(ids) == len(set(ids)) == 25
    assert corpus.from_glob("**/*.txt").table["id"].to_pylist() == [
        "photos/0/notes.txt"
    ]
    assert corpus.from_glob("photos/0/notes.txt").table["id"].to_pylist() == [
        "notes.txt"
    ]


def test_nothing_to_encode(tmp_path):
    for pattern in (f"{tmp_path}/*.png", str(tmp_path), f"{tmp_path}/no.png"):
        with pytest.raises(ValueError, match="There is no image to encode"):
            corpus.from_glob(pattern)
    with pytest.raises(ValueError, match="There is no file of records"):
        corpus.from_tfrecord(f"{tmp_path}/*")
    (tmp_path / "empty.tfrecord").write_bytes(b"")
    with pytest.raises(ValueError, match="There is no record"):
        corpus.from_tfrecord(f"{tmp_path}/*")
    (tmp_path / "list.csv").write_text("file\n")
    with pytest.raises(ValueError, match="There is no row"):
        corpus.from_csv(f"{tmp_path}/list.csv", "file")


@pytest.mark.parametrize(
    "ids, expected",
    [
        (["3", "-1", "12"], [3, -1, 12]),
        (["3", "007"], ["3", "007"]),
        (["3", "1e3"], ["3", "1e3"]),
        (["+3"], ["+3"]),
        (["9" * 30], ["9" * 30]),
        (["a,b", 'say "x"', "new\nline"], ["a,b", 'say "x"', "new\nline"]),
    ],
)
def test_ids_of_a_csv_file_keep_what_is_written(tmp_path, ids, expected):
    path = tmp_path / "list.csv"
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["id", "other", "file"])
        writer.writerows([i, "", f"x/{n}.png"] for n, i in enumerate(ids))
    listing = corpus.from_csv(str(path), "file", "id", delimiter=";")
    assert listing.table["id"].to_pylist() == expected
    assert listing.id_type == (
        "int64" if isinstance(expected[0], int) else "string"
    )
    files = [f"{tmp_path}/x/{number}.png" for number in range(len(ids))]
    assert listing.table["file"].to_pylist() == files


@pytest.mark.parametrize(
    "text, message",
    [
        ("file,id\na,1\nb,1\nc,2\nd,2\n", r"1 2 times; 2 ids occur"),
        ("file,id\na,1\n,2\n", "nothing in row 2"),
        ("file,id\na,\n", "Each row of .* should have a 'id'"),
        ("file\na\n", "with the columns"),
        ("file,id\na\n", "Expected 2 columns"),
        ("file,id\n\xff,1\n", "UTF-8|UTF8"),
    ],
)
def test_bad_csv_files(tmp_path, text, message):
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        corpus.from_csv(str(path), "file", "id")
    with pytest.raises(ValueError, match="No such file"):
        corpus.from_csv(f"{tmp_path}/no.csv", "file", "id")


def test_records_lie_where_the_scan_says(tmp_path, rng):
    import tensorflow as tf

    paths = [tmp_path / f"x.tfrecord-{part}" for part in (0, 1)]
    for path in paths:
        records = [
            example(image=rng.bytes(rng.randint(0, 300)), id=int(i))
            for i in range(20)
        ]
        write_records(path, records)
        places = tfrecord.scan(str(path), path.stat().st_size)
        content = path.read_bytes()
        read = [content[o : o + n] for o, n in places]
        expected = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        assert read == expected == records
    listing = corpus.from_tfrecord(str(tmp_path))
    assert listing.table["id"].to_pylist() == list(range(40))
    assert listing.table["file"].to_pylist() == [
        str(path) for path in paths for _ in range(20)
    ]
    assert corpus.from_tfrecord(f"{tmp_path}/*1").table["id"][0].as_py() == 0
    # Cut anywhere, or compressed: said, with the byte.
    for end in (1, 11, 15, len(content) - 1):
        paths[1].write_bytes(content[:end])
        with pytest.raises(ValueError, match="is cut off, compressed or no"):
            corpus.from_tfrecord(str(tmp_path))
    paths[1].write_bytes(zlib.compress(content))
    with pytest.raises(ValueError, match="is cut off, compressed or no"):
        corpus.from_tfrecord(str(tmp_path))


@pytest.mark.parametrize(
    "record, settings, message",
    [
        (b"\xff\xff", {}, "no tf.train.Example.*something else"),
        (example(photo=b"x"), {}, r"no image in feature 'image'.*\['photo'\]"),
        (example(image=3), {}, "no image in feature 'image'"),
        (example(image=b"x"), {"id_feature": "id"}, "no id in feature 'id'"),
        (
            example(image=b"x", id=0.5),
            {"id_feature": "id"},
            "no id in feature 'id'",
        ),
        (
            example(image=b"x", id=b"\xff"),
            {"id_feature": "id"},
            "feature 'id' is not UTF-8",
        ),
    ],
)
def test_records_without_what_is_needed(tmp_path, record, settings, message):
    write_records(tmp_path / "x.tfrecord", [record])
    with pytest.raises(ValueError, match=message):
        corpus.from_tfrecord(str(tmp_path), **settings)


# What is read and encoded.


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


def test_records_are_read_over_files(tmp_path):
    for part in range(3):
        records = [
            example(image=bytes([part, i]), id=f"{part}.{i}".encode())
            for i in range(5)
        ]
        records[2] = example(id=f"{part}.2".encode())
        records[3] = example(image=b"x", id=7)
        write_records(tmp_path / f"{part}.tfrecord", records)
    listing = corpus.from_tfrecord(str(tmp_path), id_feature="id")
    for size in (1, 4, 64):
        read, refused = {}, {}
        for batch, some in reading.batches(
            listing.table, size, "image", "id", listing.id_type
        ):
            read |= dict(batch)
            refused |= dict(some)
        assert read == {
            f"{p}.{i}": bytes([p, i]) for p in range(3) for i in (0, 1, 4)
        }
        assert refused == {
            **{f"{p}.2": "no image in feature 'image'" for p in range(3)},
            **{
                f"record {5 * p + 3}": "id of another type: 7" for p in range(3)
            },
        }


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
        rows = table.set_column(3, "length", length)
        ((images, refused),) = reading.batches(rows, 64)
        assert [name for name, _ in images] == ["02.png"]
        assert refused == [("00.png", "above 5000 bytes: 5001")]


@pytest.fixture(scope="module")
def encoder():
    return encoding.ServedEncoder(NAME)


@pytest.mark.parametrize("bad", [(), (0,), (6,), (1, 2, 5), range(7)])
def test_bad_images_are_found_among_good_ones(images, encoder, bad):
    contents = [png(image) for image in images[0][:7]]
    for place, place_in in enumerate(bad):
        contents[place_in] = [b"no image at all, but long enough", huge()][
            place % 2
        ]
    codes, kept, refused = encoder(contents)
    good = [place for place in range(7) if place not in bad]
    assert kept == good and sorted(refused) == sorted(bad)
    np.testing.assert_array_equal(codes, images[1][good])
    for place, reason in refused.items():
        huge_one = contents[place] == huge()
        wanted = "Image above" if huge_one else "Not a JPEG, PNG, GIF or BMP"
        assert reason.startswith(wanted), reason


def test_one_bad_image_costs_few_calls(images, encoder, monkeypatch):
    sizes = []
    graph = encoder._encode

    def counted(image_bytes):
        sizes.append(len(image_bytes))
        return graph(image_bytes=image_bytes)

    monkeypatch.setattr(encoder, "_encode", counted)
    contents = [png(images[0][0])] * 64
    contents[37] = b"bad"
    codes, kept, refused = encoder(contents)
    assert len(codes) == len(kept) == 63 and list(refused) == [37]
    assert len(sizes) == 13  # 64, and two halves at each of six levels
    sizes.clear()
    codes, kept, refused = encoder([])
    assert codes.shape == (0, 4) and not kept and not refused and not sizes


# The folder.


def test_a_folder_is_for_one_model_and_one_list(photos, tmp_path):
    out = tmp_path / "out"
    listing = corpus.from_glob(str(photos))
    first = prepare_lib.prepare(out, NAME, listing, 7)
    assert first.shards == 6 and first.size(5) == 5 and first.images == 40
    assert first.encoder == zoo.maker(zoo.card(NAME)) and first.bits == 30
    rows = [row for n in range(6) for row in first.rows(n).to_pylist()]
    assert rows == listing.table.to_pylist()
    # The entry is there, whole.
    zoo.verify_files(first.model)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    prepare_lib.prepare(out, NAME, listing)
    prepare_lib.prepare(
        out, first.model, corpus.from_glob(f"{photos}/**/*.png")
    )

    (photos / "2.png").write_bytes(b"new")
    with_another = corpus.from_glob(str(photos))
    (photos / "2.png").unlink()
    (photos / "0" / "00.png").write_bytes(b"another length")
    with_other_bytes = corpus.from_glob(str(photos))
    write_records(tmp_path / "x.tfrecord", [example(image=b"x")])
    records = corpus.from_tfrecord(str(tmp_path / "x.tfrecord"))
    for model, other, size, message in [
        (OTHER, listing, 7, f"codes of {NAME}. Received: {OTHER}"),
        (NAME, listing, 8, "7 images a shard. Received: images_per_shard=8"),
        (NAME, with_another, None, "40 images before, 41 now; .*2.png is new"),
        (NAME, with_other_bytes, None, "'length': 14.* now"),
        (NAME, records, None, "begun with image_feature=None"),
    ]:
        with pytest.raises(ValueError, match=message):
            prepare_lib.prepare(out, model, other, size)
    after = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert after == before


def test_an_encoder_that_was_trained_again_is_another_one(photos, tmp_path):
    listing = corpus.from_glob(str(photos))
    out = tmp_path / "out"
    prepare_lib.prepare(out, NAME, listing)
    path = out / "corpus.json"
    content = json.loads(path.read_text())
    content["encoder"]["files_sha256"] = "0" * 64
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"{NAME} with other weights"):
        prepare_lib.prepare(out, NAME, listing)


def test_a_folder_with_other_files_is_refused(photos, tmp_path):
    listing = corpus.from_glob(str(photos))
    with pytest.raises(ValueError, match="holds other files, such as .*00.png"):
        prepare_lib.prepare(photos, NAME, listing)
    with pytest.raises(ValueError, match="`images_per_shard` should be 1"):
        prepare_lib.prepare(tmp_path / "out", NAME, listing, 0)
    with pytest.raises(ValueError, match="is not the folder of a corpus"):
        list(corpus.read(str(tmp_path / "out")))


def test_a_kill_while_the_folder_is_prepared(photos, tmp_path, monkeypatch):
    listing = corpus.from_glob(str(photos))
    write = filesystems.write
    for stop in range(8):
        written, out = [], tmp_path / f"out{stop}"

        def killed(path, content, written=written, stop=stop):
            if len(written) == stop:
                pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
                pathlib.Path(f"{path}.new").write_bytes(content[:9])
                raise KeyboardInterrupt
            written.append(path)
            write(path, content)

        with monkeypatch.context() as patch:
            patch.setattr(filesystems, "write", killed)
            try:
                prepare_lib.prepare(out, NAME, listing)
            except KeyboardInterrupt:
                assert not (out / "corpus.json").exists()
            else:
                assert stop >= 7
                break
        prepared = prepare_lib.prepare(out, NAME, listing)
        assert prepared.shards == 1
        zoo.verify_files(prepared.model)
        assert not list(out.rglob("*.new"))
    else:
        pytest.fail("It never ended.")


@pytest.mark.parametrize(
    "images, size, shards",
    [
        (1, 1000, 1),
        (50_000, 1000, 50),
        (10**6, 5000, 200),
        (10**8, 10**5, 1000),
    ],
)
def test_shards_by_default(monkeypatch, tmp_path, images, size, shards):
    class Long:
        image_feature = id_feature = None
        id_type, table = "string", None

        def __len__(self):
            return images

    monkeypatch.setattr(prepare_lib, "_write_images", lambda *_: None)
    made = prepare_lib.prepare(tmp_path / "out", NAME, Long())
    assert (made.images_per_shard, made.shards) == (size, shards)
    assert sum(made.size(n) for n in range(shards)) == images


@pytest.fixture
def written(photos, tmp_path, images):
    """A corpus of five shards, written without Beam, and its codes."""
    made = prepare_lib.prepare(
        tmp_path / "out", NAME, corpus.from_glob(str(photos)), 8
    )
    codes = by_id(images)
    for shard in range(made.shards):
        ids = made.rows(shard)["id"].to_pylist()
        data = [np.frombuffer(codes[i], "uint8") for i in ids]
        made.write(shard, ids, np.array(data), [])
    return made, codes


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
    maker = zoo.maker(zoo.card(NAME))
    said = {k.decode(): v.decode() for k, v in schema.metadata.items()}
    assert said == {
        "keras_hash.encoder": NAME,
        "keras_hash.files_sha256": maker["files_sha256"],
        "keras_hash.bits": "30",
        "keras_hash.similarity": "hamming",
        "keras_hash.refused": "0",
    }


@pytest.mark.parametrize(
    "engine, package",
    [("MilvusIndex", "milvus_lite"), ("LanceIndex", "lancedb")],
)
def test_engines_take_what_is_read(written, tmp_path, engine, package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed, which {engine} needs")
    made, codes = written
    index = keras_hash.Index(30)
    other = getattr(search, engine)(30, tmp_path / "codes.db")
    for some, ids in made.read():
        index.add(some, ids)
        other.add(some, ids)
    queries = np.array([np.frombuffer(c, "uint8") for c in codes.values()])
    assert len(other) == len(index) == 40
    np.testing.assert_array_equal(
        other.search(queries, k=5)[0], index.search(queries, k=5)[0]
    )
    other.close()


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
    made.write(
        3, ids[2:], np.zeros((6, 4), "uint8"), [(ids[0], odd), (odd, "x")]
    )
    (tmp_path / "out" / "codes" / ".00003.1.new").write_bytes(b"of a kill")
    assert made.finish() == 2
    assert refusals(tmp_path / "out") == {ids[0]: odd, odd: "x"}
    assert len(found(tmp_path / "out")) == 38
    assert not list((tmp_path / "out").rglob("*.new"))
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


def test_progress():
    line = watching.line
    assert (
        line(9000, 3000, 3000, 20) == "3,000 of 9,000 images, 150/s, 40 s left"
    )
    # What was there before is done, but says nothing of the rate.
    assert line(
        9000, 8000, 2000, 400
    ) == "8,000 of 9,000 images, 5.0/s, 200 s left".replace("200 s", "3 min")
    assert line(10**9, 10**6, 10**6, 3600).endswith("278/s, 999.0 h left")
    assert line(9000, 1000, 0, 5) == "1,000 of 9,000 images"
    assert line(9000, 9000, 9000, 30) == "9,000 of 9,000 images, 300/s"


def test_progress_is_watched(written, monkeypatch):
    made, _ = written
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(watching, "_LOOK", 0.01)
    with watching.Watch(made, {0, 1}, stream):
        deadline = time.monotonic() + 10
        while not stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    shown = stream.getvalue().split("\r\x1b[K")
    assert shown[1].startswith("40 of 40 images, ") and shown[-1].endswith("\n")


def test_without_beam(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "keras_hash.corpus.pipeline", False)
    listing = corpus.from_glob(str(photos))
    with pytest.raises(ImportError, match=r"keras-hash\[beam\]"):
        encode(listing, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ImportError, match=r"gs://.*keras-hash\[beam\]"):
        filesystems.read("gs://bucket/file")


# All of it, on Beam.


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
def test_a_restart_encodes_what_is_missing(
    photos, tmp_path, images, monkeypatch
):
    calls = []
    call = encoding.ServedEncoder.__call__

    def counted(self, contents):
        calls.append(len(contents))
        return call(self, contents)

    monkeypatch.setattr(encoding.ServedEncoder, "__call__", counted)
    listing, out = corpus.from_glob(str(photos)), tmp_path / "out"
    write = folder_lib.Corpus.write

    def stops(self, shard, *content):
        if len(shards(out)) == 2:
            raise RuntimeError("the machine is gone")
        write(self, shard, *content)

    with monkeypatch.context() as patch:
        patch.setattr(folder_lib.Corpus, "write", stops)
        with pytest.raises(RuntimeError, match="the machine is gone"):
            encode(listing, out)
    # Two are written, though others of the same run are not.
    before = shards(out)
    assert len(before) == 2 and sum(calls) == 24
    calls.clear()
    done = encode(listing, out)
    assert done.shards == 3 and sum(calls) == 24
    after = shards(out)
    assert len(after) == 5 and before.items() <= after.items()
    assert found(out) == by_id(images)
    calls.clear()
    assert encode(listing, out).shards == 0 and not calls
    assert shards(out) == after
    # Lost, damaged, or refused and mended.
    (out / "codes" / "00001-of-00005.parquet").unlink()
    assert encode(listing, out).shards == 1 and sum(calls) == 8
    assert found(out) == by_id(images)
    with pytest.raises(ValueError, match=f"codes of {NAME}"):
        encode(listing, out, model=OTHER)
    assert found(out) == by_id(images)


@NEEDS_BEAM
def test_refused_images_are_tried_again(photos, tmp_path, images):
    path = photos / "0" / "00.png"
    content = path.read_bytes()
    path.write_bytes(bytes(len(content)))
    listing, out = corpus.from_glob(str(photos)), tmp_path / "out"
    assert encode(listing, out).refused == 1
    path.write_bytes(content)
    assert encode(listing, out).refused == 1
    done = encode(listing, out, retry=True)
    assert (done.refused, done.shards) == (0, 1)
    assert found(out) == by_id(images)


@NEEDS_BEAM
def test_the_model_is_loaded_once(photos, tmp_path, images, monkeypatch):
    from keras_hash.corpus import pipeline

    loads = []
    load = pipeline.ShardHandler.load_model

    def counted(self):
        loads.append(1)
        return load(self)

    monkeypatch.setattr(pipeline.ShardHandler, "load_model", counted)
    threads = ["--direct_num_workers", "2"]
    threads += ["--direct_running_mode", "multi_threading"]
    listing = corpus.from_glob(str(photos))
    encode(listing, tmp_path / "out", options=threads)
    assert len(loads) == 1 and found(tmp_path / "out") == by_id(images)


@NEEDS_BEAM
def test_the_handler_serves_any_pipeline(images):
    import apache_beam as beam
    from apache_beam.ml.inference import base
    from apache_beam.testing import util

    from keras_hash.corpus import pipeline

    contents = [(f"{n}", png(image)) for n, image in enumerate(images[0])]
    contents.append(("bad", b"this is no image at all, is it?"))
    handler = base.KeyedModelHandler(pipeline.EncoderHandler(NAME))
    expected = {f"{n}": code.tobytes() for n, code in enumerate(images[1])}

    def check(found):
        bad = dict(found).pop("bad")
        assert bad.code is None and bad.reason.startswith("Not a JPEG")
        codes = {name: one.code for name, one in found if name != "bad"}
        assert codes == expected

    options = pipeline.pipeline_options([])
    with beam.Pipeline(options=options) as beams:
        found = beams | beam.Create(contents) | base.RunInference(handler)
        util.assert_that(found, check)


@NEEDS_BEAM
def test_options_of_beam():
    from keras_hash.corpus import pipeline

    def options(*words):
        return pipeline.pipeline_options(words).get_all_options()

    assert options()["runner"] == "FnApiRunner"
    given = options("--runner", "FlinkRunner", "--flink_master=x:1")
    assert (given["runner"], given["flink_master"]) == ("FlinkRunner", "x:1")
    with pytest.raises(ValueError, match="no such options.*: imges_per_shard"):
        options("--imges_per_shard", "3")
    options("--runner", "FlinkRunner", "--", "--of_the_server", "3")


@NEEDS_BEAM
def test_other_file_systems(photos, tmp_path, images, monkeypatch):
    """All files by Beam's file systems, as for gs://."""
    monkeypatch.setattr(filesystems, "is_local", lambda path: False)
    listing = corpus.from_glob(f"{photos}/**/*.png")
    out = tmp_path / "out"
    assert encode(listing, out).shards == 5
    assert found(out) == by_id(images)
    assert not list(out.rglob("*.new"))
    (out / "codes" / "00004-of-00005.parquet").unlink()
    assert encode(listing, out).shards == 1
    read = [code for codes, _ in corpus.read(str(out)) for code in codes]
    np.testing.assert_array_equal(read, [*images[1][::2], *images[1][1::2]])


def tool(*arguments, **settings):
    command = [sys.executable, str(ROOT / "tools" / "encode_corpus.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **settings,
    )


@NEEDS_BEAM
def test_a_kill_in_the_middle(photos, tmp_path, images):
    """A real kill of the tool, and its second call in this process."""
    for path in list(photos.glob("*/*.png")):
        for copy in range(20):
            path.with_stem(f"{path.stem}_{copy}").write_bytes(path.read_bytes())
    out = tmp_path / "out"
    # More images than are done before the kill comes.
    run = tool(NAME, "--glob", photos, "--out", out, "--images-per-shard", 3)
    deadline = time.monotonic() + 120
    while run.poll() is None and time.monotonic() < deadline:
        if len(shards(out)) >= 2:
            break
        time.sleep(0.01)
    assert run.poll() is None, run.communicate()
    run.send_signal(signal.SIGKILL)
    run.communicate()
    before = shards(out)
    assert 2 <= len(before) < 280
    done = encode(corpus.from_glob(str(photos)), out, None)
    assert done.shards == 280 - len(before)
    assert before.items() <= shards(out).items()
    codes = by_id(images)
    expected = {
        re.sub(r"_\d+", "", name): code for name, code in found(out).items()
    }
    assert expected == codes and len(found(out)) == 840


@NEEDS_BEAM
def test_the_tool(photos, tmp_path, capsys):
    from keras_hash.corpus import __main__ as command

    def run(*words):
        code = command.main([*map(str, words)])
        return code, *capsys.readouterr()

    (photos / "0" / "bad.png").write_bytes(b"no")
    out = tmp_path / "out"
    first = [NAME, "--glob", photos, "--out", out]
    code, said, shown = run(*first, "--images-per-shard", 10)
    assert code == 0, shown
    assert said == (
        f"40 codes of 30 bits in {out}, 5 of 5 files new\n"
        f"1 images refused: {out}/refused.csv\n"
    )
    assert shown.startswith("41 images in the list\n41 of 41 images, ")
    code, said, shown = run(*first)
    assert code == 0 and "0 of 5 files new" in said
    code, said, shown = run(*first, "--retry")
    assert code == 0 and "1 of 5 files new" in said
    for words, message in [
        ([*first[:3], "--out", tmp_path], "holds other files"),
        ([*first, "--imges", 3], "no such options"),
        (["moon", *first[1:]], "should be a zoo entry"),
        ([NAME, "--csv", "x", "--out", out], "`--csv` needs `--image-column`"),
        ([*first, "--id-feature", "x"], "`--id-feature` is for `--tfrecord`"),
        ([NAME, "--glob", "no", "--out", out], "There is no image to encode"),
    ]:
        code, said, shown = run(*words)
        assert code == 2 and not said and message in shown, shown
        assert shown.splitlines()[-1].startswith("encode_corpus: ")


@NEEDS_BEAM
def test_ctrl_c_in_a_worker_stops_the_tool(
    photos, tmp_path, capsys, monkeypatch
):
    from keras_hash.corpus import __main__ as command

    def stop(self, contents):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    words = [NAME, "--glob", str(photos), "--out", str(out)]
    with monkeypatch.context() as patch:
        patch.setattr(encoding.ServedEncoder, "__call__", stop)
        assert command.main(words) == 130
    shown = capsys.readouterr().err
    assert shown.endswith("encode_corpus: stopped; call it again to go on\n")
    assert command.main(words) == 0 and len(found(out)) == 40
