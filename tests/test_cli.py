"""The command line, as a person calls it."""

import json
import pathlib
import re
import shlex

import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash import cli
from keras_hash import figures

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(capsys, *arguments):
    code = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list_and_info(capsys):
    code, out, _ = run(capsys, "list")
    assert code == 0 and "dshc_digits_30" in out and "dshc_cifar10_30" in out
    code, out, _ = run(capsys, "list", "*digits*", "--json")
    assert [card["name"] for card in json.loads(out)] == ["dshc_digits_30"]
    code, out, _ = run(capsys, "info", "dshc_digits_30")
    assert code == 0 and "split_checksum" in out and "chance_map" in out
    code, out, _ = run(capsys, "info", "dshc_digits_30", "--json")
    assert json.loads(out)["bits"] == 30


def test_evaluate(capsys):
    code, out, _ = run(capsys, "evaluate", "dshc_digits_30", "-k", 10)
    assert code == 0 and "map@10" in out and "mAP on the card" in out
    code, out, _ = run(capsys, "evaluate", "dshc_digits_30", "--json")
    metrics = keras_hash.RetrievalReport.from_json(out).metrics
    assert metrics["map"] > 0.95


def test_train_then_use_what_it_wrote(capsys, tmp_path):
    folder = tmp_path / "mine"
    code, out, err = run(
        capsys, "train", "--data", "digits", "--bits", 30, "--epochs", 2,
        "--out", folder,
    )  # fmt: skip
    assert code == 0, err
    assert "keras_hash.load(" in out
    code, out, _ = run(capsys, "evaluate", folder)
    assert code == 0 and "mAP on the card" in out


@pytest.fixture
def photos(tmp_path, rng):
    """Two classes that differ in colour, and a file that is no image."""
    for c, kind in enumerate(("cats", "dogs")):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(12):
            image = rng.randint(0, 128, (20, 24, 3)).astype("uint8")
            image[..., 2 * c] += 120
            Image.fromarray(image).save(tmp_path / f"photos/{kind}/{i}.png")
    (tmp_path / "photos/cats/notes.txt").write_text("about cats")
    return tmp_path / "photos"


def test_the_command_of_the_readme(capsys, photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    text = (ROOT / "README.md").read_text()
    (command,) = re.findall(r"^keras-hash (train --data photos.*)$", text, re.M)
    code, out, err = run(
        capsys, *shlex.split(command), "--size", 32, "--epochs", 2, "--augment"
    )
    assert code == 0, err
    assert "cats/notes.txt: not an image" in out
    assert out.index("cats 12, dogs 12") < out.index("chance_map")
    assert keras_hash.load("runs/mine").image_shape == (32, 32, 3)
    with Image.open("runs/mine/search.png") as picture:
        assert min(picture.size) > 100
    code, out, err = run(capsys, "evaluate", "runs/mine")
    assert code == 0 and "mAP on the card" in out, err
    code, out, _ = run(capsys, "evaluate", "runs/mine", "--json")
    assert code == 0 and json.loads(out)["metrics"]["map"] > 0


def test_train_a_shallow_method_on_a_csv(capsys, photos):
    lines = [
        f"{k}/{i}.png,{k}|pet" for k in ("cats", "dogs") for i in range(12)
    ]
    path = photos / "list.csv"
    path.write_text("\n".join(["file,words", *lines]))
    columns = ("--image-column", "file", "--label-columns", "words")
    train = ("train", "--data", path, "--method", "itq", "--bits", 8)
    out = ("--out", photos.parent / "mine", "--size", 16)
    code, text, err = run(capsys, *train, *out, *columns, "--separator", "|")
    assert code == 0, err
    assert "labels an image  2.00" in text
    code, text, _ = run(capsys, "evaluate", photos.parent / "mine")
    assert code == 0 and "mAP on the card" in text
    code, _, err = run(capsys, *train, *out)
    assert code == 2 and "needs `--image-column`" in err
    train = ("train", "--data", photos, "--method", "itq", "--bits", 8)
    code, _, err = run(capsys, *train, *out, *columns)
    assert code == 2 and "is not for" in err and err.count("\n") == 1


def test_encode_files(capsys, tmp_path):
    images, _ = keras_hash.data.load("digits").arrays("query")
    for i in range(3):
        Image.fromarray(images[i]).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    out = tmp_path / "codes.npz"
    code, _, err = run(
        capsys, "encode", "dshc_digits_30", tmp_path, "--out", out
    )
    assert code == 0, err
    expected = keras_hash.load("dshc_digits_30").encode(images[:3])
    with np.load(out) as stored:
        np.testing.assert_array_equal(stored["codes"], expected)
        assert int(stored["bits"]) == 30 and len(stored["paths"]) == 3
    code, out, _ = run(capsys, "encode", "dshc_digits_30", tmp_path / "1.png")
    assert out.split()[0] == bytes(expected[1]).hex()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["info", "dshc_moon"], "Entries here"),
        (["encode", "dshc_digits_30", "missing.png"], "No such file"),
        (["evaluate", "dshc_digits_30", "--data", "moon"], "should be one of"),
        (["evaluate", "dshc_digits_30", "-k", "0"], "`k` should be"),
        (
            ["train", "--data", "digits", "--bits", "32", "--out", "x"],
            "multiple of `num_classes`",
        ),
        (
            ["train", "--data", "digits", "--bits", "30", "--out", "x",
             "--method", "moon"],
            "`--method` should be one of",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line(capsys, arguments, message):
    code, _, err = run(capsys, *arguments)
    assert code == 2 and message in err and err.count("\n") == 1


def test_a_broken_file_is_named(capsys, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    code, _, err = run(capsys, "encode", "dshc_digits_30", tmp_path)
    assert code == 2 and "b.png is not an image" in err


def test_empty_folder(capsys, tmp_path):
    code, _, err = run(capsys, "encode", "dshc_digits_30", tmp_path)
    assert code == 2 and "There are no images" in err


def test_help_names_all_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for name in ("demo", "list", "info", "train", "evaluate", "encode"):
        assert name in out


def test_gallery_frames(tmp_path, rng):
    images = rng.randint(0, 256, (2, 8, 8, 3)).astype("uint8")
    neighbours = rng.randint(0, 256, (2, 3, 8, 8, 3)).astype("uint8")
    relevant = np.array([[True, True, False], [True, False, False]])
    path = tmp_path / "gallery.png"
    figures.gallery(
        images, neighbours, np.zeros((2, 3), int), relevant, path, title="t"
    )
    pixels = np.array(Image.open(path).convert("RGB")).reshape(-1, 3)
    for color, expected in ((figures.RIGHT, 3), (figures.WRONG, 3)):
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (pixels == rgb).all(axis=1).sum() > 50 * expected
    with pytest.raises(ValueError, match="should agree"):
        figures.gallery(images, neighbours, np.zeros((2, 4)), relevant, path)
