"""The demo, with one epoch and without CIFAR-10."""

import json

import pytest
from PIL import Image

from keras_hash.cli import demo
from keras_hash.data import cifar10


def test_demo_writes_pictures_and_tables(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cifar10, "is_prepared", lambda: False)
    rows = demo.run(tmp_path, epochs=1)
    assert "CIFAR-10 is not on this machine" in capsys.readouterr().out
    assert json.loads((tmp_path / "metrics.json").read_text()) == rows
    trained = rows["digits: dshc_digits_30"]["map"]
    baseline = rows["digits: random hyperplanes on pixels"]["map"]
    chance = rows["digits: chance"]["map"]
    assert trained > 0.95 > baseline > chance
    assert chance == pytest.approx(0.104, abs=0.001)
    assert "| digits: chance |" in (tmp_path / "metrics.md").read_text()
    with Image.open(tmp_path / "digits.png") as picture:
        assert min(picture.size) > 500
    assert not (tmp_path / "cifar10.png").exists()
