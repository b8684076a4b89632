"""Files and folders that are whole or absent."""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import tensorflow as tf

import keras_hash
from keras_hash import files
from keras_hash import zoo
from keras_hash.cli import outputs
from keras_hash.data import folders
from keras_hash.search import storage

NAN, INFINITE = float("nan"), float("inf")


def strict(text):
    """What JSON parsers other than Python's read."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    "content, expected",
    [
        ({"a": NAN, "b": 1.5}, {"a": None, "b": 1.5}),
        (
            [INFINITE, [-INFINITE, {"c": (NAN, 2)}]],
            [None, [None, {"c": [None, 2]}]],
        ),
        ({"map": np.float64("nan")}, {"map": None}),
        (
            {"a": "nan", "b": None, "c": True},
            {"a": "nan", "b": None, "c": True},
        ),
        (NAN, None),
    ],
)
def test_json_has_no_nan(content, expected, capsys, tmp_path):
    assert strict(files.to_json(content)) == expected
    assert "\n" not in files.to_json(content, None)
    outputs.print_json(content)
    assert strict(capsys.readouterr().out) == expected
    storage.write(tmp_path / "index", {"about": content}, {})
    assert storage.read(tmp_path / "index")[0]["about"] == expected


def test_a_card_with_nan(tmp_path):
    card = zoo.card("dshc_digits_30")
    content = {**card, "metrics": {**card.metrics, "map": NAN}}
    zoo.Card.from_dict(content).write(tmp_path)
    text = (tmp_path / "card.json").read_text()
    assert strict(text)["metrics"]["map"] is None
    assert math.isnan(zoo.Card.read(tmp_path).metrics["map"])


def test_a_file_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / "made" / "codes.npz"
    for content in ("one", "other"):
        with files.beside(path) as new:
            # Writers that look at the suffix see the right one.
            assert new.parent == path.parent and new.suffix == ".npz"
            assert new.name.startswith(".") and not new.exists()
            new.write_text(content)
        assert path.read_text() == content
    with pytest.raises(OSError, match="disk"), files.beside(path) as new:
        new.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "other"
    files.write(path, b"third")
    assert path.read_bytes() == b"third"
    assert [p.name for p in path.parent.iterdir()] == ["codes.npz"]


def test_a_folder_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / "1"
    with pytest.raises(ValueError), files.beside(path) as new:
        new.mkdir()
        (new / "half").touch()
        raise ValueError
    assert not list(tmp_path.iterdir())
    with files.beside(path) as again:
        # Threads may write one path at once.
        assert again != new and not again.exists()
        again.mkdir()
        (again / "whole").touch()
    assert [p.name for p in path.iterdir()] == ["whole"]
    # A folder that holds something is not replaced.
    with pytest.raises(OSError), files.beside(path) as new:
        new.mkdir()
    assert [p.name for p in tmp_path.iterdir()] == ["1"]
    assert [p.name for p in path.iterdir()] == ["whole"]


@pytest.mark.parametrize("length", [150, 199, 240, 255])
@pytest.mark.parametrize("letter", ["x", "\u4e2d", "\udcff"])
def test_a_name_may_be_as_long_as_the_system_takes(tmp_path, length, letter):
    name = letter * (length // len(os.fsencode(letter)))
    files.write(tmp_path / name, "here")
    assert [p.name for p in tmp_path.iterdir()] == [name]
    with pytest.raises(OSError, match="File name too long"):
        files.write(tmp_path / (name + 256 * "x"), "here")


# Each is the name of one file, whatever a shell or a library makes of it.
NAMES = [
    "a [1]", "[ab]", "q?*", "{a,b}", "back\\slash", "$HOME", "%20", "a b ",
    "new\nline", "'\"", "~x", "a~", "-x", "#x", "a:b", "x://", "\u4e2d\u00fc",
    os.fsdecode(b"bad\xff"), "gs:",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_means_its_file(tmp_path, name, monkeypatch):
    assert files.local(tmp_path / name) == tmp_path / name
    (tmp_path / name).mkdir()
    with files.plain(tmp_path / name) as place:
        assert place.samefile(tmp_path / name)
        assert not set(str(place)) & set("[]{}*?\\$\n'\"\udcff")
    monkeypatch.chdir(tmp_path)
    if "://" not in name:
        files.write(f"{name}/x", "here")
        assert (tmp_path / name / "x").read_text() == "here"
        # A folder that is there is no URL.
        assert files.local(pathlib.Path(name, "x")).read_text() == "here"


def test_a_wave_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for path in ("~/a/b", pathlib.Path("~", "a", "b"), b"~/a/b"):
        assert files.local(path) == tmp_path / "home" / "a" / "b"
    assert files.local("~") == tmp_path / "home"
    # Also for who asks twice.
    assert files.local(files.local("./~/a")) == tmp_path / "~" / "a"


@pytest.mark.parametrize(
    "path",
    ["gs://b/x", "s3://b/x", "http://x.org/a.png", "HTTPS://x", "file:///a"]
    + ["abfs+x.y-z://b", "simplecache::gs://b/x", pathlib.Path("gs://b/x")],
    ids=str,
)
def test_every_door_refuses_a_url_by_one_sentence(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    codes = np.zeros((4, 1), "uint8")
    report = keras_hash.evaluate(codes, [0] * 4, codes, [0] * 4, bits=8)
    dataset = tf.data.Dataset.from_tensors((np.zeros((2, 2, 3), "uint8"), 0))
    doors = [
        lambda: keras_hash.load(path),
        lambda: keras_hash.zoo.card(path),
        lambda: keras_hash.zoo.publish(None, path, None),
        lambda: keras_hash.Index(8).save(path),
        lambda: keras_hash.Index.load(path),
        lambda: report.save(path),
        lambda: report.figure(path),
        lambda: keras_hash.data.from_folder(path),
        lambda: keras_hash.data.from_csv(path, "a", "b"),
        lambda: keras_hash.data.batches(dataset, 1, cache=path),
        lambda: folders.images([path]),
    ]
    for door in doors:
        with pytest.raises(ValueError, match="this machine, not a URL; .*Rec"):
            door()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["", b"", "a\0b"])
def test_a_path_names_something(path):
    with pytest.raises(ValueError, match="should name a file or a folder"):
        files.local(path)


def test_a_path_is_text():
    for wrong in (None, 5, ["a"]):
        with pytest.raises(ValueError, match=r"a str or a `pathlib.Path`. Rec"):
            files.local(wrong)


def test_text_with_parts_of_names_is_written(tmp_path):
    name = os.fsdecode("\u00fcn \U0001f600 \xff".encode()[:-1] + b"\xff")
    assert files.shown(name) == "\u00fcn \U0001f600 \ufffd\ufffd"
    assert files.shown("\U0001f600") == "\U0001f600"
    files.write(tmp_path / "page.html", f"<p>{name}</p>")
    assert "\ufffd" in (tmp_path / "page.html").read_text(encoding="utf-8")


FULL = """
import os, pathlib, resource, sys
import numpy as np
import keras_hash
from keras_hash import callbacks, data, files

folder = pathlib.Path(sys.argv[1])
model = keras_hash.models.CSQ(16, 10)
digits = data.load("digits")
index = keras_hash.Index(64, np.zeros((9000, 8), "uint8"), range(9000))
backup = callbacks.Backup(folder / "b.backup")
calls = {
    "text.txt": lambda: files.write(folder / "text.txt", "x" * 100_000),
    "a.index": lambda: index.save(folder / "a.index"),
    "saved": lambda: model.export(folder / "saved"),
    "entry/1": lambda: keras_hash.zoo.publish(model, folder / "entry", digits),
    "b.backup": lambda: model.fit(
        digits.train.take(9), verbose=0, callbacks=[backup]
    ),
}
if sys.argv[2] == "Permission denied":
    folder.chmod(0o555)
    if os.geteuid() == 0:  # whom no folder refuses
        os.seteuid(65534)
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for name, call in calls.items():
    try:
        call()
    except OSError as error:
        place = str(folder / name).removesuffix("/1")
        assert place in str(error), (name, error)
        assert sys.argv[2] in str(error), (name, error)
    else:
        raise AssertionError(name)
"""


@pytest.mark.parametrize(
    "reason",
    [pytest.param("too large", marks=pytest.mark.slow), "Permission denied"],
)
def test_what_cannot_be_written_leaves_the_old_file_and_is_named(reason):
    """Files of a bounded size stand for a full disk."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        old = {folder / name: b"old" for name in ("text.txt", "a.index")}
        for path, content in old.items():
            path.write_bytes(content)
        done = subprocess.run(
            [sys.executable, "-c", FULL, folder, reason],
            capture_output=True,
            text=True,
        )
        folder.chmod(0o755)
        assert done.returncode == 0, done.stderr[-2000:]
        left = {p: p.read_bytes() for p in folder.iterdir() if p in old}
        assert left == old
        names = {str(p.relative_to(folder)) for p in folder.rglob("*")}
        assert names - {"entry"} == {"text.txt", "a.index"}


def test_an_error_leaves_no_folder(tmp_path):
    (tmp_path / "there").mkdir()
    for path in (tmp_path / "a/b/new", tmp_path / "there/c/new"):
        with pytest.raises(ValueError, match="no"), files.beside(path) as new:
            new.write_text("half")
            raise ValueError("no")
    assert [p.name for p in tmp_path.iterdir()] == ["there"]
    assert not list((tmp_path / "there").iterdir())


def test_who_may_read_a_file_stays(tmp_path):
    path, other = tmp_path / "a", tmp_path / "b"
    for place in (path, other):
        files.write(place, "old")
    path.chmod(0o600)
    other.chmod(0o644)
    files.write(path, "new")
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == 0o600
    # A hard link shares its mode with the file that it is one of.
    with files.beside(path) as new:
        os.link(other, new)
    assert other.stat().st_mode & 0o777 == 0o644


def test_what_others_write_is_not_swept_away(tmp_path, monkeypatch):
    """The number of a process means another one in another container."""
    with files.beside(tmp_path / "a") as ours:
        assert files._here() in ours.name
        ours.write_text("ours")
        files.sweep(tmp_path)
        assert ours.exists()
    gone = [
        tmp_path / f".99999999-{mark}.new.a"
        for mark in (f"{files._here()}00000000", "1f")
    ]
    others = tmp_path / f".99999999-{'0' * 16}.new.a"
    for place in (*gone, others):
        place.write_text("left")
    files.sweep(tmp_path)
    assert others.exists() and not any(place.exists() for place in gone)
    os.utime(others, (0, 0))

    def refuse(place):
        raise PermissionError(place)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_remove", refuse)
        files.sweep(tmp_path)
    files.sweep(tmp_path)
    assert [place.name for place in tmp_path.iterdir()] == ["a"]
