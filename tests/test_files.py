"""Files and folders that are whole or absent."""

import json
import math

import numpy as np
import pytest

from keras_hash import files
from keras_hash import zoo
from keras_hash.cli import inputs
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
    inputs.print_json(content)
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
    # What a process of the same number left behind when it was killed.
    new.mkdir()
    (new / "half").touch()
    with files.beside(path) as again:
        assert again == new and not again.exists()
        again.mkdir()
        (again / "whole").touch()
    assert [p.name for p in path.iterdir()] == ["whole"]
    # A folder that holds something is not replaced.
    with pytest.raises(OSError), files.beside(path) as new:
        new.mkdir()
    assert [p.name for p in tmp_path.iterdir()] == ["1"]
    assert [p.name for p in path.iterdir()] == ["whole"]
