"""Corel-5K: the real photos where they are, else a small folder like it."""

import numpy as np
import pytest
from PIL import Image

from keras_hash import data
from keras_hash.data import places

needs_corel = pytest.mark.skipif(
    places.found("corel5k") is None,
    reason="Corel-5K is not here; set KERAS_HASH_DATA",
)


@pytest.fixture(scope="module")
def corel():
    return data.load("corel5k")


def chance(a, b):
    return np.mean(a.astype("float32") @ b.T.astype("float32") > 0)


@pytest.mark.real
@needs_corel
def test_corel5k(corel):
    assert corel.checksum == (
        "c83ecf15ab84f5bfc263d39858588c0cbd99d74e6bb16a82c14966b805d75750"
    )
    sizes = {part: len(indices) for part, indices in corel.parts.items()}
    assert sizes == {
        "train": 4500,
        "validation": 0,
        "query": 499,
        "database": 4500,
    }
    assert corel.multi_label and corel.num_classes == 260
    assert corel.labels[:3] == ["city", "mountain", "sky"]
    assert len(corel.images) == 4999 and corel.targets.dtype == np.uint8


@pytest.mark.real
@needs_corel
def test_labels_of_corel5k(corel):
    train, query = (
        corel.targets[corel.parts[part]] for part in ("train", "query")
    )
    assert train.any(axis=0).all() and query.any(axis=0).all()
    np.testing.assert_array_equal(
        np.bincount(train.sum(axis=1, dtype=int)), [7, 68, 485, 1587, 2341, 12]
    )
    assert train.sum(axis=1).mean() == pytest.approx(3.383, abs=1e-3)
    assert query.sum(axis=1).mean() == pytest.approx(3.519, abs=1e-3)
    assert chance(query, train) == pytest.approx(0.1983, abs=1e-4)


@pytest.mark.real
@needs_corel
def test_photos_of_corel5k(corel):
    # Means, not bytes: JPEG decoders may differ in the last bit.
    means = [image.mean(axis=(0, 1)) for image in corel.images]
    np.testing.assert_allclose(
        np.mean(means, axis=0), [98.33, 102.15, 88.63], atol=0.2
    )
    first = corel.images[list(corel.ids).index("train/1000")]
    # A city under a yellow sun: red over green over blue.
    red, green, blue = first.mean(axis=(0, 1))
    assert red > green > blue


# Of these words, only city (1) and sea (3) occur in both splits.
WORDS = "city\r\nsky\r\nsea\r\ntree\r\n"
TRAIN = "12 1 3  \r\n7 2\r\n9 3 3 \r\n"
TEST = "5 1 3 \r\n4 4 \r\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in the layout of Corel-5K, alone in `KERAS_HASH_DATA`."""
    place = tmp_path / "given" / "corel5k"
    for name in ("train_jpeg", "test_jpeg", "labels"):
        (place / name).mkdir(parents=True)
    for name, text in (
        ("words", WORDS),
        ("training_label", TRAIN),
        ("test_label", TEST),
    ):
        (place / "labels" / name).write_bytes(text.encode())
    for number, name in enumerate(
        ("train_jpeg/12", "train_jpeg/7", "train_jpeg/9", "test_jpeg/5")
    ):
        image = Image.new("RGB", (24, 16), (60 * number, 0, 0))
        image.save(place / f"{name}.jpeg")
    Image.new("L", (16, 24), 200).save(place / "test_jpeg" / "4.jpeg")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("KERAS_HASH_DATA", str(tmp_path / "given"))
    return place


def test_layout(folder):
    before = sorted(folder.rglob("*"))
    benchmark = data.load("corel5k")
    assert sorted(folder.rglob("*")) == before
    assert list(benchmark.ids) == [
        "train/12",
        "train/7",
        "train/9",
        "test/5",
        "test/4",
    ]
    assert benchmark.labels == ["city", "sea"]
    np.testing.assert_array_equal(
        benchmark.targets, [[1, 1], [0, 0], [0, 1], [1, 1], [0, 0]]
    )
    for part, indices in (
        ("train", [0, 1, 2]),
        ("validation", []),
        ("query", [3, 4]),
        ("database", [0, 1, 2]),
    ):
        np.testing.assert_array_equal(benchmark.parts[part], indices)
    # Each row has its own photo; the grey one has three equal channels.
    got = [image.mean(axis=(0, 1)) for image in benchmark.images]
    np.testing.assert_allclose(np.array(got)[:4, 0], [0, 60, 120, 180], atol=2)
    np.testing.assert_allclose(got[4], 200, atol=1)


def test_photos_are_turned_and_resized_with_antialias(folder):
    pixels = np.zeros((512, 256, 3), "uint8")
    pixels[:256] = 240
    pixels[256:, ::2] = 100
    turned = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6  # Shown after a quarter turn clockwise.
    turned.save(folder / "train_jpeg" / "12.jpeg", exif=exif, quality=95)
    image = data.load("corel5k").images[0]
    assert image.shape == (256, 512, 3)
    (image, *_), _ = data.load("corel5k").arrays("train", image_size=128)
    image = image.astype(float)
    # The upper half is now the right one; the stripes have become grey.
    np.testing.assert_allclose(image[:, 70:], 240, atol=3)
    np.testing.assert_allclose(image[8:-8, 8:56], 50, atol=12)


def test_the_folder_is_looked_for(folder, monkeypatch):
    assert places.found("corel5k") is not None
    given = folder.parent
    shared = given.parent / "shared" / "data" / "corel5k"
    shared.parent.mkdir(parents=True)
    folder.rename(shared)
    assert len(data.load("corel5k").ids) == 5
    monkeypatch.delenv("KERAS_HASH_DATA")
    assert places.found("corel5k") is not None
    shared.rename(given / "elsewhere")
    assert places.found("corel5k") is None
    monkeypatch.setenv("KERAS_HASH_DATA", str(given))
    with pytest.raises(FileNotFoundError, match="set KERAS_HASH_DATA") as error:
        data.load("corel5k")
    assert str(given / "corel5k") in str(error.value)
    assert "shared" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name, text, message",
    [
        (
            "training_label",
            "12 1\n7 x\n9 3\n",
            r"training_label, line 2: .*7 x",
        ),
        ("training_label", "12 1\n7 5\n", r"line 2: .*from 1 to 4.*'7 5'"),
        ("training_label", "12 0\n", "line 1: .*'12 0'"),
        ("training_label", "12 -1\n", "line 1: .*'12 -1'"),
        ("test_label", "5 1\n4 1\n5 2\n", "test_label, line 3: .*no other"),
        ("test_label", "5 1\n\n4 1\n", "test_label, line 2: .*''"),
        ("words", "city\n \nsea\n", "words, line 2: .*an empty line"),
    ],
)
def test_bad_lines(folder, name, text, message):
    (folder / "labels" / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        data.load("corel5k")


def test_an_image_without_words_stays(folder):
    (folder / "labels" / "training_label").write_text("12\n7 1\n9 3\n\n")
    assert not data.load("corel5k").targets[0].any()


def test_missing_files(folder):
    (folder / "test_jpeg" / "4.jpeg").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"test_label, line 2: .*4\.jpeg is missing"
    ):
        data.load("corel5k")
    (folder / "labels" / "words").unlink()
    with pytest.raises(FileNotFoundError, match="words, which is missing"):
        data.load("corel5k")


@pytest.mark.parametrize("keep, reason", [(0, "empty file"), (400, "damaged")])
def test_broken_images(folder, keep, reason):
    path = folder / "train_jpeg" / "7.jpeg"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"7\.jpeg: {reason}"):
        data.load("corel5k").arrays("train", image_size=128)
