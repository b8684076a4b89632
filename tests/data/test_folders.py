"""The walk over folders: what belongs, in which order, and what is counted."""

import os
import pathlib
import re
import zlib

import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash import files
from keras_hash.data import folders


def touch(root, *names):
    for name in names:
        path = pathlib.Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def walked(root):
    """Names of the images and of what is left out, from the folder on."""
    found, left_out = folders.walk(root)
    names = [path.relative_to(root).as_posix() for path in found]
    return names, {
        path.relative_to(root).as_posix(): why for path, why in left_out.items()
    }


KINDS = """a.jpg b.JPEG c.jpe d.jfif e.png f.WebP g.gif h.bmp i.tif j.tiff
    k.heic l.HEIF m.avif n.o.png"""


def test_images_are_known_by_the_ends_of_their_names(tmp_path):
    touch(tmp_path, *KINDS.split(), "a.txt", "jpg", "b.jpg.part", "c.pdf")
    found, left_out = walked(tmp_path)
    assert found == sorted(KINDS.split())
    assert left_out == dict.fromkeys(
        ("a.txt", "b.jpg.part", "c.pdf", "jpg"), "not an image"
    )


@pytest.mark.parametrize(
    "name",
    (".a.png", ".thumbnails/1.png", "x/.git/a/b.png", "@eaDir/a.png")
    + ("__MACOSX/x/._a.png", "Thumbs.db", "x/desktop.ini", ".DS_Store"),
)
def test_hidden_files_and_folders_are_passed_over(tmp_path, name):
    touch(tmp_path, name, "x/seen.png")
    found, left_out = walked(tmp_path)
    assert found == ["x/seen.png"]
    assert set(left_out.values()) == {"hidden"} and len(left_out) == 1


def test_a_hidden_folder_that_is_given_is_walked(tmp_path):
    touch(tmp_path, ".photos/a.png")
    assert walked(tmp_path / ".photos") == (["a.png"], {})


def test_links_are_followed_without_loops(tmp_path):
    root = tmp_path / "photos"
    touch(root, "b/1.png", "c/2.png")
    touch(tmp_path, "else/3.png", "else/deep/4.png", "other.png")
    (root / "a").symlink_to("b")
    (root / "d").symlink_to(tmp_path / "else")
    (root / "b" / "up").symlink_to("..")
    (root / "c" / "top").symlink_to(tmp_path)
    (tmp_path / "else" / "back").symlink_to(root)
    (root / "self").symlink_to("self")
    (root / "gone.jpg").symlink_to("nowhere.jpg")
    (root / "there.png").symlink_to(tmp_path / "other.png")
    found, left_out = walked(root)
    assert found == [
        "b/1.png", "c/2.png", "d/3.png", "d/deep/4.png", "there.png",
    ]  # fmt: skip
    assert left_out == {
        **dict.fromkeys(("a", "b/up", "c/top", "d/back"), "repeated link"),
        **dict.fromkeys(("gone.jpg", "self"), "broken link"),
    }
    # From a link too, everything is found.
    assert walked(root / "d")[0] == [
        f"{name}" for name in ("3.png", "back/b/1.png", "back/c/2.png")
    ] + ["back/there.png", "deep/4.png"]


def test_what_is_no_file_and_what_may_not_be_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    touch(tmp_path, "shut/a.png", "b.png")
    plain = os.listdir

    def listdir(path):
        if pathlib.Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return plain(path)

    monkeypatch.setattr(os, "listdir", listdir)
    assert walked(tmp_path) == (
        ["b.png"],
        {"pipe.png": "not a file", "shut": "Permission denied"},
    )


def test_what_was_left_out_is_counted(tmp_path):
    touch(
        tmp_path, "a.png", "1.TXT", "x/2.txt", "y/3.pdf", ".b", "c", "@eaDir/d"
    )
    (tmp_path / "l.png").symlink_to("nowhere")
    paths, left_out = folders.images([str(tmp_path), tmp_path / "c"])
    # A file that is given is taken, whatever its name.
    assert paths == [str(tmp_path / "a.png"), str(tmp_path / "c")]
    assert set(folders.by_reason(left_out).split(", ")) == {
        "2 .txt (not an image)", "1 .pdf (not an image)", "2 hidden",
        "1 without an ending (not an image)", "1 broken link",
    }  # fmt: skip
    assert folders.by_reason({}) == ""


def test_a_folder_without_images(tmp_path):
    touch(tmp_path, "a.txt", ".b.png")
    words = "no images in .*; left out: 1 hidden, 1 .txt \\(not an image\\)\\."
    with pytest.raises(ValueError, match=words):
        folders.images([tmp_path])
    with pytest.raises(ValueError, match="No such file: .*nowhere"):
        folders.images([tmp_path / "nowhere"])


def paint(root, *names):
    for name in names:
        path = pathlib.Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        random = np.random.RandomState(zlib.crc32(name.encode()))
        pixels = random.randint(0, 256, (8, 8, 3))
        Image.fromarray(pixels.astype("uint8")).save(path)


def test_training_walks_as_searching_does(tmp_path):
    names = [f"{kind}/{i}.png" for kind in "ab" for i in range(5)]
    hidden = ["a/.thumbnails/9.png", "b/@eaDir/8.png", ".c/7.png"]
    paint(tmp_path, *names, *hidden)
    paint(tmp_path.parent / "elsewhere", "6.png")
    (tmp_path / "b" / "more").symlink_to(tmp_path.parent / "elsewhere")
    benchmark = keras_hash.data.from_folder(tmp_path)
    found = {str(tmp_path / name) for name in benchmark.ids}
    assert found == set(folders.images([tmp_path])[0])
    assert benchmark.labels == ["a", "b"]
    assert "left out  3 hidden" in benchmark.summary()


@pytest.mark.parametrize(
    "names, told",
    [
        (("train", "test"), True),
        (("Train", "VAL", "Test"), True),
        (("training", "validation"), True),
        (("dev", "valid", "cats"), True),
        (("train", "bus", "car"), False),
        (("cats", "dogs"), False),
        (("tests", "trains"), False),
    ],
)
def test_classes_that_are_named_like_parts(tmp_path, names, told, recwarn):
    paint(tmp_path, *(f"{name}/{i}.png" for name in names for i in range(3)))
    keras_hash.data.from_folder(tmp_path, query=0.4)
    texts = [str(warning.message) for warning in recwarn]
    assert bool(texts) == told and len(texts) < 2
    assert all(re.search("named like parts of a set", text) for text in texts)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_name_without_an_ending_is_what_its_file_begins_as(tmp_path, kind):
    Image.new("RGB", (4, 4)).save(tmp_path / "photo", kind)
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.dat", kind)
    (tmp_path / "README").write_text("about the photos")
    (tmp_path / "empty").touch()
    found, left_out = folders.walk(tmp_path)
    assert [path.name for path in found] == ["photo"]
    assert sorted(p.name for p in left_out) == ["README", "empty", "photo.dat"]


def test_a_folder_of_that_name_is_no_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("./~/a.png", "~b/a.png"):
        os.makedirs(os.path.dirname(name))
        Image.new("RGB", (4, 4)).save(name)
    paths, _ = folders.images(["."])
    assert len(paths) == 2 and all(map(os.path.isfile, paths))
    assert all(files.local(path).is_file() for path in paths)
