"""`RetrievalMetrics`: values, names, subsets, and all kinds of input."""

import numpy as np
import pytest

import keras_hash
from keras_hash.callbacks import RetrievalMetrics
from tests.callbacks.training import as_dataset
from tests.callbacks.training import fit
from tests.callbacks.training import labelled
from tests.callbacks.training import make


@pytest.mark.parametrize("multi", [False, True])
def test_values_are_those_of_evaluate(rng, multi):
    train, query, database = (
        labelled(rng, count, multi) for count in (40, 12, 50)
    )
    model = make()
    names = ("map", "map@7", "precision_radius@2", "unique_codes")
    if multi:
        names += ("jaccard_ndcg@5",)
    metrics = RetrievalMetrics(
        query, database, k=5, metrics=names, batch_size=50
    )
    history = fit(model, train, metrics, epochs=2)
    expected = keras_hash.evaluate(
        model.encode(query[0], 50),
        query[1],
        model.encode(database[0], 50),
        database[1],
        bits=12,
        k=(5, 7),
    )
    for name in names:
        assert history[f"val_{name}"][-1] == expected.metrics[name], name
        assert len(history[f"val_{name}"]) == 2
        assert metrics.report.metrics[name] == expected.metrics[name]
    # No others are computed.
    assert set(metrics.report.metrics) == set(names)
    assert metrics.report.curves == expected.curves


def test_default_names_and_similarity_of_the_model(rng):
    train, query, database = (
        labelled(rng, count, True) for count in (40, 12, 50)
    )
    model = make(3, "DSHCMultiLabel")
    metrics = RetrievalMetrics(query, database, k=(5, 9))
    history = fit(model, train, metrics)
    assert metrics.report.settings["similarity"] == "and"
    assert {name for name in history if name.startswith("val_")} == {
        "val_map",
        "val_precision@5",
        "val_ndcg@5",
        "val_precision@9",
        "val_ndcg@9",
    }


def test_options_reach_the_evaluation(sets):
    train, _, database = sets
    metrics = RetrievalMetrics(database, database, self_match="drop", k=5)
    fit(make(), train, metrics)
    assert metrics.report.settings["self_match"] == "drop"


@pytest.mark.parametrize("subset", [None, 9])
def test_all_kinds_of_input_agree(sets, subset):
    _, query, database = sets
    model = make()
    reports = []
    for kind in (
        lambda pair: pair,
        lambda pair: (list(pair[0]), {"label": pair[1][:, None]}),
        as_dataset,
        lambda pair: as_dataset(pair, 7),
        lambda pair: as_dataset(pair, 40),
        lambda pair: as_dataset(pair, 7, index=True),
        lambda pair: as_dataset(pair).filter(lambda image, label: True),
        lambda pair: as_dataset((pair[0], pair[1][:, None])),
    ):
        metrics = RetrievalMetrics(
            kind(query), kind(database), subset=subset, batch_size=10
        )
        metrics.set_model(model)
        metrics.on_train_begin()
        metrics.on_epoch_end(0, {})
        reports.append(metrics.report)
    assert all(report == reports[0] for report in reports)
    assert reports[0].settings["queries"] == (subset or 12)
    assert reports[0].settings["database"] == (subset or 50)


def test_subset_follows_the_seed(sets):
    train, query, database = sets
    found = []
    for seed in (0, 0, 1):
        metrics = RetrievalMetrics(query, database, subset=20, seed=seed)
        fit(make(), train, metrics)
        found.append(metrics.report)
        assert len(np.unique(metrics.database.chosen)) == 20
        assert metrics.report.settings["queries"] == 12
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_validation_and_training_are_left_alone(sets):
    """The same weights with and without, and Keras' own values stay."""
    train, query, database = sets
    # With moving averages, which evaluation must not touch.
    plain, watched = make(backbone="small"), make(backbone="small")
    fit(plain, train, epochs=2)
    metrics = RetrievalMetrics(query, database)
    history = fit(watched, train, metrics, epochs=2, validation_data=query)
    assert {"val_loss", "val_map"} <= set(history)
    for a, b in zip(plain.weights, watched.weights):
        np.testing.assert_array_equal(a, b)
