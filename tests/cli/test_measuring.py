"""`keras-hash evaluate` and `verify`, and the tool that verifies the zoo."""

import json
import shutil

import verify_zoo

import keras_hash
from keras_hash import zoo
from tests.cli.command import run

NAME = "dshc_digits_30"


def test_evaluate():
    code, out, _ = run("evaluate", NAME, "-k", 10)
    assert code == 0 and "map@10" in out and "mAP on the card" in out
    code, out, _ = run("evaluate", NAME, "--json")
    metrics = keras_hash.RetrievalReport.from_json(out).metrics
    assert metrics["map"] > 0.95


def test_verify(tmp_path):
    code, out, err = run("verify", "dshc_dig*")
    assert code == 0 and not err
    assert NAME in out and "ok" in out
    card = zoo.card(NAME)
    assert out.count(f"{card['metrics']['map']:.6f}") == 2
    wrong, damaged, away = (tmp_path / n for n in ("wrong", "damaged", "away"))
    for folder in (wrong, damaged, away):
        shutil.copytree(zoo.entry_folder(NAME), folder)
    metrics = {**card["metrics"], "map": 0.5}
    (wrong / "card.json").write_text(json.dumps({**card, "metrics": metrics}))
    (damaged / "1" / "saved_model.pb").write_bytes(b"")
    own = {**card, "recipe": {"data": "gone/photos"}}
    (away / "card.json").write_text(json.dumps(own))
    code, out, err = run("verify", wrong, damaged, away)
    assert code == 1 and "differs" in out
    lines = err.splitlines()
    assert len(lines) == 3, err
    assert "map: 0.500000 on the card, 0.98" in lines[0]
    assert "saved_model.pb" in lines[1] and "is damaged" in lines[1]
    assert "are not here: gone/photos" in lines[2]
    code, out, err = run("verify", damaged, "--json")
    assert code == 1 and "is damaged" in json.loads(out)[0]["error"]


def test_verify_zoo(capsys, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(zoo.entry_folder(NAME), folder)
    card = zoo.card(folder)
    changed = {**card, "metrics": {"map": card["metrics"]["map"] + 0.1}}
    (folder / "card.json").write_text(json.dumps(changed))
    assert verify_zoo.main([str(folder), "--write"]) == 1
    assert "1 of 1 metrics differ" in capsys.readouterr().err
    written = zoo.card(folder)
    assert written["metrics"].keys() == card["metrics"].keys()
    assert written["files"] == card["files"]
    assert verify_zoo.main([str(folder)]) == 0
    captured = capsys.readouterr()
    assert "ok" in captured.out and not captured.err
