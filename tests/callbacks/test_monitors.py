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


def test_keras_says_so_where_a_monitor_is_in_front(sets):
    train, query, database = sets
    metrics = RetrievalMetrics(query, database)
    stop = keras.callbacks.EarlyStopping("val_map", mode="max")
    with pytest.warns(UserWarning, match="`val_map` which is not available"):
        fit(make(), train, stop, metrics)


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


def test_a_stop_before_the_second_measurement(sets):
    """Patience that is lost on repeated values; other stops are silent."""
    train, query, database = sets
    metrics = RetrievalMetrics(query, database, every=5)
    stop = keras.callbacks.EarlyStopping("val_map", mode="max", patience=2)
    with pytest.warns(UserWarning, match="at least `every`, 5.*after 3 epochs"):
        fit(make(), train, metrics, stop, epochs=12)
    fit(make(), train, metrics, epochs=3)
    # No mAP is better by 2.
    stop = keras.callbacks.EarlyStopping("val_map", 2.0, mode="max", patience=5)
    assert len(fit(make(), train, metrics, stop, epochs=12)["val_map"]) == 6
