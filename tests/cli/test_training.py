"""`keras-hash train`."""

import argparse
import json
import os
import pathlib
import re
import shlex
import signal

import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash import zoo
from keras_hash.cli import inputs
from keras_hash.cli import training
from tests.cli import command
from tests.cli.command import run

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def photos(tmp_path, rng):
    """Two classes that differ in colour, and a file that is not an image."""
    for c, kind in enumerate(("cats", "dogs")):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(12):
            image = rng.randint(0, 128, (20, 24, 3)).astype("uint8")
            image[..., 2 * c] += 120
            Image.fromarray(image).save(tmp_path / f"photos/{kind}/{i}.png")
    (tmp_path / "photos/cats/notes.txt").write_text("about cats")
    return tmp_path / "photos"


def test_the_command_of_the_page(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    text = (ROOT / "docs/own_images.md").read_text()
    (line,) = re.findall(r"^keras-hash (train --data photos.*)$", text, re.M)
    code, out, err = run(
        *shlex.split(line), "--size", 32, "--epochs", 2, "--augment"
    )
    assert code == 0, err
    assert "cats/notes.txt: not an image" in out
    assert out.index("cats 12, dogs 12") < out.index("chance_map")
    assert keras_hash.load("runs/mine").image_shape == (32, 32, 3)
    with Image.open("runs/mine/search.png") as picture:
        assert min(picture.size) > 100
    code, out, err = run("evaluate", "runs/mine")
    assert code == 0 and "mAP on the card" in out, err
    code, _, err = run("evaluate", "runs/mine", "--protocol", "nonsense")
    assert code == 2 and "not for images of your own" in err


def test_train_a_shallow_method_on_a_csv(photos):
    lines = [
        f"{k}/{i}.png,{k}|pet" for k in ("cats", "dogs") for i in range(12)
    ]
    path = photos / "list.csv"
    path.write_text("\n".join(["file,words", *lines]))
    columns = ("--image-column", "file", "--label-columns", "words")
    train = ("train", "--data", path, "--method", "itq", "--bits", 8)
    out = ("--out", photos.parent / "mine", "--size", 16)
    code, text, err = run(*train, *out, *columns, "--separator", "|")
    assert code == 0, err
    assert "labels an image  2.00" in text
    code, text, _ = run("evaluate", photos.parent / "mine")
    assert code == 0 and "mAP on the card" in text
    out = ("--out", photos.parent / "other", "--size", 16)
    code, _, err = run(*train, *out)
    assert code == 2 and "needs `--image-column`" in err
    train = ("train", "--data", photos, "--method", "itq", "--bits", 8)
    code, _, err = run(*train, *out, *columns)
    assert code == 2 and "is not for" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "delimiter, given",
    [pytest.param(";", ";", marks=pytest.mark.slow), ("\t", "\\t")],
)
def test_columns_apart_by_other_than_a_comma(photos, delimiter, given):
    path = photos / "list.csv"
    rows = [
        f"{k}/{i}.png{delimiter}{k}"
        for k in ("cats", "dogs")
        for i in range(12)
    ]
    path.write_text("\n".join([f"file{delimiter}word", *rows]))
    columns = ("--image-column", "file", "--label-columns", "word")
    folder = photos.parent / "mine"
    train = (
        "train", "--data", path, "--method", "itq", "--bits", 8, "--size", 16,
        *columns, "--out",
    )  # fmt: skip
    code, _, err = run(*train, photos.parent / "other")
    assert code == 2 and "`delimiter` is ','" in err
    code, text, err = run(*train, folder, "--delimiter", given)
    assert code == 0 and "cats 12, dogs 12" in text, err
    # Measured again as it was read.
    assert zoo.card(folder).recipe["delimiter"] == delimiter
    code, text, err = run("evaluate", folder)
    assert code == 0 and "mAP on the card" in text, err
    code, text, err = run(
        "evaluate", folder, "--data", path, *columns, "--delimiter", given
    )
    assert code == 0 and "mAP on the card" in text, err
    code, _, err = run(*train, folder / "no", "--delimiter", ";;")
    assert code == 2 and "one character" in err and err.count("\n") == 1
    code, _, err = run("evaluate", folder, "--data", photos, "--delimiter", ";")
    assert code == 2 and "`--delimiter` is not for" in err


@pytest.mark.parametrize(
    "name",
    ["out [1] $a_ {}", "b*?\udcff"],
    ids=ascii,
)
@pytest.mark.slow
def test_a_training_in_a_folder_of_any_name(photos, tmp_path, name):
    photos.rename(tmp_path / f"photos {name}")
    folder = tmp_path / name / f"mine {name}"
    code, out, err = run(
        "train", "--data", tmp_path / f"photos {name}", "--method", "csq",
        "--bits", 8, "--size", 16, "--epochs", 1, "--out", folder,
    )  # fmt: skip
    assert code == 0, err
    assert keras_hash.load(folder).bits == 8
    assert (folder / "search.png").exists()
    page = tmp_path / f"page {name}.html"
    code, out, err = run("evaluate", folder, "--report", page)
    assert code == 0 and "mAP on the card" in out, err
    assert "</html>" in page.read_text(encoding="utf-8")


def test_folders_of_parts_are_told(photos):
    (photos / "cats").rename(photos / "Train")
    (photos / "dogs").rename(photos / "test")
    code, out, err = run(
        "train", "--data", photos, "--method", "itq", "--bits", 8,
        "--size", 16, "--out", photos.parent / "mine",
    )  # fmt: skip
    assert code == 0 and err.count("named like parts of a set") == 1, err
    assert "left out" not in err and "1 .txt (not an image)" in out


def test_json_goes_alone_to_stdout(digit_files, tmp_path):
    folder = tmp_path / "mine"
    code, out, err = run(
        "train", "--data", "digits", "--method", "itq", "--bits", 8,
        "--out", folder, "--json",
    )  # fmt: skip
    assert code == 0, err
    content = json.loads(out)
    assert content["folder"] == str(folder)
    card = zoo.card(folder)
    assert content["metrics"] == card["metrics"]
    # Digits are not mirrored.
    assert card.mirrored is None
    assert card.model["config"]["mirrors"] is False
    assert "digits (official)" in err
    code, out, _ = run("encode", folder, digit_files / "query0.png", "--json")
    (one,) = json.loads(out)["codes"]
    expected = zoo.encode_files(folder, [digit_files / "query0.png"])
    assert one["code"] == bytes(expected[0]).hex()


@pytest.fixture
def large_photos(photos, monkeypatch):
    """Photos from 64 pixels on; a small entry stands for the general one."""
    monkeypatch.setattr(inputs, "GENERAL", "dshc_digits_30")
    for path in photos.rglob("*.png"):
        with Image.open(path) as image:
            image.resize((80, 70)).save(path)
    (photos / "cats/notes.txt").unlink()
    return photos


def test_photos_are_trained_on_the_general_encoder(large_photos, tmp_path):
    folder = tmp_path / "mine"
    train = ("train", "--data", large_photos, "--bits", 32)
    code, out, err = run(*train, "--out", folder, "--json")
    assert code == 0, err
    card = zoo.card(folder)
    wanted = {"method": "csq", "backbone": "dshc_digits_30", "epochs": 60}
    assert wanted.items() <= card.recipe.items()
    assert card.model["config"]["backbone"] == "small"
    entry, own = keras_hash.load("dshc_digits_30"), keras_hash.load(folder)
    assert own.image_shape == entry.image_shape
    for ours, theirs in zip(own.backbone.weights, entry.backbone.weights):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
    # Both are measured on the same queries.
    content = json.loads(out)
    assert content["metrics"] == card.metrics and card.metrics["map"] > 0.9
    bench = keras_hash.data.from_folder(large_photos)
    report, _ = keras_hash.evaluation.measure(entry, bench)
    assert content["before"]["30"]["map"] == pytest.approx(
        report.metrics["map"], abs=1e-6
    )
    assert "held-out images" in err
    assert re.search(r"dshc_digits_30\W+30 .*\n.*mine\W+32 ", err)
    assert sorted(p.name for p in folder.iterdir()) == [
        "1", "card.json", "search.png", "search_before.png",
    ]  # fmt: skip
    # Stopped before the pictures: the same command goes on.
    (folder / "search.png").unlink()
    (folder / ".training.backup").touch()
    content = (folder / "card.json").read_bytes()
    code, _, err = run(*train, "--out", folder)
    assert code == 0, err
    assert (folder / "card.json").read_bytes() == content
    assert (folder / "search.png").exists()
    code, _, err = run(*train, "--out", folder)
    assert code == 2 and "would replace" in err


@pytest.mark.slow
def test_a_trained_backbone_is_tuned_further(large_photos, tmp_path):
    train = ("train", "--data", large_photos, "--bits", 32)
    for name in ("mine", "again"):
        code, _, err = run(*train, "--out", tmp_path / name)
        assert code == 0, err
    # The head is trained to the same bits.
    own, again = (zoo.card(tmp_path / name) for name in ("mine", "again"))
    assert own.code_sha256 == again.code_sha256
    own = keras_hash.load(tmp_path / "mine")
    code, out, err = run(
        *train, "--fine-tune", 2, "--batch-size", 8, "--learning-rate", 0.05,
        "--out", tmp_path / "on",
    )  # fmt: skip
    assert code == 0 and "Epoch 2/2" in out, err
    tuned = keras_hash.load(tmp_path / "on").backbone.layers
    moved = [
        max(np.abs(a - b).max() for a, b in zip(*pair)) > 1e-4
        for one, other in zip(tuned, own.backbone.layers)
        if (pair := (one.get_weights(), other.get_weights()))[0]
    ]
    # conv1, norm1, conv2, norm2, conv3, norm3
    assert moved == [False] * 4 + [True, False]


# `dhd`: two views of each image, and a bank.
@pytest.mark.slow
@pytest.mark.parametrize("method", [None, "dhd", "itq"])
def test_several_labels_on_a_trained_backbone(large_photos, method):
    rows = [f"{k}/{i}.png,{k}|pet" for k in ("cats", "dogs") for i in range(12)]
    path = large_photos / "list.csv"
    path.write_text("\n".join(["file,words", *rows]))
    train = (
        "train", "--data", path, "--image-column", "file", "--bits", 16,
        "--label-columns", "words", "--separator", "|", "--epochs", 2,
    )  # fmt: skip
    folder = large_photos.parent
    given = ("--method", method) if method else ()
    code, _, err = run(*train, *given, "--out", folder / "a")
    assert code == 0, err
    if not method:
        assert zoo.card(folder / "a").method == "TALR"
    for wrong, message in (
        (("--backbone", "small", "--fine-tune", 1), "goes on with a trained"),
        (("--method", "itq", "--fine-tune", 1), "a method that is trained"),
        (("--augment",), "give `--fine-tune` too"),
        (("--backbone", "smalll"), "`backbone` should be"),
    ):
        code, _, err = run(*train, *wrong, "--out", folder / "b")
        assert code == 2 and message in err


# When training starts, nothing public of the package is missing.
WHOLE = """
import keras_hash
assert keras_hash.__version__
assert keras_hash.Index and keras_hash.models.DSHC
assert type(keras_hash) is type(sys)
assert keras_hash.list_models is keras_hash.zoo.list_models
"""


@pytest.mark.slow
@pytest.mark.kills
def test_a_training_stopped_twice_and_what_it_wrote(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    train = ("train", "--data", "digits", "--bits", 30, "--out", folder)
    process = command.start(*train, "--epochs", 400, then=WHOLE)
    seen = []
    for line in process.stdout:
        seen.append(line)
        if "Epoch 3/400" in line:
            process.send_signal(signal.SIGINT)
            break
    rest, err = process.communicate(timeout=300)
    assert process.returncode == 130, "".join(seen) + rest + err
    # Nothing of TensorFlow's start, no traceback.
    (line,) = err.splitlines()
    assert "the same command continues" in line
    assert not (folder / "card.json").exists()
    code, _, err = run(*train, "--batch-size", 64)
    assert code == 2 and "--batch-size was 128, is 64" in err

    # It continues, and is stopped while it measures: the training is kept.
    with np.load(folder / ".training.backup") as file:
        last = json.loads(str(file["state"]))["epoch"] + 1
    assert last >= 3
    with monkeypatch.context() as patch:

        def stop(*_):
            raise KeyboardInterrupt

        patch.setattr(keras_hash.evaluation, "measure", stop)
        code, out, _ = run(*train, "--epochs", last)
    assert code == 130 and not (folder / "card.json").exists()
    assert out.count("Epoch ") == 1 and f"Epoch {last}/{last}" in out
    code, out, err = run(*train, "--epochs", last)
    assert code == 0 and "Epoch" not in out, err
    assert "keras_hash.load(" in out

    assert sorted(p.name for p in folder.iterdir()) == [
        "1", "card.json", "search.png",
    ]  # fmt: skip
    # Stopped between the card and the picture: as it was, for these settings.
    (folder / "search.png").unlink()
    (folder / ".training.backup").touch()
    code, _, err = run(*train, "--epochs", last, "--batch-size", 64)
    assert code == 2 and "would replace" in err
    version = (folder / "card.json").read_bytes()
    code, out, err = run(*train, "--epochs", last)
    assert code == 0 and "Epoch" not in out, err
    assert (folder / "card.json").read_bytes() == version
    assert (folder / "search.png").exists()
    assert not (folder / ".training.backup").exists()
    # What was trained is not replaced.
    card = (folder / "card.json").read_bytes()
    code, _, err = run(*train)
    assert code == 2 and "would replace" in err
    assert (folder / "card.json").read_bytes() == card
    assert zoo.card(folder)["metrics"]["map"] > 0.1
    assert keras_hash.load(folder).bits == 30
    code, out, _ = run("evaluate", folder)
    assert code == 0 and "mAP on the card" in out
    # Measured on this machine: to the last digits, and the same codes.
    code, out, err = run("verify", folder, "--json")
    assert code == 0, err
    (result,) = json.loads(out)
    assert result["tolerance"] == 1e-6 or "GPU" in result["why"]
    assert result["same_codes"] == {"query": True, "database": True}


@pytest.mark.parametrize(
    "method",
    [
        "cimon",
        pytest.param("dhd", marks=pytest.mark.slow),
        pytest.param("dslh", marks=pytest.mark.slow),
    ],
)
def test_what_a_method_needs_is_given(photos, method):
    """Two views of each image, and the number of all of them."""
    out = photos.parent / "mine"
    code, text, err = run(
        "train", "--data", photos, "--method", method, "--bits", 8,
        "--out", out, "--size", 16, "--epochs", 1, "--batch-size", 5,
    )  # fmt: skip
    if method == "cimon":
        # More clusters than photos.
        assert code == 2 and "clusters=70" in err, err
        return
    assert code == 0, err
    assert keras_hash.load(out).bits == 8


@pytest.mark.slow
def test_pairs_of_all_images_on_a_trained_backbone(large_photos, tmp_path):
    train = ("train", "--data", large_photos, "--bits", 8, "--epochs", 2)
    code, _, err = run(
        *(*train, "--method", "cimon", "--set", "clusters=4"),
        *("--batch-size", 5),
        *("--out", tmp_path / "mine"),
    )
    assert code == 0, err
    assert keras_hash.load(tmp_path / "mine").bits == 8


@pytest.mark.slow
def test_the_encoder_before_is_measured_at_its_own_size(large_photos, tmp_path):
    code, out, err = run(
        *("train", "--data", large_photos, "--size", 16, "--json"),
        *("--bits", 8, "--epochs", 2, "--out", tmp_path / "mine"),
    )
    assert code == 0, err
    bench = keras_hash.data.from_folder(large_photos)
    entry = keras_hash.load("dshc_digits_30")
    report, _ = keras_hash.evaluation.measure(entry, bench)
    assert json.loads(out)["before"]["30"]["map"] == report.metrics["map"]


def test_one_class_an_image_is_asked_for_before_the_work(large_photos):
    rows = [f"{k}/{i}.png,{k}|pet" for k in ("cats", "dogs") for i in range(12)]
    path = large_photos / "list.csv"
    path.write_text("\n".join(["file,words", *rows]))
    code, _, err = run(
        *("train", "--data", path, "--image-column", "file", "--method"),
        *("dshc", "--label-columns", "words", "--separator", "|"),
        *("--out", large_photos.parent / "mine"),
    )
    assert code == 2 and "`--method dshcmultilabel`" in err
    code, _, err = run(
        *("train", "--data", large_photos, "--method", "dshcmultilabel"),
        *("--out", large_photos.parent / "mine"),
    )
    assert code == 2 and "`--method dshc`" in err


def test_no_photo_is_replaced_by_a_picture_of_what_was_found(photos):
    os.rename(photos / "cats/0.png", photos / "search.png")
    rows = [f"{p.relative_to(photos)},a" for p in photos.rglob("*.png")]
    (photos / "list.csv").write_text("\n".join(["file,word", *rows]))
    code, _, err = run(
        *("train", "--data", photos / "list.csv", "--image-column", "file"),
        *("--label-columns", "word", "--out", photos),
    )
    assert code == 2 and "`--out` would replace" in err and "search.png" in err


def test_what_a_stopped_training_goes_on_with():
    """The head is trained anew on a trained backbone: as long as before."""
    for backbone, free in (
        ("dshc_digits_30", "fine_tune"),
        ("small", "epochs"),
    ):
        chosen = argparse.Namespace(
            out="a", json=False, epochs=3, fine_tune=1, backbone=backbone
        )
        kept = {"epochs", "fine_tune", "backbone"} - {free}
        assert training._settings(chosen).keys() == kept


@pytest.mark.parametrize(
    "method, constant, value",
    [
        pytest.param("cimon", "clusters", 2, marks=pytest.mark.slow),
        ("dshc", "codebook", "kbc"),
    ],
)
def test_constants_of_a_method(photos, method, constant, value):
    out = photos.parent / "mine"
    code, _, err = run(
        "train", "--data", photos, "--method", method, "--bits", 7,
        "--set", f"{constant}={value}", "--batch-size", 5,
        "--out", out, "--size", 16, "--epochs", 1,
    )  # fmt: skip
    assert code == 0, err
    assert keras_hash.load(out).get_config()[constant] == value
    assert zoo.card(out).recipe["set"] == {constant: value}


def test_constants_that_a_method_does_not_have(photos):
    for given, told in (
        ("cluster=2", "Did you mean 'clusters'?"),
        ("bits=8", "should name a constant of CIMON"),
        ("clusters=two", "`clusters` should be an int"),
        ("clusters=NaN", "`clusters` should be an int"),
    ):
        out = photos.parent / "not"
        words = ("--method", "cimon", "--set", given, "--out", out)
        code, _, err = run("train", "--data", photos, *words)
        assert code == 2 and told in err and not out.exists(), err
    with pytest.raises(argparse.ArgumentTypeError, match="a name and a value"):
        inputs.constant("clusters")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_where_nothing_can_be_written_shows_before_the_work(monkeypatch):
    monkeypatch.setattr(inputs, "benchmark", None)
    code, _, err = run("train", "--data", "digits", "--out", "/proc/mine")
    assert code == 2 and "`--out` should be a folder that can be" in err, err


def test_a_stopped_training_is_not_replaced(photos, monkeypatch):
    folder = photos.parent / "mine"
    train = ("train", "--data", photos, "--backbone", "small", "--size", 16)
    train += ("--bits", 16, "--out", folder)
    with monkeypatch.context() as patch:

        def stop(*_, **__):
            raise KeyboardInterrupt

        patch.setattr(zoo.entries, "publish_measured", stop)
        code, _, err = run(*train, "--method", "csq", "--epochs", 2)
    assert code == 130, err
    kept = (folder / ".training.backup").read_bytes()
    for words, told in (
        (("--method", "csq", "--epochs", 1), "give `--epochs 2` or more"),
        (("--method", "itq"), "--method was 'csq', is 'itq'"),
        (("--method", "dpsh", "--epochs", 2), "--method was 'csq', is 'dpsh'"),
    ):
        code, _, err = run(*train, *words)
        assert code == 2 and told in err, err
        assert (folder / ".training.backup").read_bytes() == kept
    code, out, err = run(*train, "--method", "CSQ", "--epochs", 2)
    assert code == 0 and "Epoch" not in out, err
    assert zoo.card(folder).recipe["epochs"] == 2


@pytest.mark.parametrize(
    "method, more",
    [
        ("phash", ()),
        pytest.param(
            "dshc", ("--epochs", 1, "--size", 16), marks=pytest.mark.slow
        ),
    ],
)
def test_lengths_and_backbones_that_a_method_wants(photos, method, more):
    folder = photos.parent / method
    words = ("--method", method, "--out", folder)
    code, _, err = run("train", "--data", photos, *words, *more)
    assert code == 0, err
    assert zoo.card(folder).bits == 64


def test_one_label_is_nothing_to_learn_from(photos):
    path = photos / "list.csv"
    path.write_text(
        "file,kind\n" + "".join(f"cats/{i}.png,cat\n" for i in range(12))
    )
    words = ("train", "--data", path, "--image-column", "file")
    words += ("--label-columns", "kind", "--out", photos.parent / "one")
    code, _, err = run(*words)
    assert code == 2 and "CSQ learns from images of two or more labels" in err
    code, _, err = run(*words, "--method", "itq", "--bits", 8, "--size", 16)
    assert code == 0, err
