"""`keras-hash encode` and `search`."""

import functools
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash import zoo
from keras_hash.search import pictures
from keras_hash.zoo import encoder as encoding
from tests.cli import command
from tests.cli.command import run
from tests.entry import publish

NAME = "dshc_digits_30"


def test_encode_files(tmp_path):
    images, _ = keras_hash.data.load("digits").arrays("query")
    for i in range(3):
        Image.fromarray(images[i]).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    out = tmp_path / "codes.npz"
    code, _, err = run("encode", NAME, tmp_path, "--out", out)
    assert code == 0, err
    expected = keras_hash.load(NAME).encode(images[:3])
    with np.load(out) as stored:
        np.testing.assert_array_equal(stored["codes"], expected)
        assert int(stored["bits"]) == 30 and len(stored["paths"]) == 3
    code, out, _ = run("encode", NAME, tmp_path / "1.png")
    assert out.split()[0] == bytes(expected[1]).hex()


def test_mirrored_files_and_queries(digit_files, tmp_path):
    publish(keras_hash.models.HashNet(64, 4), tmp_path / "mine")
    model = keras_hash.load(tmp_path / "mine")
    paths = sorted(digit_files.glob("query*.png"))
    pixels = [keras_hash.data.images.decode(path) for path in paths]
    expected = model.encode(pixels, mirror=True)
    assert (expected != model.encode(pixels)).any()
    code, out, err = run("encode", tmp_path / "mine", *paths, "--mirror")
    assert code == 0, err
    assert out.split()[::2] == [bytes(code).hex() for code in expected]
    # The queries alone are mirrored.
    places = ("--images", digit_files / "photos", "--index", tmp_path / "it")
    search = "search", tmp_path / "mine", *places, *paths, "--mirror"
    code, out, err = run(*search, "--hamming", "--json")
    assert code == 0, err
    index = keras_hash.Index.load(tmp_path / "it")
    for query, found in zip(expected, json.loads(out)["results"]):
        distances, _ = index.search(query[None], k=10)
        told = [one["distance"] for one in found["neighbours"]]
        assert told == distances[0].tolist()
    plain = zoo.encode_files(tmp_path / "mine", index.ids)
    np.testing.assert_array_equal(index.codes, plain)
    for name in ("encode", "search"):
        rest = ("--index", tmp_path / "other") if name == "search" else ()
        rest += places[:2] if name == "search" else ()
        code, _, err = run(name, NAME, *paths, *rest, "--mirror")
        assert code == 2 and "means something else here" in err
    code, _, err = run(
        "encode", NAME, *paths, "--mirror", "--runner", "FnApiRunner",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 2 and "neither `--json` nor `--mirror`" in err


def test_a_broken_file_is_named_and_the_others_are_encoded(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes())
    code, out, err = run("encode", NAME, tmp_path, "--json")
    content = json.loads(out)
    assert code == 0 and len(content["codes"]) == 2
    broken = str(tmp_path / "b.png")
    assert list(content["left_out"]) == [broken]
    assert f"left out: {broken}: " in err
    code, _, err = run("encode", NAME, broken)
    assert code == 2 and "None of 1 files is an image" in err


def test_empty_folder(tmp_path):
    code, _, err = run("encode", NAME, tmp_path)
    assert code == 2 and "There are no images" in err


def test_search_builds_extends_and_finds(digit_files, tmp_path, monkeypatch):
    shutil.copytree(digit_files, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    pathlib.Path("photos/0/broken.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + bytes(40)
    )
    pathlib.Path("photos/0/.hidden.png").write_bytes(b"x")
    search = ("search", NAME, "--images", "photos/", "--index", "my.index")
    queries = [f"query{digit}.png" for digit in range(3)]
    code, out, err = run(*search, *queries, "-k", 4, "--out", "found.png")
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

    # What is new or has changed is encoded; what is gone stays till it is said.
    paths = sorted(map(str, pathlib.Path("photos/1").iterdir()))
    paths += sorted(map(str, pathlib.Path("photos/2").iterdir()))
    pathlib.Path(paths[0]).write_bytes(b"no longer an image")
    shutil.copy("query0.png", paths[1])
    pathlib.Path(paths[3]).unlink()
    pathlib.Path("photos/0/broken.png").unlink()
    shutil.copy("query0.png", "photos/0/new.png")
    code, out, err = run(*search, "query0.png", "--radius", 0, "--json")
    assert code == 0, err
    assert err.splitlines() == [
        "left out: 1 hidden",
        "my.index: 1 new image, 1 changed, 20 in all",
        f"gone: 1 image, such as {paths[3]}; they stay in it until "
        f"`keras-hash search {NAME} --index my.index --prune`",
        f"left out: {paths[0]}: not an image of a known kind",
    ]
    code, _, err = run("search", NAME, "--index", "my.index", "--prune")
    assert code == 0 and "they were dropped" in err and "19 in all" in err
    assert paths[3] not in keras_hash.Index.load("my.index").ids
    content = json.loads(out)
    assert content["items"] == 20 and content["model"] == NAME

    # Saved by Python it knows its files still: as many are new or gone.
    index = keras_hash.Index.load("my.index")
    removed, gone = index.ids[0], index.ids[-2]
    index.remove([removed])
    index.save("my.index")
    pathlib.Path(gone).unlink()
    code, _, err = run(*search, "--prune")
    assert code == 0 and "1 new image, 18 in all" in err, err
    assert f"gone: 1 image, such as {gone}; they were dropped" in err
    # Of codes that nobody is known to have made it says so, and stays so.
    index = keras_hash.Index.load("my.index")
    unnamed = keras_hash.Index(index.bits, index.codes, index.ids.tolist())
    unnamed.save("unnamed.index")
    shutil.copy("query0.png", "photos/0/newer.png")
    others = ["unnamed.index" if o == "my.index" else o for o in search]
    code, _, err = run(*others)
    assert code == 0 and "does not say which encoder made" in err, err
    assert "name" not in keras_hash.Index.load("unnamed.index").about
    pathlib.Path("photos/0/newer.png").unlink()
    # Elsewhere its ids are no paths from there: none is gone.
    index.save("other/my.index")
    code, _, err = run(
        "search", NAME, "--index", "other/my.index", "--prune", "query0.png"
    )
    assert code == 0 and "gone" not in err, err
    found = index.ids[-1]
    before = pathlib.Path(found).read_bytes()
    looking = ("search", NAME, "--index", "my.index", "query0.png")
    code, _, err = run(*looking, "--out", found)
    assert code == 2 and "a photo of the index" in err
    assert pathlib.Path(found).read_bytes() == before
    (result,) = content["results"]
    found = {pair["id"]: pair["distance"] for pair in result["neighbours"]}
    assert found["photos/0/new.png"] == 0 and set(found.values()) == {0}
    # A query behind the options, in a folder; the first k within a radius.
    pathlib.Path("asked").mkdir()
    shutil.copy("query1.png", "asked")
    shutil.rmtree("photos/1")
    code, out, err = run(
        "search", NAME, "--index", "my.index", "asked", "--radius", 30,
        "-k", 3, "--out", "found.png",
    )  # fmt: skip
    assert code == 0 and len(out.splitlines()) == 4, err


def test_search_refuses_the_codes_of_another_encoder(digit_files, tmp_path):
    query = digit_files / "query0.png"
    places = ("--images", digit_files / "photos" / "0")
    index = tmp_path / "my.index"
    code, _, err = run("search", NAME, *places, "--index", index)
    assert code == 0, err
    before = index.read_bytes()
    retrained = tmp_path / NAME
    card = publish(keras_hash.load(NAME), retrained, "int8")
    other = tmp_path / "other"
    shutil.copytree(retrained, other)
    (other / "card.json").write_text(json.dumps({**card, "name": "other"}))
    for model, whose in (
        (retrained, f"{NAME} with other weights"),
        (other, f"of {NAME} (30 bits"),
    ):
        code, _, err = run("search", model, query, "--index", index)
        assert code == 2 and whose in err and err.count("\n") == 1
        code, _, err = run(
            "export", model, "--search", index, "--out", tmp_path / "x"
        )
        assert code == 2 and whose in err
    assert index.read_bytes() == before
    # Of an index made in Python, the length is known and the maker is not.
    codes = np.zeros((3, 4), "uint8")
    keras_hash.Index(30, codes).save(index)
    code, out, err = run("search", NAME, query, "--index", index)
    assert code == 0 and out.splitlines()[1].split()[1] == "0", err
    code, _, err = run(
        "search", NAME, query, "--index", index, "--out",
        tmp_path / "x.png",
    )  # fmt: skip
    assert code == 2 and "are numbers, not paths" in err
    for more in (places, ["--prune"]):
        code, _, err = run("search", NAME, *more, "--index", index)
        assert code == 2 and "are numbers, not paths" in err
    keras_hash.Index(32, codes).save(index)
    code, _, err = run("search", NAME, query, "--index", index)
    assert code == 2 and "codes of an encoder (32 bits, hamming)" in err


def test_nothing_is_drawn_without_a_query(digit_files, tmp_path):
    code, _, err = run(
        *("search", NAME, "--images", digit_files / "photos"),
        *("--index", tmp_path / "i", "--out", tmp_path / "x.png"),
    )
    assert code == 2 and "give images to search for" in err
    assert not [*tmp_path.iterdir()]


def test_search_keeps_what_it_encoded_before_a_stop(
    digit_files, tmp_path, monkeypatch
):
    extend = pictures.PhotoIndex.extend
    in_eights = functools.partialmethod(extend, batch_size=8)
    monkeypatch.setattr(pictures.PhotoIndex, "extend", in_eights)
    encode = encoding.FileEncoder.__call__
    calls = []

    def stop_in_the_second(self, paths, *settings):
        calls.append(len(paths))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return encode(self, paths, *settings)

    monkeypatch.setattr(encoding.FileEncoder, "__call__", stop_in_the_second)
    index = tmp_path / "my.index"
    search = ("search", NAME, "--images", digit_files / "photos", "--index")
    code, _, err = run(*search, index)
    assert code == 130 and "8 images are in" in err and "continues" in err
    assert len(keras_hash.Index.load(index)) == 8
    code, _, err = run(*search, index, digit_files)
    assert code == 0 and "12 new images, 20 in all" in err
    # The 23 files that are searched for come before the 12 that are missing.
    assert calls == [8, 8, 23, 8, 4]
    assert [p.name for p in tmp_path.iterdir()] == ["my.index"]


def test_search_with_codes_that_rank_by_common_ones(digit_files, tmp_path):
    model = keras_hash.models.DSHCMultiLabel(num_classes=24)
    entry = tmp_path / "several"
    publish(model, entry)
    index = tmp_path / "my.index"
    query = digit_files / "query0.png"
    code, out, err = run(
        "search", entry, query, "--images", digit_files / "photos",
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


ODD = os.fsdecode(b"not utf-8 \xff [1] $a_ $x\n{}.png")


def test_names_of_all_kinds(digit_files, tmp_path):
    """In a process whose terminal takes UTF-8 alone."""
    photos = tmp_path / "photos [1] $a_ $"
    photos.mkdir()
    for place, name in enumerate((ODD, "b\\c.png", "'~\".png", "*?.png")):
        shutil.copy(digit_files / f"query{place % 3}.png", photos / name)
    index, picture = tmp_path / "i\udcff[].index", tmp_path / "f\udcff*.png"
    search = ("search", NAME, "--images", photos, "--index", index)
    again = [str(word) for word in (*search, photos / ODD, "-k", 2, "--json")]
    process = command.start(
        *(*search, photos / ODD, "-k", 2, "--out", picture),
        then=f"print('END'); code = code or entry.main({again!r})",
    )
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "4 new images" in err and "Traceback" not in err
    out, _, content = out.partition("END\n")
    assert out.count("not utf-8 ? [1] $a_ $x") == 2
    (result,) = json.loads(content)["results"]
    assert result["query"] == str(photos / ODD)
    with Image.open(picture) as drawn:
        assert drawn.width > 300
    ids = keras_hash.Index.load(index).ids.tolist()
    assert f"{photos.name}/{ODD}" in ids
    code, out, err = run("encode", NAME, photos, "--out", tmp_path / "\udcff")
    assert code == 0, err
    with np.load(tmp_path / "\udcff") as stored:
        assert set(stored["paths"]) == {str(p) for p in photos.iterdir()}


def test_what_is_left_out_is_counted_in_one_line(digit_files, tmp_path):
    photos = tmp_path / "photos"
    (photos / ".thumbnails").mkdir(parents=True)
    for name in ("a.png", ".thumbnails/b.png", "c.txt", "d.mov", "e.mov"):
        shutil.copy(digit_files / "query0.png", photos / name)
    (photos / "gone.jpg").symlink_to("nowhere")
    line = (
        "left out: 2 .mov (not an image), 1 hidden, 1 .txt (not an image), "
        "1 broken link"
    )
    code, out, err = run("encode", NAME, photos)
    assert code == 0 and out.count("\n") == 1 and err.splitlines()[0] == line
    index = ("--index", tmp_path / "my.index")
    code, out, err = run("search", NAME, "--images", photos, *index)
    assert code == 0 and err.splitlines()[0] == line, err
    code, out, err = run("search", NAME, photos / "c.txt", *index)
    assert code == 0 and "left out" not in err
    shutil.rmtree(photos / ".thumbnails")
    (photos / "a.png").unlink()
    code, out, err = run("encode", NAME, photos)
    assert code == 2 and err.count("\n") == 1
    assert "no images in" in err and "2 .mov (not an image)" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", NAME, "--images", "PHOTO", "--index", "s3://b/x"),
        ("search", NAME, "--images", "gs://b/x", "--index", "INDEX"),
        ("search", NAME, "--index", "INDEX", "https://x/a.jpg"),
        ("search", NAME, "--images", "PHOTO", "--index", "INDEX")
        + ("PHOTO", "--out", "gs://b/f.png"),
        ("encode", NAME, "PHOTO", "--out", "gs://b/codes.npz"),
        ("encode", "gs://b/entry", "PHOTO"),
        ("info", "gs://b/entry"),
        ("export", NAME, "--out", "gs://b/entry"),
        ("evaluate", NAME, "--report", "gs://b/page.html"),
        ("evaluate", NAME, "--data", "gs://b/photos"),
        ("train", "--data", "digits", "--bits", 30, "--out", "gs://b/entry"),
    ],
)
def test_urls_are_refused_before_any_work(
    digit_files, tmp_path, monkeypatch, arguments
):
    monkeypatch.chdir(tmp_path)
    given = {"PHOTO": digit_files / "query0.png", "INDEX": "my.index"}
    code, out, err = run(*(given.get(one, one) for one in arguments))
    assert code == 2 and out == ""
    assert err.count("\n") == 1 and "not a URL; copy the files here" in err
    assert not list(tmp_path.iterdir())


def test_names_that_a_shell_or_a_parser_would_change(
    digit_files, tmp_path, monkeypatch
):
    (tmp_path / "~").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("~/x.png", "-dash.png"):
        shutil.copy(digit_files / "query0.png", name)
    code, _, err = run("search", NAME, "--index", "i", "--images", ".")
    assert code == 0, err
    search = ("search", NAME, "--index", "i", "-k", "2")
    code, out, err = run(*search, "--", "-dash.png")
    assert code == 0, err
    assert {line.split()[1] for line in out.splitlines()[1:]} == {
        "./~/x.png",
        "./-dash.png",
    }
    code, again, err = run(*search, "./~/x.png")
    assert code == 0 and again.splitlines()[1:] == out.splitlines()[1:]


def test_where_an_index_cannot_be_is_told_before_the_work(
    digit_files, tmp_path
):
    photos = digit_files / "photos"
    beside = tmp_path / "file"
    beside.write_bytes(b"")
    for words in (
        ("search", NAME, "--images", photos, "--index"),
        ("duplicates", photos, "--model", "phash_64", "--index"),
        ("duplicates", photos, "--model", "phash_64", "--move"),
    ):
        code, out, err = run(*words, beside / "within")
        assert code == 2 and not out, words
        assert "that can be written. Received: " in err and "image" not in err
    (tmp_path / "no").mkdir()
    (tmp_path / "no" / "one.png").write_bytes(b"no image")
    index = tmp_path / "i"
    code, _, err = run(
        "search", NAME, "--images", tmp_path / "no", "--index", index
    )
    assert code == 2 and "1 file given, and no image that can be" in err
    assert not index.exists()


def test_a_damaged_file_of_a_folder_is_left_out(digit_files, tmp_path):
    folder, index = tmp_path / "asked", tmp_path / "i"
    folder.mkdir()
    good = digit_files / "query0.png"
    shutil.copy(good, folder)
    bad = folder / "bad.png"
    bad.write_bytes(good.read_bytes()[:60])
    search = "search", "phash_64", "--index", index
    code, out, err = run(*search, folder, "--images", digit_files / "photos")
    assert code == 0 and "left out" in err and "bad.png" in err, err
    assert "query0.png" in out and "bad.png" not in out
    code, _, err = run(*search, folder, bad)
    assert code == 2 and "bad.png is not an image" in err
    code, _, err = run("export", "phash_64", "--out", tmp_path / "s", "-k", 3)
    assert code == 2 and "are for `--search`" in err
