"""Checkpoints and early stopping, at each measurement and between."""

import keras
import numpy as np
import pytest

import keras_hash
from keras_hash.callbacks import RetrievalMetrics
from tests.callbacks.training import fit
from tests.callbacks.training import make


def test_checkpoint_and_early_stopping_see_the_values(sets, tmp_path):
    train, query, database = sets
    model = make()
    metrics = RetrievalMetrics(query, database)
    best = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.keras",
        monitor="val_map",
        mode="max",
        save_best_only=True,
    )
    history = fit(model, train, metrics, best, epochs=3)
    assert best.best == max(history["val_map"])
    kept = keras.models.load_model(tmp_path / "best.keras")
    expected = keras_hash.evaluate(
        kept.encode(query[0]),
        query[1],
        kept.encode(database[0]),
        database[1],
        bits=12,
    )
    assert expected.metrics["map"] == pytest.approx(best.best)
    stop = keras.callbacks.EarlyStopping("val_map", 2.0, mode="max", patience=1)
    # No mAP is better by 2.
    history = fit(model, train, metrics, stop, epochs=5)
    assert len(history["val_map"]) == 2


def test_a_monitor_in_front_is_reported(sets):
    train, query, database = sets
    metrics = RetrievalMetrics(query, database)
    stop = keras.callbacks.EarlyStopping("val_map", mode="max")
    with pytest.raises(ValueError, match="put `RetrievalMetrics` before it"):
        fit(make(), train, stop, metrics)
    # What it does not measure is none of its business.
    other = keras.callbacks.EarlyStopping("loss", mode="min")
    fit(make(), train, other, metrics)
    listed = keras.callbacks.CallbackList([stop, metrics], model=make())
    with pytest.raises(ValueError, match="`EarlyStopping` first"):
        make().fit(*train, callbacks=listed, verbose=0)


def test_every_measures_first_every_so_manieth_and_last(sets, monkeypatch):
    train, query, database = sets
    measured = []
    measure = RetrievalMetrics._measure

    def noted(self, epoch):
        measured.append(epoch)
        measure(self, epoch)

    monkeypatch.setattr(RetrievalMetrics, "_measure", noted)
    metrics = RetrievalMetrics(query, database, every=2)
    history = fit(make(), train, metrics, epochs=5)
    assert measured == [0, 1, 3, 4]
    assert len(history["val_map"]) == 5
    assert history["val_map"][2] == history["val_map"][1]
    fit(make(), train, metrics, epochs=5, initial_epoch=2)
    assert measured[4:] == [2, 3, 4]


def test_monitors_between_measurements(sets, tmp_path):
    """A repeated value is no new best, and patience spans the gaps."""
    train, query, database = sets
    model = make()
    metrics = RetrievalMetrics(query, database, every=5)
    best = keras.callbacks.ModelCheckpoint(
        tmp_path / "{epoch}.keras",
        monitor="val_map",
        mode="max",
        save_best_only=True,
    )
    seen = {}
    at = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.update(
            {epoch: (logs["val_map"], model.get_weights())}
        )
    )
    # No mAP is better by 2, so it stops once a new value was no better.
    stop = keras.callbacks.EarlyStopping("val_map", 2.0, mode="max", patience=5)
    history = fit(model, train, metrics, best, at, stop, epochs=12)["val_map"]
    assert len(history) == 6
    assert history[:4] == history[:1] * 4
    assert history[4:] == history[4:5] * 2
    kept = sorted(int(path.stem) for path in tmp_path.glob("*.keras"))
    assert set(kept) <= {1, 5}
    assert best.best == max(history)
    loaded = keras.models.load_model(tmp_path / f"{kept[-1]}.keras")
    for a, b in zip(loaded.get_weights(), seen[kept[-1] - 1][1]):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("EarlyStopping", {"patience": 4}, "at least `every`, 5.*patience=4"),
        (
            "ReduceLROnPlateau",
            {"patience": 2},
            "`ReduceLROnPlateau` would lose",
        ),
        (
            "EarlyStopping",
            {"patience": 5, "start_from_epoch": 3},
            "multiple of `every`, 5, less 1.*start_from_epoch=3",
        ),
    ],
)
def test_monitors_that_act_between_measurements(sets, name, settings, message):
    train, query, database = sets
    metrics = RetrievalMetrics(query, database, every=5)
    kind = getattr(keras.callbacks, name)
    with pytest.raises(ValueError, match=message):
        fit(make(), train, metrics, kind("val_map", **settings))
    # Other values are there at every epoch, and so are these by default.
    metrics.check_order([metrics, kind("loss", **settings)])
    fine = {**settings, "patience": 5}
    if "start_from_epoch" in fine:
        fine["start_from_epoch"] = 9
    metrics.check_order([metrics, kind("val_map", **fine)])
    metrics = RetrievalMetrics(query, database)
    metrics.check_order([metrics, kind("val_map", **settings)])
