"""The tools of the repository: training that resumes, tables, recipes."""

import importlib.util
import json
import pathlib

import keras
import numpy as np
import pytest

import keras_hash

ROOT = pathlib.Path(__file__).resolve().parent.parent


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


train_zoo = load(ROOT / "tools" / "train_zoo.py")
RECIPES = sorted(p.stem for p in (ROOT / "tools" / "recipes").glob("*.py"))


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_say_what_training_needs(name):
    recipe = train_zoo.load_recipe(name)
    assert f"tools/train_zoo.py {name}" in recipe.__doc__
    assert recipe.COMPACT in ("float16", "int8")
    model = recipe.model(10)
    schedule = recipe.optimizer(100)
    assert model.bits == 30 and schedule.learning_rate is not None
    card = keras_hash.zoo.card(name)
    assert card["recipe"]["epochs"] == recipe.EPOCHS
    assert card["seed"] == recipe.SEED
    for key, value in recipe.SETTINGS.items():
        assert card["recipe"][key] == value
    # The entry was trained by this recipe, not by an older one.
    config = model.get_config()
    for key, value in card["model"]["config"].items():
        assert key == "name" or config[key] == value, key


def test_unknown_recipe():
    with pytest.raises(SystemExit, match="There is no recipe 'moon'"):
        train_zoo.load_recipe("moon")


def test_training_resumes_after_a_kill(tmp_path, monkeypatch):
    recipe = train_zoo.load_recipe("dshc_digits_30")
    benchmark = keras_hash.data.load("digits")
    epochs = []
    end = train_zoo.Clock.on_epoch_end

    def stop_in_the_third(self, epoch, logs=None):
        epochs.append(epoch)
        if epochs == [0, 1, 2]:
            raise KeyboardInterrupt
        end(self, epoch, logs)

    monkeypatch.setattr(train_zoo.Clock, "on_epoch_end", stop_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        train_zoo.train(recipe, benchmark, tmp_path, 4, verbose=0)
    assert not (tmp_path / "final.weights.h5").exists()
    first = json.loads((tmp_path / "clock.json").read_text())["seconds"]
    model, seconds = train_zoo.train(recipe, benchmark, tmp_path, 4, verbose=0)
    assert epochs[3] in (2, 3) and epochs[-1] == 3, epochs
    assert seconds > first > 0
    images, _ = benchmark.arrays("query")
    expected = model.encode(images)
    # A third call finds the finished weights and trains no more.
    again, _ = train_zoo.train(recipe, benchmark, tmp_path, 4, verbose=0)
    np.testing.assert_array_equal(again.encode(images), expected)
    assert len(epochs) <= 6
    assert keras.mixed_precision.global_policy().name == "float32"


def test_compaction_cost_counts_bits_and_centres():
    model = keras_hash.models.DSHC(bits=12, num_classes=4)
    book = np.array(model.codebook.codes)
    full = {"query": keras_hash.codes.pack(book[[0, 1, 13]])}
    small = {"query": keras_hash.codes.pack(book[[0, 2, 26]])}
    cost = train_zoo.compaction_cost(model, full, small)
    changed = np.mean(book[[0, 1, 13]] != book[[0, 2, 26]])
    assert cost["bits_changed"] == pytest.approx(changed)
    assert cost["nearest_centre_flips"] == pytest.approx(1 / 3)
