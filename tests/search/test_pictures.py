"""The index of photos, with an encoder that needs no photos."""

import multiprocessing
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash import files
from keras_hash.search import pictures
from keras_hash.search import storage

MAKER = {"name": "mine", "files_sha256": "0" * 64}


def encode(paths):
    """The code of a file is the number in it; others are no images."""
    texts = [pathlib.Path(path).read_text() for path in paths]
    kept = [i for i, text in enumerate(texts) if text.isdecimal()]
    codes = np.array([[int(texts[i])] for i in kept], "uint8").reshape(-1, 1)
    refused = {i: "no number" for i in range(len(paths)) if i not in kept}
    return codes, kept, refused


def opened(path, **changed):
    settings = {"bits": 8, "similarity": "hamming", "maker": MAKER, **changed}
    return pictures.PhotoIndex(path, **settings)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Files of numbers in the working folder, and a function to write one."""
    monkeypatch.chdir(tmp_path)

    def write(name, text=None):
        path = pathlib.Path("photos", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name if text is None else text)
        return str(path)

    return write


def contents(path):
    """Codes by id, and the files beside the index."""
    index = keras_hash.Index.load(path)
    return dict(zip(index.ids.tolist(), index.codes[:, 0].tolist()))


def test_files_are_added_once_and_found(tmp_path, photos):
    path = tmp_path / "new" / "photos.index"
    index = opened(path)
    assert index.extend([], encode).added == 0 and not path.exists()
    some = [photos("3"), photos("1", "x"), photos("7")]
    done = index.extend(some, encode, batch_size=2)
    assert done.added == 2 and done.refused == {"photos/1": "no number"}
    calls = []

    def stops(paths):
        calls.append([pathlib.Path(path).name for path in paths])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return encode(paths)

    index = opened(path)
    more = [photos(name) for name in "3189"]
    with pytest.raises(KeyboardInterrupt):
        index.extend(more[1:], stops, batch_size=2)
    # What came before the stop is saved, and what is there is not asked for.
    assert calls == [["1", "8"], ["9"]]
    index = opened(path)
    assert len(index.index) == 4
    query = np.array([[3]], "uint8")
    nearest = [("photos/3", 0), ("photos/7", 1), ("photos/1", 1)]
    assert index.search(query, 3) == [nearest]
    assert index.search(query, None, radius=1) == [nearest]
    assert index.search(query, 2, radius=1) == [nearest[:2]]
    assert [p.name for p in path.parent.iterdir()] == ["photos.index"]


def test_one_item_for_one_file_however_it_is_spelled(tmp_path, photos):
    path = tmp_path / "photos.index"
    photos("1"), photos("2")
    pathlib.Path("link").symlink_to("photos")
    pathlib.Path("photos/other").symlink_to("2")
    outside = tmp_path.parent / f"{tmp_path.name}-9"
    outside.write_text("9")
    spelled = [
        "photos/1", "./photos/1", "link/1", str(tmp_path / "photos/1"),
        "photos/../photos/1", "photos/other", f"../{outside.name}",
    ]  # fmt: skip
    for some in (spelled, spelled[::-1]):
        opened(path).extend(some, encode)
        wanted = {"photos/1": 1, "photos/2": 2, str(outside): 9}
        assert contents(path) == wanted
    # From another folder, and once both have moved.
    found = opened(path).search(np.array([[1]], "uint8"), 3)
    assert dict(found[0]) == {"photos/1": 0, "photos/2": 2, str(outside): 1}
    (tmp_path / "moved").mkdir()
    for name in ("photos", "photos.index"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    index = opened(tmp_path / "moved" / "photos.index")
    assert index.place("photos/1") == "moved/photos/1"
    assert index.extend(["moved/photos/1"], encode).added == 0
    outside.unlink()


def test_what_changes_and_goes(tmp_path, photos):
    path = tmp_path / "photos.index"
    names = [photos(name) for name in ("1", "2", "3", "4")]
    opened(path).extend(names, encode)
    photos("1", "100")
    photos("3", "no image any more")
    os.utime(names[1], (1, 1))
    pathlib.Path(names[3]).unlink()
    index = opened(path)
    done = index.extend(names[:3], encode)
    assert (done.added, done.changed, done.gone) == (0, 2, ["photos/4"])
    assert done.refused == {"photos/3": "no number"}
    assert contents(path) == {"photos/4": 4, "photos/1": 100, "photos/2": 2}
    done = opened(path).extend([], encode, prune=True)
    assert done.gone == ["photos/4"]
    assert contents(path) == {"photos/1": 100, "photos/2": 2}
    assert opened(path).extend(names[:2], encode).changed == 0


def test_an_index_of_an_older_version(tmp_path, photos):
    """Without size and time, by several spellings: each file once more."""
    path = tmp_path / "photos.index"
    names = [photos("1"), str(tmp_path / "photos/1"), photos("2"), "thing"]
    index = keras_hash.Index(8, np.array([[7], [8], [9], [6]], "uint8"), names)
    index.save(path, about=MAKER)
    index = opened(path)
    assert index.search(np.array([[7]], "uint8"), 1) == [[("photos/1", 0)]]
    done = index.extend(["photos/1", "photos/3"][:1] + [photos("3")], encode)
    # What may be no path is never taken for gone.
    assert (done.added, done.changed, done.gone) == (1, 1, [])
    assert opened(path).extend([], encode, prune=True).gone == []
    wanted = {"photos/2": 9, "thing": 6, "photos/1": 1, "photos/3": 3}
    assert contents(path) == wanted
    assert opened(path).extend(["photos/2", "photos/1"], encode).changed == 1


def test_two_that_extend_at_once_lose_nothing(tmp_path, photos):
    path = tmp_path / "photos.index"
    names = [photos(str(number)) for number in range(9)]
    opened(path).extend(names[:1], encode)
    first, second, third = (opened(path) for _ in range(3))
    photos("0", "200")
    for index, some in ((first, names[1:4]), (second, names[3:6])):
        index.extend(some, encode)
    third.extend([names[0], *names[6:]], encode)
    wanted = {f"photos/{number}": number for number in range(9)}
    assert contents(path) == {**wanted, "photos/0": 200}
    assert len(third.index) == 9 and len(second.index) == 6
    pathlib.Path(names[8]).unlink()
    assert first.extend([], encode, prune=True).gone == []
    assert opened(path).extend([], encode, prune=True).gone == ["photos/8"]


def extend_many(path, number):
    """What a process of its own does: many saves, each of some files."""
    index = opened(path)
    names = [f"photos/{number}-{item}" for item in range(40)]
    index.extend(names, encode, batch_size=4, every=0)


@pytest.mark.slow
@pytest.mark.kills
def test_three_processes_that_save_all_the_time(tmp_path, photos):
    path = tmp_path / "photos.index"
    for number in range(3):
        for item in range(40):
            photos(f"{number}-{item}", str(number * 40 + item))
    spawn = multiprocessing.get_context("spawn")
    processes = [
        spawn.Process(target=extend_many, args=(path, number))
        for number in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    found = contents(path)
    assert sorted(found.values()) == list(range(120)) and len(found) == 120
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"photos", "photos.index"}


def test_a_kill_keeps_what_was_saved_before(tmp_path, photos, monkeypatch):
    path = tmp_path / "photos.index"
    names = [photos(str(number)) for number in range(20)]
    seen, now = [], [0]

    def look(paths):
        seen.append(len(contents(path)) if path.exists() else 0)
        now[0] += 40
        return encode(paths)

    monkeypatch.setattr(pictures.time, "monotonic", lambda: now[0])
    opened(path).extend(names, look, batch_size=4)
    # Every other batch, after more than a minute.
    assert seen == [0, 0, 8, 8, 16]


def test_a_lock_names_its_owner_and_ends_with_it(tmp_path):
    path = tmp_path / "new" / "file"
    with files.locked(path):
        owner = f"by process {os.getpid()} on"
        waiting = files.locked(path, timeout=0.1)
        with pytest.raises(TimeoutError, match=owner), waiting:
            pass
        (lock,) = path.parent.iterdir()
    assert not lock.exists()
    # Left by a process that was killed: nobody holds it.
    lock.write_text("process 1 on another")
    with files.locked(path, timeout=0):
        pass
    assert list(path.parent.iterdir()) == []


def test_whose_codes_they_are(tmp_path, photos):
    path = tmp_path / "photos.index"
    opened(path).extend([photos("3")], encode)
    assert keras_hash.Index.load(path).about == MAKER
    for changed, message in (
        ({"maker": {**MAKER, "files_sha256": "1"}}, "of mine with other wei"),
        ({"maker": {**MAKER, "name": "other"}}, "of mine .*; other makes 8"),
        ({"bits": 7}, "makes 7 bits"),
        ({"similarity": "and"}, "makes 8 bits, and"),
    ):
        with pytest.raises(ValueError, match=message):
            opened(path, **changed)
    # Facts of another kind say nothing against the encoder, and stay.
    index = keras_hash.Index.load(path)
    index.save(path, about={"photos": "mine"})
    opened(path).extend([photos("4")], encode)
    assert keras_hash.Index.load(path).about == {"photos": "mine", **MAKER}


def test_real_codes_order_what_is_found(tmp_path, photos):
    path, rng = tmp_path / "photos.index", np.random.RandomState(0)
    index = opened(path)
    index.extend([photos(str(number)) for number in range(200)], encode)
    real = rng.randint(-16, 17, (4, 8)).astype("float32") / 8
    items = keras_hash.codes.unpack(np.arange(200, dtype="uint8")[:, None], 8)
    for k, radius in ((7, None), (200, None), (5, 3), (None, 3)):
        found = index.search(real, k, radius)
        for query, row in zip(real, found):
            differ = (items > 0) != (query >= 0)
            wanted = sorted(
                (differ[i] @ np.abs(query), differ[i].sum(), i)
                for i in range(200)
                if radius is None or differ[i].sum() <= radius
            )[:k]
            assert row == [(f"photos/{i}", far) for _, far, i in wanted]


def test_which_runtime_made_the_codes(tmp_path, photos):
    path = tmp_path / "photos.index"
    opened(path, runtime="onnx", fitting={"onnx"}).extend([photos("3")], encode)
    assert keras_hash.Index.load(path).about["runtimes"] == ["onnx"]
    for runtime, fitting in (("keras", {"keras"}), ("litert", {"litert"})):
        with pytest.raises(ValueError, match="on onnx.*`--any-runtime`"):
            opened(path, runtime=runtime, fitting=fitting)
    # Its codes are known to be the same, or the user knows what that means.
    opened(path, fitting={"keras", "onnx"})
    opened(path, runtime="litert", fitting=None).extend([photos("4")], encode)
    assert keras_hash.Index.load(path).about["runtimes"] == ["litert", "onnx"]
    with pytest.raises(ValueError, match="on litert"):
        opened(path, runtime="onnx", fitting={"onnx", "keras"})
    assert len(opened(path, fitting=None).index) == 2
    # Of what is encoded anew the former runtime is forgotten.
    for name in "34":
        os.utime(photos(name), (1, 1))
    opened(path, fitting=None).extend([photos("3"), photos("4")], encode)
    assert opened(path).index.about == MAKER


def test_nearest_of_a_benchmark_are_drawn(tmp_path):
    digits = keras_hash.data.load("digits")
    random = np.random.RandomState(0)
    codes = {
        part: keras_hash.codes.pack(random.randn(len(digits.parts[part]), 9))
        for part in ("query", "database")
    }
    path = pathlib.Path(tmp_path / "found.png")
    pictures.nearest(digits, codes, 9, path, "random", queries=3, k=4)
    with Image.open(path) as picture:
        assert picture.width > 300 and picture.height > 200


@pytest.mark.parametrize(
    "columns",
    [
        {"file_times": np.zeros(1, "int64")},
        {"file_sizes": np.zeros(1), "file_times": np.zeros(1)},
        {"file_sizes": np.zeros(2, int), "file_times": np.zeros(2, int)},
    ],
    ids=["one", "floats", "more"],
)
def test_columns_that_make_no_sense(photos, tmp_path, columns):
    path = tmp_path / "photos.index"
    index = keras_hash.Index(8, np.zeros((1, 1), "uint8"), ["a.png"])
    index.save(path)
    fields, arrays = storage.read(path)
    storage.write(path, fields, {**arrays, **columns})
    with pytest.raises(ValueError, match=r"should have `file_sizes` int64 \[1"):
        opened(path)
