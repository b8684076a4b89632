"""Entries against their cards: figures, codes, files, machines."""

import dataclasses
import json
import os
import shutil
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_hash
from keras_hash import zoo
from keras_hash.cli import inputs
from keras_hash.export import decoding
from keras_hash.export import proof
from keras_hash.zoo import verify

NAME = "dshc_digits_30"


@pytest.fixture(scope="module")
def digits():
    return keras_hash.data.load("digits")


@pytest.fixture
def entry(tmp_path):
    """A copy of an entry, and a function that changes its card."""
    folder = tmp_path / "copy"
    shutil.copytree(zoo.entry_folder(NAME), folder)

    def change(**changes):
        path = folder / "card.json"
        card = {**json.loads(path.read_text()), **changes}
        path.write_text(json.dumps(card))
        return card

    return folder, change


def test_an_entry_is_what_its_card_says(digits):
    asked = []

    def benchmark(card):
        asked.append(card["dataset"])
        return digits

    result = verify.verify(NAME, benchmark)
    assert asked == ["digits"] and result.passed and not result.problems()
    assert result.same_split is True
    assert set(result.report.metrics) >= set(result.card["metrics"])
    model = keras_hash.load(NAME)
    for part, same in result.same_codes.items():
        codes = model.encode(digits.arrays(part)[0])
        recorded = result.card["code_sha256"][part]
        assert same is (verify.code_hash(codes) == recorded)
    assert set(result.same_codes) == {"query", "database"}
    content = json.loads(json.dumps(result.to_dict()))
    assert content["passed"] and content["measured"]["map"] > 0.9


def test_a_figure_that_differs(entry, digits):
    folder, change = entry
    card = zoo.card(folder)
    change(
        measured_on=verify.machine(),
        metrics={**card["metrics"], "map": card["metrics"]["map"] + 2e-4},
        code_sha256={**card["code_sha256"], "query": "0" * 64},
    )
    result = verify.verify(folder, digits)
    assert list(result.differing) == ["map"] and not result.passed
    wanted, measured = result.differing["map"]
    assert wanted - measured == pytest.approx(2e-4, abs=1e-5)
    assert "metrics differ by more than" in result.problems()
    assert "map: 0.98" in result.problems()
    assert not result.same_codes["query"]


def test_the_conventions_are_those_of_the_card(entry, digits):
    folder, change = entry
    conventions = {**zoo.card(folder)["conventions"], "k": [7]}
    metrics = {"map": 0.5, "map@7": 0.5, "old": 1.0}
    change(conventions=conventions, metrics=metrics)
    result = verify.verify(folder, digits)
    assert "map@7" in result.report.metrics
    assert "map@1000" not in result.report.metrics
    assert result.differing["old"] == (1.0, None)
    assert "old: 1.000000 on the card, none measured" in result.problems()


def test_other_data_than_on_the_card(entry, digits):
    folder, change = entry
    change(split_checksum="0" * 64)
    result = verify.verify(folder, digits)
    assert result.same_split is False and not result.passed
    assert "digits is split differently" in result.problems()


def test_files_come_first(entry):
    folder, _ = entry
    (folder / "1" / "saved_model.pb").write_bytes(b"other")

    def never(card):
        raise AssertionError("the data are read in vain")

    with pytest.raises(ValueError, match=r"saved_model.pb .* is damaged"):
        verify.verify(folder, never)


@pytest.mark.parametrize(
    "tolerance, wrong",
    [(1e-6, ["a", "b", "gone", "nan"]), (5e-5, ["b", "gone", "nan"])],
)
def test_differences(tolerance, wrong):
    wanted = {"a": 0.5, "b": 0.5, "same": 1.0, "many": 278.0}
    wanted |= {"nan": 1.0, "gone": 1.0}
    measured = {"a": 0.50001, "b": 0.4, "same": 1.0, "many": 278.0001}
    measured["nan"] = float("nan")
    # Where every query is skipped, on the card and now.
    wanted["skipped"] = measured["skipped"] = float("nan")
    found = verify.differences(wanted, measured, tolerance)
    # What is above 1 may differ by its share: not "many".
    assert sorted(found) == wrong
    assert found["gone"] == (1.0, None)


def test_tolerance_follows_machine_and_versions(monkeypatch):
    monkeypatch.setattr(verify, "_has_gpu", lambda: False)
    for setting in verify._KERNELS:
        monkeypatch.delenv(setting, raising=False)
    versions = verify.versions()
    assert versions["numpy"] == np.__version__
    here = verify.machine()
    assert here.startswith(f"{os.cpu_count()} x ")
    # Another number of cores is the same kind.
    card = dataclasses.replace(
        zoo.card(NAME),
        measured_on="99 x " + here.split(" x ", 1)[1],
        versions=versions,
    )
    assert verify.tolerance_for(card)[0] == 1e-6
    for change, reason in (
        ({"measured_on": "2 x Other, Keras on jax"}, "measured on Other"),
        ({"measured_on": here.replace("tensorflow", "jax")}, "Keras on jax"),
        ({"measured_on": None, "machine": None}, "names no kind"),
        ({"versions": {**versions, "numpy": "1.0"}}, "with numpy 1.0, here"),
    ):
        changed = dataclasses.replace(card, **change)
        tolerance, why = verify.tolerance_for(changed)
        assert tolerance == 5e-5 and reason in why
    older = {**versions, "keras_hash": "0.0.1"}
    changed = dataclasses.replace(card, versions=older)
    assert verify.tolerance_for(changed)[0] == 1e-6
    with monkeypatch.context() as patch:
        patch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
        tolerance, why = verify.tolerance_for(card)
        assert tolerance == 5e-5 and "TF_ENABLE_ONEDNN_OPTS=0 is set" in why
    monkeypatch.setattr(verify, "_has_gpu", lambda: True)
    assert "GPU" in verify.tolerance_for(card)[1]


def test_the_data_of_a_card(tmp_path, monkeypatch):
    card = dataclasses.replace(zoo.card(NAME), recipe=None)
    own = dataclasses.replace(card, recipe={"data": "photos"})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="trained on are not here"):
        inputs.benchmark_of_card(own)
    assert inputs.benchmark_of_card(card).name == "digits"
    # A name that is looked for nowhere but here.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.delenv("KERAS_HASH_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="not on this machine"):
        inputs.benchmark_of_card(dataclasses.replace(card, dataset="cifar10"))


def test_files_have_to_get_the_same_codes(tmp_path, monkeypatch):
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (40, 8, 8, 3), "uint8")
    bench = keras_hash.data.from_arrays(images, np.arange(40) % 2, query=0.5)
    model = keras_hash.models.CSQ(16, 2, input_shape=(8, 8, 3))
    keras_hash.zoo.publish(model, tmp_path / "mine", bench)
    found = verify.verify(tmp_path / "mine", bench)
    assert found.passed and found.files_differing == 0
    # Another decoder than that of the graph.
    decode = proof.images.decode
    monkeypatch.setattr(
        proof.images, "decode", lambda content: 255 - decode(content)
    )
    found = verify.verify(tmp_path / "mine", bench)
    assert not found.passed and found.files_differing > 0
    assert "image files get another code" in found.problems()


@pytest.mark.slow
def test_files_that_the_graph_refuses_are_no_other_codes(tmp_path, monkeypatch):
    """Too many at once, and one that it takes for another reason not."""
    rng = np.random.RandomState(0)
    for number in range(24):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(rng.randint(0, 256, (20, 20, 3), "uint8"))
        image.save(path)
    content = path.read_bytes()
    # EXIF behind the pixels, which the graph does not read.
    exif = b"eXIf" + b"II*\0\x08\0\0\0\0\0\0\0\0\0"
    size, sum_ = len(exif) - 4, zlib.crc32(exif)
    chunk = size.to_bytes(4) + exif + sum_.to_bytes(4)
    path.write_bytes(content[:-12] + chunk + content[-12:])
    bench = keras_hash.data.from_folder(tmp_path / "photos", query=0.99)
    assert len(bench.parts["query"]) > 20
    monkeypatch.setattr(decoding, "MAX_BYTES", 5000)
    model = keras_hash.models.CSQ(16, 2, input_shape=(8, 8, 3))
    keras_hash.zoo.publish(model, tmp_path / "mine", bench)
    served = tf.saved_model.load(str(tmp_path / "mine" / "1"))
    for refused in ([path.read_bytes()], [content] * 24):
        with pytest.raises(tf.errors.InvalidArgumentError):
            served.encode_bytes(tf.constant(refused))
    found = verify.verify(tmp_path / "mine", bench)
    assert found.passed and found.files_differing == 0
    decode = proof.images.decode
    monkeypatch.setattr(
        proof.images, "decode", lambda content: 255 - decode(content)
    )
    assert verify.verify(tmp_path / "mine", bench).files_differing > 20
