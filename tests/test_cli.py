"""The command line, as a person calls it."""

import configparser
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash import cli
from keras_hash import figures
from keras_hash import zoo
from keras_hash.cli import app

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAME = "dshc_digits_30"
# What the console script does, on this checkout and for any signal.
ENTER = f"""
import importlib.util, signal, sys
sys.path.insert(0, {str(ROOT)!r})
signal.signal(signal.SIGINT, signal.default_int_handler)
spec = importlib.util.spec_from_file_location(
    "keras_hash_cli", {str(ROOT / "keras_hash/cli/__init__.py")!r}
)
entry = importlib.util.module_from_spec(spec)
spec.loader.exec_module(entry)
"""


def run(capsys, *arguments):
    code = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list_and_info(capsys):
    code, out, _ = run(capsys, "list")
    assert code == 0 and "dshc_digits_30" in out and "dshc_cifar10_30" in out
    code, out, _ = run(capsys, "list", "*_digits*", "--json")
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
    assert sorted(p.name for p in folder.iterdir()) == [
        "1", "card.json", "search.png",
    ]  # fmt: skip
    code, out, _ = run(capsys, "evaluate", folder)
    assert code == 0 and "mAP on the card" in out
    # Measured on this machine: to the last digits, and the same codes.
    code, out, err = run(capsys, "verify", folder, "--json")
    assert code == 0, err
    (result,) = json.loads(out)
    assert result["tolerance"] == 1e-6 or "GPU" in result["why"]
    assert result["same_codes"] == {"query": True, "database": True}


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


def test_the_other_commands_of_the_readme_are_understood():
    text = (ROOT / "README.md").read_text()
    commands = re.findall(r"^keras-hash ([^#\n]+)", text, re.M)
    assert len(commands) >= 7
    for command in commands:
        chosen, more = app.make_parser().parse_known_args(shlex.split(command))
        assert not [word for word in more if word.startswith("-")], command
        assert callable(chosen.run)


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
        (["evaluate", NAME, "--data", "digit"], "Did you mean 'digits'?"),
        (["evaluate", "dshc_digits_30", "-k", "0"], "`k` should be"),
        (
            ["train", "--data", "digits", "--bits", "32", "--out", "x"],
            "multiple of `num_classes`",
        ),
        (
            ["train", "--data", "digits", "--bits", "30", "--out", "x",
             "--method", "GreedyHsh"],
            "Did you mean 'greedyhash'?",
        ),
        (["info", "dshc_digit_30"], "Did you mean 'dshc_digits_30'?"),
        (["verify", NAME, "dshc_digit_30"], "Did you mean 'dshc_digits_30'?"),
        (["search", NAME, "--index", "x.index"], "Nothing to do"),
        (["search", NAME, "--index", "no.index", "x.png"], "No such file"),
        (["export", "dshc_digit_30", "--out", "x"], "Did you mean"),
        (["export", NAME, "--out", "x", "--version", "0"], "at least 1"),
        (["export", NAME, "--out", "x", "--search", "no"], "There is no index"),
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
    names = "demo list info train evaluate verify encode search export"
    for name in names.split():
        assert re.search(rf"^    {name} ", out, re.M), name
    for line in ("1    a check failed", "2    bad input", "130  stopped"):
        assert line in out
    for name in names.split():
        with pytest.raises(SystemExit) as stop:
            cli.main([name, "--help"])
        assert stop.value.code == 0
        out = capsys.readouterr().out
        assert out.count(f"keras-hash {name}") >= 2, name
        assert max(map(len, out.splitlines())) <= 80 or name == "search"


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


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["serach"], "Did you mean 'search'?"),
        (["train", "--data", "digits"], "required: --bits, --out"),
        (["list", "a", "b"], "unknown arguments: b"),
        (["search", NAME, "--index", "x", "--radios", "2"], "--radios"),
        (["export", NAME, "--out", "x", "--format", "onxx"], "mean 'onnx'?"),
    ],
)
def test_bad_usage_is_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    err = capsys.readouterr().err
    assert stop.value.code == 2 and message in err and err.count("\n") == 1


def test_verify(capsys, tmp_path):
    code, out, err = run(capsys, "verify", "dshc_dig*")
    assert code == 0 and not err
    assert NAME in out and "ok" in out
    card = zoo.card(NAME)
    assert out.count(f"{card['metrics']['map']:.6f}") == 2
    wrong, damaged, away = (tmp_path / n for n in ("wrong", "damaged", "away"))
    for folder in (wrong, damaged, away):
        shutil.copytree(zoo.entry_folder(NAME), folder)
    metrics = {**card["metrics"], "map": 0.5}
    (wrong / "card.json").write_text(json.dumps({**card, "metrics": metrics}))
    (damaged / "1" / "saved_model.pb").write_bytes(b"")
    own = {**card, "recipe": {"data": "gone/photos"}}
    (away / "card.json").write_text(json.dumps(own))
    code, out, err = run(capsys, "verify", wrong, damaged, away)
    assert code == 1 and "differs" in out
    lines = err.splitlines()
    assert len(lines) == 3, err
    assert "map: 0.500000 on the card, 0.98" in lines[0]
    assert "saved_model.pb" in lines[1] and "is damaged" in lines[1]
    assert "are not here: gone/photos" in lines[2]
    code, out, err = run(capsys, "verify", damaged, "--json")
    assert code == 1 and "is damaged" in json.loads(out)[0]["error"]


def test_verify_zoo(capsys, tmp_path):
    tool = ROOT / "tools" / "verify_zoo.py"
    scope = {"__name__": "verify_zoo", "__doc__": ""}
    exec(compile(tool.read_text(), tool, "exec"), scope)
    folder = tmp_path / "copy"
    shutil.copytree(zoo.entry_folder(NAME), folder)
    card = zoo.card(folder)
    changed = {**card, "metrics": {"map": card["metrics"]["map"] + 0.1}}
    (folder / "card.json").write_text(json.dumps(changed))
    assert scope["main"]([str(folder), "--write"]) == 1
    assert "1 of 1 metrics differ" in capsys.readouterr().err
    written = zoo.card(folder)
    assert written["metrics"].keys() == card["metrics"].keys()
    assert written["files"] == card["files"]
    assert scope["main"]([str(folder)]) == 0
    captured = capsys.readouterr()
    assert "ok" in captured.out and not captured.err


@pytest.fixture(scope="module")
def digit_files(tmp_path_factory):
    """Real digits: ten folders with two files, and three queries."""
    folder = tmp_path_factory.mktemp("digits")
    images, labels = keras_hash.data.load("digits").arrays("query")
    for digit in range(10):
        (folder / "photos" / str(digit)).mkdir(parents=True)
        for place in np.flatnonzero(labels == digit)[:2]:
            path = folder / "photos" / str(digit) / f"{place}.png"
            Image.fromarray(images[place]).save(path)
    for digit in range(3):
        place = np.flatnonzero(labels == digit)[5]
        Image.fromarray(images[place]).save(folder / f"query{digit}.png")
    return folder


def test_search_builds_extends_and_finds(
    capsys, digit_files, tmp_path, monkeypatch
):
    shutil.copytree(digit_files, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    pathlib.Path("photos/0/broken.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + bytes(40)
    )
    pathlib.Path("photos/0/.hidden.png").write_bytes(b"x")
    search = ("search", NAME, "--images", "photos/", "--index", "my.index")
    queries = [f"query{digit}.png" for digit in range(3)]
    code, out, err = run(
        capsys, *search, *queries, "-k", 4, "--out", "found.png"
    )
    assert code == 0, err
    assert "my.index: 20 new images, 20 in all" in err
    assert "left out: photos/0/broken.png: " in err
    # The index is an ordinary one; the command found what it finds.
    index = keras_hash.Index.load("my.index")
    assert len(index) == 20 and index.ids[0].startswith("photos/0/")
    model = keras_hash.load(NAME)
    images = np.stack([np.array(Image.open(q)) for q in queries])
    distances, ids = index.search(model.encode(images), k=4)
    lines = []
    for query, row, names in zip(queries, distances, ids):
        lines += [query, *(f"{d:6d}  {i}" for d, i in zip(row, names))]
    assert out.splitlines() == lines
    assert ids[0][0].startswith("photos/0/")
    with Image.open("found.png") as picture:
        assert picture.width > 500 and picture.height > 400

    # Only what is new is encoded: the first two files could not be read.
    for path in sorted(pathlib.Path("photos/1").iterdir()):
        path.write_bytes(b"no longer an image")
    pathlib.Path("photos/0/broken.png").unlink()
    shutil.copy("query0.png", "photos/0/new.png")
    code, out, err = run(capsys, *search, "query0.png", "--radius", 0, "--json")
    assert code == 0, err
    assert err.splitlines() == ["my.index: 1 new images, 21 in all"]
    content = json.loads(out)
    assert content["items"] == 21 and content["model"] == NAME
    (result,) = content["results"]
    found = {pair["id"]: pair["distance"] for pair in result["neighbours"]}
    assert found["photos/0/new.png"] == 0 and set(found.values()) == {0}
    # A query behind the options, in a folder; the first k within a radius.
    pathlib.Path("asked").mkdir()
    shutil.copy("query1.png", "asked")
    shutil.rmtree("photos/1")
    code, out, err = run(
        capsys, "search", NAME, "--index", "my.index", "asked", "--radius", 30,
        "-k", 3, "--out", "found.png",
    )  # fmt: skip
    assert code == 0 and len(out.splitlines()) == 4, err


def test_search_refuses_the_codes_of_another_encoder(
    capsys, digit_files, tmp_path
):
    query = digit_files / "query0.png"
    places = ("--images", digit_files / "photos" / "0")
    index = tmp_path / "my.index"
    code, _, err = run(capsys, "search", NAME, *places, "--index", index)
    assert code == 0, err
    before = index.read_bytes()
    retrained = tmp_path / NAME
    card = keras_hash.zoo.write(
        keras_hash.load(NAME), retrained, {}, compact_dtype="int8"
    )
    other = tmp_path / "other"
    shutil.copytree(retrained, other)
    (other / "card.json").write_text(json.dumps({**card, "name": "other"}))
    for model, whose in (
        (retrained, f"{NAME} with other weights"),
        (other, f"of {NAME} (30 bits"),
    ):
        code, _, err = run(capsys, "search", model, query, "--index", index)
        assert code == 2 and whose in err and err.count("\n") == 1
        code, _, err = run(
            capsys, "export", model, "--search", index, "--out", tmp_path / "x"
        )
        assert code == 2 and whose in err
    assert index.read_bytes() == before
    # Of an index made in Python, the length is known and the maker is not.
    codes = np.zeros((3, 4), "uint8")
    keras_hash.Index(30, codes).save(index)
    code, out, err = run(capsys, "search", NAME, query, "--index", index)
    assert code == 0 and out.splitlines()[1].split()[1] == "0", err
    code, _, err = run(
        capsys, "search", NAME, query, "--index", index, "--out",
        tmp_path / "x.png",
    )  # fmt: skip
    assert code == 2 and "needs paths to draw" in err
    code, _, err = run(capsys, "search", NAME, *places, "--index", index)
    assert code == 2 and "are numbers, not paths" in err
    keras_hash.Index(32, codes).save(index)
    code, _, err = run(capsys, "search", NAME, query, "--index", index)
    assert code == 2 and "codes of an encoder (32 bits, hamming)" in err


def test_search_keeps_what_it_encoded_before_a_stop(
    capsys, digit_files, tmp_path, monkeypatch
):
    from keras_hash.cli import photo_index

    monkeypatch.setattr(photo_index, "_BATCH", 8)
    encode = photo_index.FileEncoder.__call__
    calls = []

    def stop_in_the_second(self, paths):
        calls.append(len(paths))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return encode(self, paths)

    monkeypatch.setattr(photo_index.FileEncoder, "__call__", stop_in_the_second)
    index = tmp_path / "my.index"
    search = ("search", NAME, "--images", digit_files / "photos", "--index")
    code, _, err = run(capsys, *search, index)
    assert code == 130 and "8 images are in" in err and "goes on" in err
    assert len(keras_hash.Index.load(index)) == 8
    code, _, err = run(capsys, *search, index, digit_files)
    assert code == 0 and "12 new images, 20 in all" in err
    # The 23 files that are searched for come before the 12 that are missing.
    assert calls == [8, 8, 8, 8, 7, 8, 4]
    assert [p.name for p in tmp_path.iterdir()] == ["my.index"]


def test_search_with_codes_that_rank_by_common_ones(
    capsys, digit_files, tmp_path
):
    model = keras_hash.models.DSHCMultiLabel(num_classes=24)
    entry = tmp_path / "several"
    zoo.write(model, entry, {})
    index = tmp_path / "my.index"
    query = digit_files / "query0.png"
    code, out, err = run(
        capsys, "search", entry, query, "--images", digit_files / "photos",
        "--index", index, "-k", 3, "--json",
    )  # fmt: skip
    assert code == 0, err
    content = json.loads(out)
    assert content["similarity"] == "and"
    image = np.array(Image.open(query))[None]
    distances, _ = keras_hash.Index.load(index).search(
        keras_hash.load(entry).encode(image), k=3
    )
    (result,) = content["results"]
    found = [pair["distance"] for pair in result["neighbours"]]
    assert found == distances[0].tolist()


def test_export(capsys, digit_files, tmp_path, monkeypatch):
    import tensorflow as tf

    from keras_hash import export

    out = tmp_path / "serving"
    code, text, err = run(capsys, "export", NAME, "--out", out)
    assert code == 0, err
    assert "image_bytes string [n] -> code uint8 [n, 4], code_bits" in text
    query = digit_files / "query0.png"
    expected = zoo.encode_files(NAME, [query])
    content = tf.constant([query.read_bytes()])
    served = tf.saved_model.load(str(out / "1")).signatures
    found = served["serving_default"](image_bytes=content)
    np.testing.assert_array_equal(found["code"], expected)
    first = (out / "1" / "saved_model.pb").read_bytes()

    code, _, err = run(capsys, "export", NAME, "--out", out)
    assert code == 2 and "add `--version 2`" in err
    index = tmp_path / "my.index"
    run(capsys, "search", NAME, "--images", digit_files, "--index", index)
    search = ("export", NAME, "--out", out, "--search", index, "-k", 3)
    with monkeypatch.context() as patch:

        def stop(*_):
            raise KeyboardInterrupt

        patch.setattr(export, "slim", stop)
        code, _, err = run(capsys, *search, "--version", 2)
        assert code == 130
    assert [p.name for p in out.iterdir()] == ["1"]
    code, text, err = run(capsys, *search, "--version", 2, "--json")
    assert code == 0, err
    signatures = json.loads(text)["signatures"]
    assert signatures["serving_default"] == [
        {"image_bytes": "string [n]"},
        {"distances": "int32 [n, 3]", "ids": "string [n, 3]"},
    ]
    found = tf.saved_model.load(str(out / "2")).signatures["serving_default"](
        image_bytes=content
    )
    distances, _ = keras_hash.Index.load(index).search(expected, k=3)
    np.testing.assert_array_equal(found["distances"], distances)
    # The ids are of files that are that near.
    paths = [path.decode() for path in found["ids"].numpy()[0]]
    codes = zoo.encode_files(NAME, paths)
    np.testing.assert_array_equal(
        keras_hash.codes.hamming(expected, codes), distances
    )
    assert sorted(p.name for p in out.iterdir()) == ["1", "2"]
    assert (out / "1" / "saved_model.pb").read_bytes() == first


def test_json_goes_alone_to_stdout(capsys, digit_files, tmp_path):
    folder = tmp_path / "mine"
    code, out, err = run(
        capsys, "train", "--data", "digits", "--method", "itq", "--bits", 8,
        "--out", folder, "--json",
    )  # fmt: skip
    assert code == 0, err
    content = json.loads(out)
    assert content["folder"] == str(folder)
    assert content["metrics"] == zoo.card(folder)["metrics"]
    assert "digits (official)" in err
    code, out, _ = run(
        capsys, "encode", folder, digit_files / "query0.png", "--json"
    )
    (one,) = json.loads(out)["codes"]
    expected = zoo.encode_files(folder, [digit_files / "query0.png"])
    assert one["code"] == bytes(expected[0]).hex()


def enter(*arguments, **options):
    """Starts the command as the console script does."""
    code = f"{ENTER}\nsys.exit(entry.main({[str(a) for a in arguments]!r}))"
    environment = {**os.environ, **options}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_stopping_a_training_and_going_on(capsys, tmp_path):
    folder = tmp_path / "mine"
    train = ("train", "--data", "digits", "--bits", 30, "--out", folder)
    process = enter(*train, "--epochs", 400)
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
    assert "the same command goes on" in line
    assert not (folder / "card.json").exists()
    code, _, err = run(capsys, *train, "--batch-size", 64)
    assert code == 2 and "--batch-size was 128, is 64" in err
    kept = folder / ".checkpoint" / "training_metadata.json"
    last = json.loads(kept.read_text())["epoch"] + 1
    assert last >= 3
    code, out, err = run(capsys, *train, "--epochs", last)
    assert code == 0, err
    assert out.count("Epoch ") == 1 and f"Epoch {last}/{last}" in out
    assert not (folder / ".checkpoint").exists()
    assert keras_hash.load(folder).bits == 30


def test_a_stop_while_measuring_keeps_the_training(
    capsys, tmp_path, monkeypatch
):
    folder = tmp_path / "mine"
    train = ("train", "--data", "digits", "--bits", 30, "--out", folder)
    with monkeypatch.context() as patch:

        def stop(*_):
            raise KeyboardInterrupt

        patch.setattr(keras_hash.evaluation, "measure", stop)
        code, _, _ = run(capsys, *train, "--epochs", 1)
    assert code == 130 and not (folder / "card.json").exists()
    code, out, err = run(capsys, *train, "--epochs", 1)
    assert code == 0 and "Epoch" not in out, err
    assert zoo.card(folder)["metrics"]["map"] > 0.1


def test_the_console_script_starts_without_tensorflow():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    script = config["options.entry_points"]["console_scripts"].strip()
    assert script == "keras-hash = keras_hash_cli:main"
    folders = config["options"]["package_dir"]
    assert "keras_hash_cli = keras_hash/cli" in folders
    code = (
        f"{ENTER}\n"
        "assert entry.main(['list', '--json']) == 0\n"
        "assert entry.main(['info', 'dshc_digits_30', '--json']) == 0\n"
        "try: entry.main(['search', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'keras_hash.methods'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        # From here on the package is whole: nothing public is missing.
        "import keras_hash\n"
        "assert keras_hash.__version__\n"
        "assert keras_hash.Index and keras_hash.models.DSHC\n"
        "assert type(keras_hash) is type(sys)\n"
        "assert keras_hash.list_models is keras_hash.zoo.list_models\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_a_reader_that_has_enough_is_no_error():
    process = enter("list", "--json")
    process.stdout.close()
    assert process.wait(300) == 0 and process.stderr.read() == ""


def test_errors_of_tensorflow_pass_through():
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from keras_hash.cli import quiet\n"
        "with quiet.without_noise():\n"
        "    os.write(2, b'I0000 00:00:1 port.cc:153] a\\n')\n"
        "    os.write(2, b'E0000 00:00:1 cuda.cc:1] no memory\\n')\n"
        "    print('a warning', file=sys.stderr)\n"
        "os.write(2, b'I0000 after\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)],
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = ["E0000 00:00:1 cuda.cc:1] no memory", "a warning", "I0000 after"]
    assert done.stderr.splitlines()[-3:] == wanted
    assert "port.cc:153] a" not in done.stderr


def test_completion(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as stop:
        cli.main(["--completion", "bash"])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and "keras-hash[completion]" in err
    monkeypatch.undo()
    pytest.importorskip("shtab", reason="the extra `completion` is not here")
    for shell in ("bash", "zsh", "fish"):
        with pytest.raises(SystemExit) as stop:
            cli.main(["--completion", shell])
        out = capsys.readouterr().out
        assert stop.value.code == 0 and "--radius" in out, shell
    with pytest.raises(SystemExit) as stop:
        cli.main(["--completion", "abacus"])
    assert "should be one of" in capsys.readouterr().err


def test_found_files_are_drawn(tmp_path, digit_files):
    queries = sorted(digit_files.glob("query*.png"))[:2]
    photos = sorted(digit_files.glob("photos/*/*.png"))
    found = [[(photos[0], 0), ("gone/away.png", 3)], []]
    path = tmp_path / "found.png"
    figures.found_files(queries, found, path, title="a title")
    pixels = np.array(Image.open(path).convert("L"))
    assert 0.05 < (pixels < 40).mean() < 0.8
    with pytest.raises(ValueError, match="should agree"):
        figures.found_files(queries, found[:1], path)
