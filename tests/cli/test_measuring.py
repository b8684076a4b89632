"""`keras-hash evaluate` and `verify`, and the tool that verifies the zoo."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import train_zoo
import verify_zoo
from PIL import Image

import keras_hash
from keras_hash import evaluation
from keras_hash import zoo
from keras_hash.cli import inputs
from keras_hash.zoo import verify as verification
from tests.cli.command import run

NAME = "dshc_digits_30"


def test_evaluate():
    code, out, _ = run("evaluate", NAME, "-k", 10)
    assert code == 0 and "map@10" in out and "mAP on the card" in out
    code, out, _ = run("evaluate", NAME, "--json")
    metrics = keras_hash.RetrievalReport.from_json(out).metrics
    assert metrics["map"] > 0.95


def test_a_photo_that_vanishes_is_named(tmp_path, rng, monkeypatch):
    for number in range(12):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.randint(0, 256, (8 + number, 8, 3)).astype("uint8")
        Image.fromarray(pixels).save(path)
    measure = evaluation.measure

    def without_photos(*arguments, **options):
        for path in (tmp_path / "photos" / "b").iterdir():
            path.unlink()
        return measure(*arguments, **options)

    monkeypatch.setattr(evaluation, "measure", without_photos)
    code, _, err = run("evaluate", "phash_64", "--data", tmp_path / "photos")
    assert code == 2 and "photos/b/" in err
    assert "No such file" in err and "user-defined" not in err


def test_evaluate_with_mirrored_queries(tmp_path, rng):
    # Photos that look alike from left to right only where they are mirrored.
    for name, colour in (("red", 0), ("blue", 2)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(8):
            pixels = rng.randint(0, 256, (8, 8, 3)).astype("uint8")
            pixels[..., colour] = 255
            path = tmp_path / "photos" / name / f"{number}.png"
            Image.fromarray(pixels).save(path)
    bench = keras_hash.data.from_folder(tmp_path / "photos")
    model = keras_hash.models.HashNet(32, 2)
    card = zoo.publish(model, tmp_path / "mine", bench)
    assert set(card.mirrored) == set(card.metrics)
    assert card.mirrored != card.metrics
    stored = keras_hash.load(tmp_path / "mine")
    report, codes = evaluation.measure(stored, bench, mirror=True)
    assert card.mirrored == report.metrics
    plain = stored.encode(bench.database)
    np.testing.assert_array_equal(codes["database"], plain)
    turned = stored.encode(bench.query, mirror=True)
    np.testing.assert_array_equal(codes["query"], turned)
    assert (turned != stored.encode(bench.query)).any()
    given = (tmp_path / "mine", "--data", tmp_path / "photos", "--mirror")
    code, out, err = run("evaluate", *given, "--json")
    assert code == 0, err
    assert keras_hash.RetrievalReport.from_json(out).metrics == report.metrics
    # The card is held to it.
    card = dataclasses.replace(card, mirrored={**card.mirrored, "map": 2.0})
    card.write(tmp_path / "mine")
    found = verification.verify(tmp_path / "mine", bench)
    assert list(found.differing) == ["map (mirrored queries)"]
    code, _, err = run("evaluate", NAME, "--mirror")
    assert code == 2 and "The mirror images of digits mean something" in err


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
    assert verify_zoo.main([str(folder)]) == 1
    assert "metrics differ by more than" in capsys.readouterr().err
    train_zoo.main(["--measure-again", str(folder)])
    written = zoo.card(folder)
    assert "map_before" not in written["compaction"]
    assert written["metrics"].keys() == card["metrics"].keys()
    assert written["files"] == card["files"]
    assert verify_zoo.main([str(folder)]) == 0
    captured = capsys.readouterr()
    assert written.mirrored is None
    assert "ok" in captured.out and not captured.err


def test_chosen_metrics(tmp_path):
    code, out, err = run(
        "evaluate", "dshc_digits_30", "--metrics", "map", "ndcg@50", "--json"
    )
    assert code == 0, err
    assert set(json.loads(out)["metrics"]) == {"map", "ndcg@50"}
    for more, message in (
        (["nap"], "`metrics` should be among"),
        (["map", "--report", tmp_path / "x.html"], "leave `--metrics` out"),
    ):
        code, _, err = run("evaluate", "dshc_digits_30", "--metrics", *more)
        assert code == 2 and message in err


def test_a_folder_that_is_called_like_a_benchmark():
    card = dataclasses.replace(
        zoo.card("dshc_digits_30"), protocol="query=0.1, seed=0", recipe={}
    )
    with pytest.raises(FileNotFoundError, match="a benchmark made in Python"):
        inputs.benchmark_of_card(card)
