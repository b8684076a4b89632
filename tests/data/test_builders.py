"""Builders on small folders like the publishers', and what `load` reads."""

import dataclasses
import importlib
import json
import pathlib
import tempfile
import unittest
import urllib.request

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from keras_hash import data
from keras_hash.data import builders
from keras_hash.data import draws
from keras_hash.data import label_sets
from keras_hash.data import protocols
from keras_hash.data import tfds_sets
from keras_hash.data.builders import photos
from keras_hash.data.builders.nus_wide import nus_wide_dataset_builder


def save(path, grey, size=(24, 16), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = grey if mode == "L" else (grey,) * len(mode)
    Image.new(mode, size, colour).save(path, quality=95, **options)


def write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\r\n" for line in lines))


def nus_wide_folder(folder):
    """Five photos: of the first id twice, one broken, one missing."""
    files = [
        "actor\\0001_11.jpg",
        "zoo\\0002_11.jpg",
        "zoo\\0003_7.jpg",
        "zoo\\0004_8.jpg",
        "zoo\\0005_9.jpg",
    ]
    write(folder / "ImageList" / "Imagelist.txt", files)
    for place, file in enumerate(files[:4]):
        save(folder / "Flickr" / file.replace("\\", "/"), 40 * place)
    (folder / "Flickr" / "zoo" / "0003_7.jpg").write_bytes(b"<html>")
    for name in label_sets.NUS81:
        rows = {"sky": "11101", "airport": "10010"}.get(name, "00000")
        write(folder / "Groundtruth" / "AllLabels" / f"Labels_{name}.txt", rows)
    write(folder / "Concepts81.txt", label_sets.NUS81)
    write(
        folder / "NUS-WIDE-urls.txt",
        [
            "Photo_file Photo_id url_Large url_Middle url_Small url_Original",
            r"C:\ImageData\Flickr\zoo\0003_7.jpg 7 null http://gone/7.jpg "
            "http://here/7.jpg null",
            r"C:\ImageData\Flickr\zoo\0005_9.jpg 9 null http://gone/9.jpg",
        ],
    )


def mirflickr_folder(folder):
    """Photos 1, 2 and 30: upright, turned, and without a label; 4 is empty."""
    images = folder / "mirflickr"
    exif = Image.Exif()
    exif[0x0112] = 6
    save(images / "im1.jpg", 50, mode="L")
    save(images / "im2.jpg", 90, exif=exif)
    save(images / "im30.jpg", 130, mode="CMYK")
    (images / "im4.jpg").write_bytes(b"")
    lists = {"baby": [1, 2], "baby_r1": [2], "water": [1]}
    for name in label_sets.MIR38:
        write(folder / "annotations" / f"{name}.txt", lists.get(name, []))


MAKE = {
    "nus_wide": nus_wide_folder,
    "mirflickr25k": mirflickr_folder,
}


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Prepares a small set; TFDS_DATA_DIR is where it goes."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setattr(
        importlib.import_module(
            "keras_hash.data.builders.mirflickr25k.mirflickr25k_dataset_builder"
        ),
        "COUNT",
        40,
    )

    def prepare(name, config=None):
        folder = tmp_path / "given" / name
        MAKE[name](folder)
        before = sorted(folder.rglob("*"))
        builder = builders.prepare(name, folder, tmp_path / "tfds", config)
        assert sorted(folder.rglob("*")) == before
        return builder

    return prepare


def rows(builder, split):
    """Examples by id: labels by name, and the image."""
    names = builder.info.features["labels"].feature.names
    return {
        row["id"].decode(): ([names[c] for c in row["labels"]], row["image"])
        for row in tfds.as_numpy(builder.as_dataset(split=split))
    }


def metadata(builder):
    return json.loads((builder.data_path / "metadata.json").read_text())


def test_nus_wide(prepared):
    builder = prepared("nus_wide")
    found = rows(builder, "full")
    assert {name: labels for name, (labels, _) in found.items()} == {
        "11": ["airport", "sky"],
        "11-2": ["sky"],
        "8": ["airport"],
    }
    assert [image.mean() for _, image in (found["11-2"], found["8"])] == [
        40,
        120,
    ]
    assert found["11"][1].shape == (16, 24, 3)
    assert metadata(builder) == {"listed": 5, "missing": 2, "fetched": 0}
    assert "269,648" in builder.info.description
    assert "chua09" in builder.info.citation
    assert "research" in str(builder.info.redistribution_info)


def test_nus_wide_fetches_what_is_missing(prepared, monkeypatch, tmp_path):
    save(tmp_path / "answer.jpg", 77)
    asked = []

    def answer(url, timeout):
        asked.append(url)
        if url == "http://here/7.jpg":
            return urllib.request.urlopen(
                (tmp_path / "answer.jpg").as_uri(), timeout
            )
        raise OSError("404")

    module = dataclasses.make_dataclass("request", ["urlopen"])(answer)
    fake = dataclasses.make_dataclass("urllib", ["request"])(module)
    monkeypatch.setattr(nus_wide_dataset_builder, "urllib", fake)
    builder = prepared("nus_wide", "urls")
    found = rows(builder, "full")
    assert set(found) == {"11", "11-2", "7", "8"}
    assert found["7"][0] == ["sky"] and found["7"][1].mean() == 77
    assert sorted(asked) == [
        "http://gone/7.jpg",
        "http://gone/9.jpg",
        "http://here/7.jpg",
    ]
    assert metadata(builder) == {"listed": 5, "missing": 1, "fetched": 1}


def test_flickr_pictures_of_deleted_photos_do_not_count(tmp_path):
    save(tmp_path / "photo_unavailable.jpg", 1)
    save(tmp_path / "photo.jpg", 2)
    urls = [
        (tmp_path / name).as_uri()
        for name in ("missing.jpg", "photo_unavailable.jpg", "photo.jpg")
    ]
    assert nus_wide_dataset_builder.fetch(urls).mean() == 2
    assert nus_wide_dataset_builder.fetch(urls[:2]) is None
    (tmp_path / "photo.jpg").write_bytes(b"<html>")
    assert nus_wide_dataset_builder.fetch(urls) is None


@pytest.mark.parametrize(
    "file, lines, message",
    [
        ("Concepts81.txt", ["sky", "moon"], "unexpected or missing"),
        ("Groundtruth/AllLabels/Labels_sky.txt", "0101", "each of 5 photos"),
        ("Groundtruth/AllLabels/Labels_sky.txt", "01012", "each of 5 photos"),
    ],
)
def test_broken_lists_of_nus_wide(tmp_path, file, lines, message):
    nus_wide_folder(tmp_path)
    write(tmp_path / file, lines)
    with pytest.raises(ValueError, match=message):
        nus_wide_dataset_builder.read_targets(tmp_path, 5)


def test_mirflickr(prepared):
    builder = prepared("mirflickr25k")
    found = rows(builder, "full")
    assert {name: labels for name, (labels, _) in found.items()} == {
        "im1": ["baby", "water"],
        "im2": ["baby", "baby_r1"],
        "im30": [],
    }
    shapes = {name: image.shape for name, (_, image) in found.items()}
    assert shapes == {
        "im1": (16, 24, 3),
        "im2": (24, 16, 3),
        "im30": (16, 24, 3),
    }
    assert metadata(builder) == {"listed": 40, "missing": 37}


def test_broken_annotations_of_mirflickr(prepared, tmp_path):
    module = importlib.import_module(
        "keras_hash.data.builders.mirflickr25k.mirflickr25k_dataset_builder"
    )
    mirflickr_folder(tmp_path)
    for bad in ("0", "41", "one"):
        write(tmp_path / "annotations" / "sky.txt", [3, bad])
        with pytest.raises(ValueError, match=rf"sky\.txt.*'{bad}'"):
            module.read_labels(tmp_path / "annotations")
    (tmp_path / "annotations" / "sky.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"sky\.txt is missing"):
        module.read_labels(tmp_path / "annotations")


@pytest.mark.parametrize("name", builders.NAMES)
def test_as_tensorflow_datasets_tests_its_own(name):
    """Registered, described, prepared, and read back eagerly."""
    pytest.importorskip("dill", reason="TensorFlow Datasets tests with it")
    splits = {
        "nus_wide": {"full": 3},
        "mirflickr25k": {"full": 3},
    }[name]
    with tempfile.TemporaryDirectory() as folder:
        MAKE[name](pathlib.Path(folder))
        case = type(
            "Case",
            (tfds.testing.DatasetBuilderTestCase,),
            {
                "DATASET_CLASS": builders.get(name),
                "EXAMPLE_DIR": folder,
                "SPLITS": splits,
                "BUILDER_CONFIG_NAMES_TO_TEST": (
                    ["local"] if name == "nus_wide" else None
                ),
            },
        )
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    problems = [text for _, text in result.errors + result.failures]
    assert result.testsRun >= 5 and not problems, problems


def test_unknown_names(tmp_path):
    with pytest.raises(ValueError, match="name='moon'"):
        builders.get("moon")
    with pytest.raises(FileNotFoundError, match="ImageList/Imagelist.txt"):
        builders.prepare("nus_wide", tmp_path / "nothing", tmp_path)
    assert builders.get("nus_wide") is builders.get("nus_wide")


def test_photos(tmp_path):
    save(tmp_path / "a.jpg", 9)
    assert photos.encoded(tmp_path / "a.jpg") == str(tmp_path / "a.jpg")
    Image.new("RGB", (4, 4), (9, 9, 9)).save(tmp_path / "png.jpg", "png")
    assert photos.encoded(tmp_path / "png.jpg").shape == (4, 4, 3)
    assert photos.encoded(tmp_path / "missing.jpg") is None
    with pytest.raises(FileNotFoundError, match="One of these"):
        photos.first([tmp_path / "x", tmp_path / "y"])


def make_set(folder, name, config, features, examples):
    """Prepares examples `{split: [example]}` as a dataset."""

    class Made(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = (
            [tfds.core.BuilderConfig(name=config)] if config else []
        )

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {split: self.examples(split) for split in examples}

        def examples(self, split):
            yield from enumerate(examples[split])

        def _generate_examples(self):
            raise NotImplementedError

    Made.name = name
    Made(data_dir=folder).download_and_prepare()


def voc_examples(random, split, count):
    shapes = [(20, 30, 3), (31, 17, 3)]
    return [
        {
            "image": np.full(shapes[i % 2], random.randint(256), "uint8"),
            "image/filename": f"{random.randint(10**6):06d}_{split}{i}.jpg",
            "labels_no_difficult": sorted({i % 20, random.randint(20)}),
        }
        for i in range(count)
    ]


@pytest.fixture
def voc(tmp_path, monkeypatch, rng):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    examples = {
        split: voc_examples(rng, split, count)
        for split, count in (("train", 7), ("validation", 5), ("test", 6))
    }
    make_set(
        tmp_path,
        "voc",
        "2007",
        {
            "image": tfds.features.Image(encoding_format="png"),
            "image/filename": tfds.features.Text(),
            "labels_no_difficult": tfds.features.Sequence(
                tfds.features.ClassLabel(num_classes=20)
            ),
        },
        examples,
    )
    return examples


def test_a_lazy_pool_of_records(voc):
    with pytest.warns(UserWarning, match="query: 6 images instead of 4952"):
        benchmark = data.load("voc2007")
    assert list(benchmark.ids) == sorted(benchmark.ids)
    assert len(benchmark.images) == 18 and benchmark.image_size is None
    known = {
        example["image/filename"]: (split, example)
        for split, examples in voc.items()
        for example in examples
    }
    for part, splits in (
        ("query", {"test"}),
        ("train", {"train", "validation"}),
    ):
        names = benchmark.ids[benchmark.parts[part]]
        assert {known[name][0] for name in names} == splits
        for (image, row), name in zip(
            getattr(benchmark, part).as_numpy_iterator(), names, strict=True
        ):
            example = known[name][1]
            assert image.shape == example["image"].shape
            assert (image == example["image"][0, 0, 0]).all()
            labels = sorted(set(example["labels_no_difficult"]))
            assert np.flatnonzero(row).tolist() == labels
    pool = benchmark.images
    for got, wanted in zip(pool[[3, 0]], (pool[3], pool[0]), strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert len(pool[np.arange(18) < 2]) == 2 and pool[np.zeros(0, int)] == []


def test_nested_labels_and_unlabelled_images(tmp_path, monkeypatch, rng):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    image = np.zeros((4, 4, 3), "uint8")
    make_set(
        tmp_path,
        "coco",
        "2014",
        {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "image/filename": tfds.features.Text(),
            "objects": tfds.features.Sequence(
                {
                    "label": tfds.features.ClassLabel(num_classes=80),
                    "area": np.int64,
                }
            ),
        },
        {
            split: [
                {
                    "image": image,
                    "image/filename": f"{split}{i}.jpg",
                    "objects": [
                        {"label": c, "area": 1} for c in (i, 79)[: i % 3]
                    ],
                }
                for i in range(6)
            ]
            for split in ("train", "validation")
        },
    )
    plan = dataclasses.replace(
        protocols.find("coco", "hashnet-clean"),
        counts={"query": 2, "train": 3, "database": 3},
        draw=lambda targets, _: draws.draw_at_random(targets, 2, 3, 0, False),
    )
    benchmark = tfds_sets.load(plan)
    assert list(benchmark.ids) == [
        f"{split}{i}.jpg"
        for split in ("train", "validation")
        for i in (1, 2, 4, 5)
    ]
    first = [np.flatnonzero(row).tolist() for row in benchmark.targets[:4]]
    assert first == [[1], [2, 79], [4], [5, 79]]


def test_cifar100_has_fine_and_coarse_labels(tmp_path, monkeypatch, rng):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    images = rng.randint(0, 256, (9, 32, 32, 3)).astype("uint8")
    examples = [
        {
            "id": f"{split}_{i}",
            "image": images[i],
            "label": 10 * i,
            "coarse_label": i // 3,
        }
        for i, split in enumerate(["train"] * 6 + ["test"] * 3)
    ]
    make_set(
        tmp_path,
        "cifar100",
        None,
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(32, 32, 3)),
            "label": tfds.features.ClassLabel(num_classes=100),
            "coarse_label": tfds.features.ClassLabel(num_classes=20),
        },
        {"train": examples[:6], "test": examples[6:]},
    )
    with pytest.warns(UserWarning, match="not complete"):
        benchmark = data.load("cifar100")
    assert not benchmark.multi_label and benchmark.num_classes == 100
    assert isinstance(benchmark.images, np.ndarray)
    order = [6, 7, 8, 0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(benchmark.images, images[order])
    np.testing.assert_array_equal(benchmark.targets, np.array(order) * 10)
    with pytest.warns(UserWarning, match="not complete"):
        levels = data.load("cifar100", "levels")
    assert levels.targets.shape == (9, 120) and levels.num_classes == 120
    shared = levels.targets.astype(int) @ levels.targets.T
    coarse = np.array(order) // 3
    expected = (coarse[:, None] == coarse) + np.eye(9, dtype=int)
    np.testing.assert_array_equal(shared, expected)


def test_own_sets_are_loaded(prepared):
    plan = dataclasses.replace(
        protocols.find("mirflickr25k", "mir24"),
        counts={"query": 1, "train": 1, "database": 1},
        draw=lambda targets, _: draws.draw_at_random(targets, 1, 1, 0, True),
    )
    prepared("mirflickr25k")
    benchmark = tfds_sets.load(plan)
    assert list(benchmark.ids) == ["im1", "im2"]
    assert benchmark.labels == list(label_sets.MIR24)
    assert benchmark.targets.sum(axis=1).tolist() == [2, 1]
    means = [image.mean() for image in benchmark.images]
    np.testing.assert_allclose(means, [50, 90], atol=1)


@pytest.mark.parametrize("name", sorted(tfds_sets.SOURCES))
def test_sets_that_are_not_here(name, tmp_path, monkeypatch):
    for variable in ("TFDS_DATA_DIR", "KERAS_HASH_DATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    protocol = next(iter(protocols.of(name)))
    with pytest.raises(FileNotFoundError) as error:
        data.load(name, protocol)
    assert "prepare" in str(error.value).lower()
    assert tfds_sets.SOURCES[name].builder in str(error.value)
    assert "\n" not in str(error.value)
