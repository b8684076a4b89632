"""The tools of the repository: training that resumes, tables, recipes."""

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import recipes
import train_zoo
import zoo_table

import keras_hash
from keras_hash import backbones
from keras_hash.evaluation import measure
from keras_hash.export import encoder as export_encoder

ROOT = pathlib.Path(__file__).resolve().parent.parent


DIGITS = recipes.load("dshc_digits_30").RECIPE


def no_backbone(name, shape, weights=None):
    """A model that averages patches, with enough of them for any method."""
    inputs = keras.Input(shape)
    means = keras.layers.AveragePooling2D(min(shape[:2]) // 10)(inputs)
    return keras.Model(inputs, keras.layers.Flatten()(means))


@pytest.mark.parametrize("name", recipes.names())
def test_recipes_say_what_training_needs(name, monkeypatch):
    module = recipes.load(name)
    recipe = module.RECIPE
    for needed in (f"Command: python tools/train_zoo.py {name}", "Score: "):
        assert needed in module.__doc__, needed
    assert recipe.compact in ("float16", "int8")
    if recipe.optimizer is not None:
        assert recipe.optimizer(100).learning_rate is not None
    card = keras_hash.zoo.card(name)
    assert card["dataset"] == recipe.dataset and card["seed"] == recipe.seed
    for key, value in recipe.card().items():
        assert card["recipe"][key] == value, key
    # What the docstring says to expect is what was measured.
    said = re.search(r"Score: mAP ([01]\.[0-9]+)", module.__doc__)[1]
    assert abs(float(said) - card["metrics"]["map"]) <= 6e-4
    # The entry was trained by this recipe, not by an older one. Its backbone
    # is a name here: building those of all entries takes a while.
    monkeypatch.setattr(backbones, "build", no_backbone)
    model = recipe.model(len(card["labels"]))
    config = model.get_config()
    for key, value in card["model"]["config"].items():
        assert key == "name" or config[key] == value, key


def test_every_entry_has_a_recipe():
    entries = {p.parent.name for p in (ROOT / "zoo").glob("*/card.json")}
    assert entries == set(recipes.names())


def test_tables_follow_the_cards(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["zoo_table.py", "--check"])
    zoo_table.main()
    for name in ("map_by_bits.png", "map_by_size.png"):
        assert (ROOT / "zoo" / name).stat().st_size > 10_000


def test_unknown_recipe():
    with pytest.raises(SystemExit, match="There is no recipe 'moon'"):
        train_zoo.main(["moon"])


def test_training_resumes_after_a_kill(tmp_path, monkeypatch):
    benchmark = keras_hash.data.load("digits")
    epochs = []
    end = train_zoo.Clock.on_epoch_end

    def stop_in_the_third(self, epoch, logs=None):
        epochs.append(epoch)
        if epochs == [0, 1, 2]:
            raise KeyboardInterrupt
        end(self, epoch, logs)

    def train():
        return train_zoo.train(DIGITS, benchmark, tmp_path, 4, verbose=0)

    monkeypatch.setattr(train_zoo.Clock, "on_epoch_end", stop_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        train()
    assert not (tmp_path / "final.weights.h5").exists()
    first = json.loads((tmp_path / "clock.json").read_text())["seconds"]
    model, seconds = train()
    assert epochs[3] in (2, 3) and epochs[-1] == 3, epochs
    assert seconds > first > 0
    images, _ = benchmark.arrays("query")
    expected = model.encode(images)
    # A third call finds the finished weights and trains no more.
    again, _ = train()
    np.testing.assert_array_equal(again.encode(images), expected)
    assert len(epochs) <= 6
    assert keras.mixed_precision.global_policy().name == "float32"


@pytest.mark.slow
@pytest.mark.kills
def test_training_killed_three_times_ends_as_an_unbroken_run(tmp_path):
    """Real kills, at random moments, of the whole recipe."""
    random = np.random.RandomState(0)
    program = (
        "import sys, pathlib, json; sys.path.insert(0, sys.argv[1]);"
        "import keras_hash, recipes, train_zoo;"
        "from keras_hash.evaluation import measure;"
        "recipe = recipes.load('dshc_digits_30').RECIPE;"
        "benchmark = keras_hash.data.load('digits');"
        "model, _ = train_zoo.train(recipe, benchmark,"
        " pathlib.Path(sys.argv[2]), recipe.epochs, 0);"
        "print(measure(model, benchmark)[0].metrics['map'])"
    )

    def start(folder):
        command = [sys.executable, "-W", "ignore", "-c", program]
        command += [str(ROOT / "tools"), str(tmp_path / folder)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    whole = start("whole")
    unbroken = float(whole.communicate()[0].split()[-1])
    clock = tmp_path / "broken" / "clock.json"
    reached = []
    for kill in range(3):
        run = start("broken")
        wanted = 15 * (kill + 1) + random.randint(5)
        while run.poll() is None:
            if clock.exists() and json.loads(clock.read_text())["epoch"] >= min(
                wanted, 55
            ):
                break
            time.sleep(0.02 + 0.1 * random.rand())
        assert run.poll() is None, "It ended before it was killed."
        run.kill()
        run.wait()
        reached.append(json.loads(clock.read_text())["epoch"])
    assert sorted(reached) == reached and reached[-1] < 59
    broken = float(start("broken").communicate()[0].split()[-1])
    print(f"unbroken {unbroken:.4f}, killed at {reached}: {broken:.4f}")
    assert abs(broken - unbroken) < 0.015


def test_what_follows_a_frozen_trunk_is_trained_on_its_features(tmp_path):
    recipe = dataclasses.replace(
        DIGITS,
        model=lambda classes: keras_hash.models.CSQ(32, classes, hidden=64),
        trunk="dshc_digits_30",
        backbone_rate=0,
        augment=None,
        compact="int8",
    )
    benchmark = keras_hash.data.load("digits")
    model, _ = train_zoo.train(recipe, benchmark, tmp_path, 8, verbose=0)
    trunk = keras_hash.load("dshc_digits_30").backbone
    for ours, theirs in zip(model.backbone.weights, trunk.weights):
        # Stored as int8 will be: the layers behind it learned on that.
        value = np.array(theirs)
        np.testing.assert_array_equal(
            np.array(ours),
            export_encoder.widen(
                *export_encoder.compact(value, "int8"), "float32"
            ),
        )
    assert np.array(model.hidden.norm.moving_mean).any()
    report, _ = measure(model, benchmark)
    assert report.metrics["map"] > 0.8


def test_solved_methods_have_recipes_too(tmp_path):
    recipe = recipes.Recipe(
        model=lambda classes: keras_hash.models.ITQ(24),
        settings={},
        dataset="digits",
        trunk="dshc_digits_30",
        backbone_rate=0,
    )
    benchmark = keras_hash.data.load("digits")
    model, seconds = train_zoo.train(recipe, benchmark, tmp_path, 0, verbose=0)
    assert seconds > 0 and measure(model, benchmark)[0].metrics["map"] > 0.5
    assert set(recipe.card()) == {"precision", "trunk", "backbone_rate"}


def test_arrays_of_a_benchmark_in_a_file(tmp_path):
    arrays = tmp_path / "digits.npz"
    train_zoo.main(["dshc_digits_30", "--write-arrays", str(arrays)])
    stored = train_zoo.read_arrays(arrays)
    assert stored.checksum == keras_hash.data.load("digits").checksum


@pytest.mark.slow
def test_training_without_tensorflow(tmp_path):
    """On JAX, from arrays, on a trunk in a file; then finished here."""
    arrays = tmp_path / "digits.npz"
    train_zoo.main(["dshc_digits_30", "--write-arrays", str(arrays)])
    program = (
        "import sys; sys.modules['tensorflow'] = None;"
        "sys.path.insert(0, sys.argv.pop(1));"
        "import recipes, train_zoo, dataclasses;"
        "import importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda n, *a: None if n == 'tensorflow' else find(n);"
        "train_zoo.main(sys.argv[1:])"
    )
    options = ["dshc_digits_30", "--epochs", "2", "--arrays", str(arrays)]
    options += ["--verbose", "0", "--runs", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program]
        + [str(ROOT / "tools"), *options],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "Export it where" in done.stdout
    stored = train_zoo.read_arrays(arrays)
    benchmark = keras_hash.data.load("digits")
    assert stored.checksum == benchmark.checksum
    # Not that of a whole training.
    folder = tmp_path / "dshc_digits_30-e2"
    model, seconds = train_zoo.train(DIGITS, benchmark, folder, 2, 0)
    assert seconds > 0 and measure(model, benchmark)[0].metrics["map"] > 0.2
    clock = json.loads((folder / "clock.json").read_text())
    assert clock["machine"].endswith("Keras on jax")
    # A trunk from a file of weights, as from its entry.
    recipe = dataclasses.replace(DIGITS, trunk="dshc_digits_30")
    final = folder / "final.weights.h5"
    started = train_zoo.start(recipe, benchmark, final)
    for ours, theirs in zip(started.backbone.weights, model.backbone.weights):
        np.testing.assert_array_equal(np.array(ours), np.array(theirs))


def test_compaction_cost_counts_bits_and_centres():
    model = keras_hash.models.DSHC(bits=12, num_classes=4)
    book = np.array(model.codebook.codes)
    full = {"query": keras_hash.codes.pack(book[[0, 1, 13]])}
    small = {"query": keras_hash.codes.pack(book[[0, 2, 26]])}
    cost = train_zoo.compaction_cost(model, full, small)
    changed = np.mean(book[[0, 1, 13]] != book[[0, 2, 26]])
    assert cost["bits_changed"] == pytest.approx(changed)
    assert cost["nearest_centre_flips"] == pytest.approx(1 / 3)
