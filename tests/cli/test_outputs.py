"""What is written replaces and removes nothing that the user has."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash import files
from keras_hash import zoo
from tests.cli.command import run

NAME = "phash_64"
SMALL = ("--backbone", "small", "--size", "16", "--bits", "8")
TRAIN = ("train", "--data", "photos", *SMALL, "--method", "itq", "--out")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.RandomState(0)
    for folder in ("photos/a", "photos/b", "album/2021", "album/2022"):
        os.makedirs(folder)
        for number in range(3):
            pixels = random.randint(0, 256, (12, 12, 3)).astype("uint8")
            Image.fromarray(pixels).save(f"{folder}/{number}.png")
    pathlib.Path("table.csv").write_text("file,label\nphotos/a/0.png,a\n")
    return tmp_path


def content(folder="."):
    found = pathlib.Path(folder).rglob("*")
    return {str(p): p.read_bytes() for p in found if p.is_file()}


def copied(folder, **changed):
    """An entry in a folder, with other fields on its card."""
    shutil.copytree(zoo.entry_folder(NAME), folder)
    card = pathlib.Path(folder, "card.json")
    card.write_text(json.dumps({**json.loads(card.read_text()), **changed}))


OUT = {
    "numbered folders": ("album", "holds 202"),
    "the photos": ("photos", "outside of the photos"),
    "among the photos": ("photos/new", "outside of the photos"),
    "a file": ("table.csv", "An entry is a folder"),
    "below a file": ("table.csv/x", "An entry is a folder"),
    "a link to nothing": ("dangling", "An entry is a folder"),
}


@pytest.mark.parametrize("kind", OUT)
def test_a_new_entry_takes_no_folder_of_others(here, kind):
    out, says = OUT[kind]
    os.symlink("nowhere", "dangling")
    before = content()
    code, _, err = run(*TRAIN, out)
    assert code == 2 and says in err and "Received" in err
    assert content() == before and not os.path.exists("photos/new")


def test_publish_takes_no_folder_of_others(here):
    model = keras_hash.load(NAME)
    bench = keras_hash.data.load("digits")
    before = content()
    for folder in ("album", "table.csv"):
        with pytest.raises(ValueError, match="entry"):
            zoo.publish(model, folder, bench)
    for given, details in (
        ((model, "new", None), {}),
        (("model", "new", bench), {}),
        ((model, "new", bench), {"seed": "x"}),
        ((model, "new", bench), {"recipe": {"path": pathlib.Path("x")}}),
    ):
        with pytest.raises(ValueError, match="Received"):
            zoo.publish(*given, **details)
    assert content() == before and not os.path.exists("new")


def test_an_entry_of_a_newer_version_stays(here):
    shutil.copytree(pathlib.Path(keras_hash.zoo.entry_folder(NAME)), "newer")
    card = json.loads(pathlib.Path("newer/card.json").read_text())
    pathlib.Path("newer/card.json").write_text(
        json.dumps({**card, "format": 9})
    )
    before = content("newer")
    bench = keras_hash.data.load("digits")
    with pytest.raises(ValueError, match="newer keras_hash"):
        zoo.publish(keras_hash.load(NAME), "newer", bench)
    assert content("newer") == before


@pytest.mark.parametrize(
    "field, value",
    [
        ("model", {}),
        ("model", {"class": ["PHash"], "config": {}}),
        ("model", {"class": "PHash", "config": None}),
        ("model", {"class": "phash", "config": {}}),
        ("model", {"class": "phash", "config": {"bits": 64, "odd": 1}}),
        ("runtimes", {"onnx": 5}),
        ("lengths", {"8": 5}),
        ("metrics", {"map": {}}),
        ("metrics", {}),
        ("version", 7),
    ],
)
def test_a_card_that_makes_no_sense_is_damaged(here, field, value):
    copied("odd", **{field: value})
    with pytest.raises(ValueError, match="The card of 'odd' is damaged"):
        keras_hash.load("odd")


def test_one_damaged_entry_leaves_the_list_of_the_others(here, monkeypatch):
    os.makedirs("zoo")
    copied("zoo/good")
    copied("zoo/bad", model={})
    monkeypatch.setenv("KERAS_HASH_ZOO", "zoo")
    code, out, err = run("list", "--json")
    names = [card["name"] for card in json.loads(out)]
    assert code == 0 and NAME in names and "'bad' is damaged" in err
    code, _, err = run("encode", NAME)
    assert code == 2 and "Nothing to do" in err


def test_what_is_read_is_not_replaced(here):
    code, _, err = run("search", NAME, "--images", "photos", "--index", "i")
    assert code == 0, err
    before, photo = content(), "photos/a/0.png"
    os.symlink(photo, "link.png")
    table = ("--data", "table.csv", "--image-column", "file")
    for command in (
        ("encode", NAME, "photos", "--out", photo),
        ("encode", NAME, photo, "--out", photo),
        ("encode", NAME, photo, "--out", "link.png"),
        ("search", NAME, photo, "--index", "i", "--out", "i"),
        ("search", NAME, photo, "--index", "i", "--out", photo),
        ("evaluate", NAME, "--data", "photos", "--report", photo),
        ("evaluate", NAME, *table, "--label-columns", "label")
        + ("--report", "table.csv"),
        ("duplicates", "photos", "--model", NAME, "--report", photo),
    ):
        code, _, err = run(*command)
        assert code == 2 and "which is read" in err, (command, err)
    assert {k: v for k, v in content().items() if k != "link.png"} == before
    for _ in range(2):
        code, _, err = run("encode", NAME, "photos", "--out", "photos/c.npz")
        assert code == 0, err


def test_links_stay_and_their_files_are_written(here):
    os.makedirs("far")
    os.symlink("far/file", "link")
    for text in ("new", "newer"):
        files.write("link", text)
        assert os.path.islink("link")
        assert pathlib.Path("far/file").read_text() == text


def test_an_index_behind_a_link(here):
    os.makedirs("links")
    os.symlink("../photos/i", "links/i")
    index = "--index", "links/i"
    code, _, err = run("search", NAME, "--images", "photos", *index)
    assert code == 0 and os.path.islink("links/i"), err
    assert os.path.isfile("photos/i")
    code, out, _ = run("search", NAME, "photos/a/0.png", *index)
    assert code == 0 and "0  photos/a/0.png" in out
    code, _, err = run("search", NAME, *index, "--prune")
    assert code == 0 and "6 in all" in err


def test_a_photo_that_became_a_link_or_a_folder_is_gone(here):
    run("search", NAME, "--images", "photos", "--index", "i")
    os.remove("photos/a/0.png")
    os.symlink("1.png", "photos/a/0.png")
    os.remove("photos/b/2.png")
    os.mkdir("photos/b/2.png")
    code, _, err = run(
        "search", NAME, "--images", "photos", "--index", "i", "--prune"
    )
    assert code == 0 and "gone: 2 images" in err and "4 in all" in err


def test_a_folder_of_photos_that_became_a_link(here, tmp_path):
    run("search", NAME, "--images", "photos", "--index", "i")
    os.rename("photos", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", "photos")
    code, _, err = run(
        "search", NAME, "--images", "photos", "--index", "i", "--prune"
    )
    assert code == 0 and "gone: 6 images" in err and "6 in all" in err


def test_an_index_saved_elsewhere_knows_its_files_still(here):
    run("search", NAME, "--images", "photos", "--index", "photos/i")
    index = keras_hash.Index.load("photos/i")
    index.save("backup/i")
    index.save("photos/i")
    os.remove("photos/a/0.png")
    code, out, err = run(
        *("search", NAME, "photos/a/1.png", "--index", "photos/i", "--prune")
    )
    assert code == 0 and "0  photos/a/1.png" in out and "gone: 1" in err


def test_rows_and_options_that_would_not_be_seen(here):
    table = pathlib.Path("table.csv")
    columns = "--image-column", "file", "--label-columns", "label"
    table.write_text("file,label\nphotos/a/0.png,a,b\n")
    code, _, err = run("evaluate", NAME, "--data", table, *columns)
    assert code == 2 and "table.csv, line 2: there are more cells" in err
    # A comma at the end is not a cell.
    rows = [f"photos/{k}/{n}.png,{k},\n" for k in "ab" for n in range(3)]
    table.write_text("file,label\n" + "".join(rows))
    code, _, err = run("evaluate", NAME, "--data", table, *columns)
    assert code == 0, err
    code, _, err = run("evaluate", NAME, "--data", "photos", "--protocol", "x")
    assert code == 2 and "`--protocol` is for" in err
    os.makedirs("out/\u00b2")
    assert run("export", NAME, "--out", "out")[0] == 0
    code, _, err = run("export", NAME, "--out", "out")
    assert code == 2 and "add `--version 2`" in err


def test_brackets_are_no_markup(capsys):
    from rich.table import Table

    from keras_hash.cli import outputs

    table = Table("name")
    table.add_row("a[/b] [v2]")
    outputs.show(table)
    assert "a[/b] [v2]" in capsys.readouterr().out


def test_home_folders_are_homes_at_every_guard(here, monkeypatch):
    """A shell leaves `~` alone in `--data=~/photos`, and in quotes."""
    monkeypatch.setenv("HOME", str(here))
    run("search", NAME, "--images", "photos", "--index", "i")
    before, photo = content("photos"), here / "photos/a/0.png"
    at_home = "~/photos"
    for line in (
        ("search", NAME, "--index", "i", "photos/a/1.png")
        + ("--out", "~/photos/a/0.png"),
        ("search", NAME, f"--images={at_home}", "--index", "j")
        + ("photos/a/1.png", "--out", photo),
        ("encode", NAME, at_home, "--out", photo),
        ("evaluate", NAME, "--data", at_home, "--report", photo),
        ("duplicates", at_home, "--model", NAME, "--report", photo),
        ("train", "--data", at_home, *SMALL, "--method", "itq")
        + ("--out", here / "photos/mine"),
        ("duplicates", "photos", "--model", NAME, "--move", "~/photos/c"),
        ("duplicates", at_home, "--model", NAME, "--move", "photos/c"),
    ):
        code, _, err = run(*line)
        assert code == 2 and "Received" in err, (line, err)
        assert content("photos") == before


def test_a_report_replaces_no_photo_that_a_card_or_a_table_names(here):
    train = "train", "--data", "photos", *SMALL, "--epochs", "1"
    code, _, err = run(*train, "--out", "mine")
    assert code == 0, err
    rows = [f"photos/{k}/{n}.png,{k}" for k in "ab" for n in range(3)]
    pathlib.Path("table.csv").write_text("\n".join(["file,label", *rows]))
    columns = "--image-column", "file", "--label-columns", "label"
    before = content("photos")
    for more in ((), ("--data", "table.csv", *columns)):
        code, _, err = run(
            "evaluate", "mine", *more, "--report", "photos/a/0.png"
        )
        assert code == 2 and "would replace photos/a/0.png, a photo of" in err
        assert content("photos") == before


def test_a_file_for_two_things(here):
    for option in ("--report", "--index"):
        code, _, err = run(
            *("duplicates", "photos", "--model", NAME),
            *("--move", "m", option, "m"),
        )
        assert code == 2 and "another option names too" in err
    assert not os.path.exists("m")
