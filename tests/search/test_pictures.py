"""The index of photos, with an encoder that needs no photos."""

import pathlib

import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash.search import pictures

MAKER = {"name": "mine", "files_sha256": "0" * 64}


def encode(paths):
    """The code of a file is its number; names without one are no images."""
    kept = [i for i, path in enumerate(paths) if path.isdecimal()]
    codes = np.array([[int(paths[i])] for i in kept], "uint8").reshape(-1, 1)
    refused = {i: "no number" for i in range(len(paths)) if i not in kept}
    return codes, kept, refused


def opened(path, **changed):
    settings = {"bits": 8, "similarity": "hamming", "maker": MAKER, **changed}
    return pictures.PhotoIndex(path, **settings)


def test_files_are_added_once_and_found(tmp_path):
    path = tmp_path / "new" / "photos.index"
    index = opened(path)
    assert index.extend([], encode) == (0, {}) and not path.exists()
    found = index.extend(["3", "x", "1"], encode, batch_size=2)
    assert found == (2, {"x": "no number"})
    calls = []

    def stops(paths):
        calls.append(paths)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return encode(paths)

    index = opened(path)
    with pytest.raises(KeyboardInterrupt):
        index.extend(["1", "7", "8", "9"], stops, batch_size=2)
    # What came before the stop is saved, and what is there is not asked for.
    assert calls == [["7", "8"], ["9"]]
    index = opened(path)
    assert index.index.ids.tolist() == ["3", "1", "7", "8"]
    query = np.array([[3]], "uint8")
    nearest = [("3", 0), ("1", 1), ("7", 1), ("8", 3)]
    assert index.search(query, 3) == [nearest[:3]]
    assert index.search(query, None, radius=1) == [nearest[:3]]
    assert index.search(query, 2, radius=1) == [nearest[:2]]
    assert [p.name for p in path.parent.iterdir()] == ["photos.index"]


def test_whose_codes_they_are(tmp_path):
    path = tmp_path / "photos.index"
    opened(path).extend(["3"], encode)
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
    opened(path).extend(["4"], encode)
    assert keras_hash.Index.load(path).about == {"photos": "mine", **MAKER}


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
