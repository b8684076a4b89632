"""`keras-hash evaluate --report`: the page as a file."""

import json

import pytest

import keras_hash
from keras_hash import evaluation
from tests.cli.command import run
from tests.html_report.cases import Tree
from tests.html_report.cases import check

NAME = "dshc_digits_30"


def test_the_command_writes_the_page(tmp_path):
    path = tmp_path / "made" / "out.html"
    evaluate = ("evaluate", NAME, "-k", 10, "--report", path)
    code, out, err = run(*evaluate)
    assert code == 0, err
    assert f"report: {path}" in out and "map@10" in out
    tree = check(path.read_text())
    assert tree.all("h1")[0]["text"] == NAME
    card = keras_hash.zoo.card(NAME)
    (value,) = tree.all("strong")[0]["inside"]
    assert float(value["value"]) == pytest.approx(
        card["metrics"]["map"], abs=5e-5
    )
    assert "images/s" in tree.all(id_="time")[0]["text"]
    code, out, err = run(*evaluate, "--json")
    assert code == 0, err
    # Metrics alone on stdout, and the same page but for the times.
    assert json.loads(out)["metrics"]["map"] == float(value["value"])
    again = Tree(path.read_text())
    for part in ("metrics", "map", "best", "worst", "confusion", "codes"):
        assert again.all(id_=part) == tree.all(id_=part)
    assert [p.name for p in path.parent.iterdir()] == ["out.html"]


@pytest.mark.parametrize("place", ["folder", "file/out.html", "n" * 300])
def test_an_unwritable_path_is_one_error_at_once(tmp_path, monkeypatch, place):
    def too_late(*_, **__):
        raise AssertionError("it was measured first")

    monkeypatch.setattr(evaluation, "measure", too_late)
    monkeypatch.setattr(keras_hash, "load", too_late)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("a file")
    code, _, err = run("evaluate", NAME, "--report", tmp_path / place)
    assert code == 2 and err.count("\n") == 1
    assert "`--report` should be a file that can be written" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
