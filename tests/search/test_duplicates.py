"""Which copies are kept, and files that are moved, linked and brought back."""

import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from concurrent import futures

import numpy as np
import pytest
from PIL import Image

from keras_hash.search import duplicates


def order(path):
    return path


def test_only_what_is_like_the_one_kept_may_go():
    pairs = {("a", "b"): "x", ("b", "c"): "y", ("c", "d"): "z"}
    found = duplicates.groups(pairs, {}, order)
    assert found == [
        duplicates.Group("a", {"b": "x"}),
        duplicates.Group("c", {"d": "z"}),
    ]
    # By the rank of the best: b is like both.
    found = duplicates.groups(pairs, {}, lambda path: (path != "b", path))
    assert found == [duplicates.Group("b", {"a": "x", "c": "y"})]
    assert duplicates.groups({}, {}, order) == []
    # A closer look at no more pairs than it takes.
    looked, near = [], itertools.combinations("abcdef", 2)

    def fits(pair):
        looked.append(pair)
        return pair != ("a", "d")

    found = duplicates.groups(dict.fromkeys(near, "x"), {}, order, fits)
    assert [group.keep for group in found] == ["a"] and len(looked) == 5
    # Files of the same bytes go with the one of them that is in pairs.
    same = {"b": ["b2", "b3"], "a": ["a2"], "x": ["x2"]}
    found = duplicates.groups({("a", "b"): "near"}, same, order)
    assert found == [
        duplicates.Group(
            "a",
            {"a2": "same bytes", **dict.fromkeys(["b", "b2", "b3"], "near")},
        ),
        duplicates.Group("x", {"x2": "same bytes"}),
    ]


def test_same_bytes(tmp_path):
    texts = dict(a="x", b="y", c="x", d="xy", e="", f="", h="x", i="zz")
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (0, 5 if name == "c" else 9))
    os.link(tmp_path / "c", tmp_path / "g")
    paths = [str(tmp_path / name) for name in "abcdefghi"]
    # The oldest is the best; another name of it is no copy.
    found = duplicates.same_bytes(paths)
    assert found == {paths[2]: [paths[0], paths[7]]}


def test_rank_is_by_pixels_colours_bytes_age_and_name(tmp_path, rng):
    grey = np.repeat(rng.randint(0, 256, (20, 30, 1)).astype("uint8"), 3, -1)
    colour = grey // 2 + np.uint8([90, 0, 20])
    made = {
        "small": (colour[:10], 0, 5),
        "grey": (grey, 9000, 5),
        "b": (colour, 0, 9),
        "c": (colour, 0, 5),
        "a": (colour, 0, 9),
        "more bytes": (colour, 500, 9),
    }
    for name, (pixels, more, age) in made.items():
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(path)
        with open(path, "ab") as file:
            file.write(bytes(more))
        os.utime(path, (0, age))
    best = sorted(map(str, tmp_path.iterdir()), key=duplicates.rank)
    names = [pathlib.Path(path).stem for path in best]
    assert names == ["more bytes", "c", "a", "b", "grey", "small"]


def photos(folder, names=("a/1.jpg", "a/2.jpg", "b/1.jpg", "\udcff.png")):
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(path))
    return [str(path) for path in paths]


def content(folder):
    found = pathlib.Path(folder).rglob("*")
    return {str(p): p.read_bytes() for p in found if p.is_file()}


def test_moved_and_brought_back(tmp_path):
    paths = photos(tmp_path / "photos")
    before = content(tmp_path / "photos")
    target = tmp_path / "copies"
    assert duplicates.move(paths[:2], target) == (2, {})
    assert duplicates.move(paths[2:], target) == (2, {})
    assert content(tmp_path / "photos") == {}
    assert sorted(set(content(target).values())) == sorted(
        {*before.values(), (target / duplicates.LIST).read_bytes()}
    )
    assert duplicates.undo(target) == (4, {})
    assert content(tmp_path / "photos") == before and content(target) == {}
    with pytest.raises(ValueError, match="There is no moved.jsonl"):
        duplicates.undo(target)


def test_two_moves_at_once(tmp_path):
    sides = [photos(tmp_path / name) for name in ("one", "two")]
    before, target = content(tmp_path), tmp_path / "copies"
    with futures.ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda p: duplicates.move(p, target), sides))
    assert found == [(4, {})] * 2
    assert duplicates.undo(target) == (8, {})
    assert content(tmp_path) == before


def test_a_line_that_a_kill_has_cut(tmp_path):
    paths, target = photos(tmp_path / "photos"), tmp_path / "copies"
    before = content(tmp_path / "photos")
    duplicates.move(paths[:1], target)
    with open(target / duplicates.LIST, "a") as listed:
        listed.write('{"from": "/no')
    duplicates.move(paths[1:], target)
    assert duplicates.undo(target) == (4, {})
    assert content(tmp_path / "photos") == before


def test_brought_back_from_elsewhere(tmp_path, monkeypatch):
    paths, target = photos(tmp_path / "photos"), tmp_path / "copies"
    before = content(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    duplicates.move(paths, "copies")
    gone = target / "b" / "1.jpg"
    os.rename(gone, tmp_path / "elsewhere")
    os.rename(target, tmp_path / "renamed")
    monkeypatch.chdir("/")
    back, failed = duplicates.undo(tmp_path / "renamed")
    assert back == 3
    assert list(failed.values()) == ["it is not there any more"]
    # The line stays for as long as its file is neither here nor there.
    os.rename(tmp_path / "elsewhere", tmp_path / "renamed" / "b" / "1.jpg")
    assert duplicates.undo(tmp_path / "renamed") == (1, {})
    assert content(tmp_path / "photos") == before


@pytest.mark.parametrize("line", ["{", "[]", '{"from": "a"}', "5"])
def test_a_damaged_line_is_named(tmp_path, line):
    paths = photos(tmp_path / "photos")
    duplicates.move(paths, tmp_path / "copies")
    with open(tmp_path / "copies" / duplicates.LIST, "a") as listed:
        listed.write(line + "\n")
    with pytest.raises(ValueError, match="Line 5 of .*moved.jsonl is damaged"):
        duplicates.undo(tmp_path / "copies")
    assert content(tmp_path / "photos") == {}


def test_nothing_is_overwritten(tmp_path):
    paths, target = photos(tmp_path / "photos"), tmp_path / "copies"
    duplicates.move(paths[:1], target)
    photos(tmp_path / "photos")
    duplicates.move(paths[:1], target)
    names = sorted(os.path.basename(path) for path in content(target))
    assert names == ["1 (2).jpg", "1.jpg", duplicates.LIST]
    pathlib.Path(paths[0]).write_text("new")
    back, failed = duplicates.undo(target)
    assert back == 0 and len(failed) == 2
    os.remove(paths[0])
    assert duplicates.undo(target)[0] == 1
    # The other one is of the same bytes: it stays, at every try.
    with pytest.raises(ValueError, match="There is no moved.jsonl"):
        duplicates.undo(target)
    assert pathlib.Path(paths[0]).exists() and len(content(target)) == 1


def test_another_disk(tmp_path, monkeypatch):
    paths, target = photos(tmp_path / "photos"), tmp_path / "copies"
    before, rename = content(tmp_path / "photos"), os.rename

    def across(a, b):
        if ("copies" in str(a)) != ("copies" in str(b)):
            raise OSError(18, "Invalid cross-device link", str(a))
        return rename(a, b)

    monkeypatch.setattr(os, "rename", across)
    duplicates.move(paths, target)
    assert content(tmp_path / "photos") == {}
    assert duplicates.undo(target) == (4, {})
    assert content(tmp_path / "photos") == before
    # A link stays one.
    link = tmp_path / "photos" / "link.jpg"
    link.symlink_to(paths[0])
    duplicates.move([link], target)
    assert (target / "link.jpg").is_symlink() and not link.is_symlink()
    assert duplicates.undo(target) == (1, {})
    assert os.readlink(link) == paths[0]
    # So does one that leads nowhere from there.
    link.unlink()
    link.symlink_to(os.path.relpath(paths[0], link.parent))
    duplicates.move([link], target)
    # What a kill amid a copy left goes.
    left = [
        folder / ".99999999-1f.new.link.jpg" for folder in (link.parent, target)
    ]
    for place in left:
        place.write_text("a part")
    assert duplicates.undo(target) == (1, {})
    assert link.samefile(paths[0]) and not any(map(os.path.exists, left))


@pytest.mark.parametrize("killed", [False, True])
def test_another_disk_from_a_folder_that_keeps_its_files(
    tmp_path, monkeypatch, killed
):
    """A read-only folder, or a kill before the file there is removed."""
    paths, target = photos(tmp_path / "photos"), tmp_path / "copies"
    before, unlink = content(tmp_path / "photos"), os.unlink

    def across(a, b):
        raise OSError(18, "Invalid cross-device link", str(a))

    def kept(path, *args, **kwargs):
        if str(path) == paths[2]:
            raise KeyboardInterrupt if killed else OSError(30, "Read-only")
        return unlink(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", across)
        patch.setattr(os, "unlink", kept)
        if killed:
            with pytest.raises(KeyboardInterrupt):
                duplicates.move(paths, target)
        else:
            failed = {paths[2]: "Read-only"}
            assert duplicates.move(paths, target) == (3, failed)
        assert len(content(target)) == 4
        assert duplicates.undo(target) == (3 - killed, {})
    assert content(tmp_path / "photos") == before
    assert not content(target)


def test_one_file_that_cannot_go_back_stops_no_other(tmp_path):
    paths, target = photos(tmp_path / "photos"), tmp_path / "copies"
    duplicates.move(paths, target)
    folder = pathlib.Path(paths[2]).parent
    others = [path for path in paths if pathlib.Path(path).parent != folder]
    folder.rmdir()
    folder.write_text("a file now")
    back, failed = duplicates.undo(target)
    assert back == len(others) > 0 and len(failed) == 4 - back
    assert all(map(os.path.exists, others))
    folder.unlink()
    assert duplicates.undo(target) == (4 - back, {})


def test_links_of_the_same_bytes(tmp_path):
    paths = photos(tmp_path)
    pathlib.Path(paths[1]).write_bytes(pathlib.Path(paths[0]).read_bytes())
    before = content(tmp_path)
    # The second pair is not of the same bytes any more.
    found = [(paths[0], paths[1]), (paths[0], paths[2])]
    changed = {paths[2]: f"it or {paths[0]} has changed"}
    assert duplicates.link(found) == (1, changed)
    assert os.path.samefile(*paths[:2]) and content(tmp_path) == before


def test_a_file_is_linked_to_one_and_not_to_a_link(tmp_path, monkeypatch):
    (tmp_path / "store").mkdir()
    real, link, copy = (tmp_path / n for n in ("store/a", "b", "store/c"))
    real.write_text("x")
    copy.write_text("x")
    link.symlink_to(os.path.join("store", "a"))
    assert duplicates.link(
        [(str(link), str(copy)), (str(copy), str(link))]
    ) == (
        1,
        {},
    )
    assert os.path.samefile(real, copy) and not copy.is_symlink()
    assert link.is_symlink() and link.read_text() == "x"

    def across(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", across)
    failed = duplicates.link([(str(real), str(copy))])
    assert failed == (0, {str(copy): "Invalid cross-device link"})
    assert sorted(os.listdir(tmp_path / "store")) == ["a", "c"]


def test_one_name_of_each_file(tmp_path):
    (tmp_path / "b").write_text("x")
    (tmp_path / "other").write_text("x")
    os.link(tmp_path / "b", tmp_path / "hard")
    for name, target in (("a", "b"), ("z", "a"), ("c", "other")):
        (tmp_path / name).symlink_to(tmp_path / target)
    paths = [str(tmp_path / name) for name in ("a", "b", "z", "c", "hard")]
    assert duplicates.one_name(paths) == [paths[1], paths[3], paths[4]]
    # A link is kept only where there is nothing else.
    assert duplicates.same_bytes([paths[3], paths[1]]) == {paths[1]: [paths[3]]}


MOVE = """
import sys, pathlib
from keras_hash.search import duplicates
paths = sorted(map(str, pathlib.Path(sys.argv[1]).iterdir()))
print("go", flush=True)
duplicates.move(paths, sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(10))
def test_killed_while_it_moves(tmp_path, turn):
    names = [f"{number}.jpg" for number in range(3000)]
    photos(tmp_path / "photos", names)
    before = content(tmp_path / "photos")
    target = tmp_path / "copies"
    process = subprocess.Popen(
        [sys.executable, "-c", MOVE, tmp_path / "photos", target],
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    time.sleep(0.02 + 0.05 * turn)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = set(os.listdir(tmp_path / "photos"))
    moved = set(os.listdir(target)) - {duplicates.LIST}
    assert not there & moved and there | moved == set(names)
    if moved:
        listed = (target / duplicates.LIST).read_text().splitlines()
        listed = {json.loads(line)["to"] for line in listed if line[-1] == "}"}
        # Relative to the folder of the list.
        assert moved <= {os.path.basename(target / name) for name in listed}
        duplicates.undo(target)
    assert content(tmp_path / "photos") == before


def test_what_is_no_image_any_more_is_no_copy(tmp_path, rng):
    good, copy, bad = (str(tmp_path / f"{n}.png") for n in "abc")
    image = Image.fromarray(rng.randint(0, 256, (40, 50, 3)).astype("uint8"))
    for path in (good, copy):
        image.resize((200, 160)).save(path)
    pathlib.Path(bad).write_bytes(b"no image")
    refused = {}
    fits = duplicates.second_look(refused=refused)
    assert fits((good, copy)) and not fits((good, bad))
    assert [*refused] == [bad]


def test_what_cannot_be_moved_stops_no_other(tmp_path):
    paths, target = photos(tmp_path / "photos"), tmp_path / "copies"
    before = content(tmp_path / "photos")
    target.mkdir()
    (target / "b").write_text("a file where a folder should be")
    count, failed = duplicates.move(paths, target)
    assert {*failed} == {p for p in paths if "/b/" in p} and failed
    assert count == 4 - len(failed) > 0
    # What stayed is in no list.
    listed = (target / duplicates.LIST).read_text().splitlines()
    assert len(listed) == count
    assert duplicates.undo(target) == (count, {})
    assert content(tmp_path / "photos") == before
