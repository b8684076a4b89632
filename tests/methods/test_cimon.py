"""CIMON: check values and loops, what `adapt` stores, training, bad input."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_hash import losses
from keras_hash.methods import _semantics
from keras_hash.methods.cimon import cimon
from tests.methods import cases
from tests.methods import loops


def views(count=60):
    """Features of two views of images."""
    features, _ = cases.labelled("single", count)
    noise = np.random.RandomState(1).randn(count, 2, 8).astype("float32")
    return features[:, None] + 0.1 * noise


def make(**given):
    given = {"bank_size": 60, "clusters": 5, "quantile": 0.2, **given}
    return cases.make("cimon", num_classes=None, **given)


def grid(rows, columns, a, b):
    """The inputs of the check values: the same everywhere, without a seed."""
    k = np.arange(rows * columns).reshape(rows, columns) + 1.0
    return np.sin(a * k**1.5 + b)


def cimon_features():
    """Features, clusters and codes of the check values."""
    features = [np.abs(grid(8, 6, 0.37, b)) + 0.3 for b in (0.2, 0.25)]
    codes = [np.tanh(grid(8, 4, 1.1, b)) for b in (0.1, 0.25)]
    return features, np.array([0, 0, 0, 1, 1, 2, 2, 2]), np.concatenate(codes)


def test_cimon_check_values_and_loops():
    features, clusters, codes = cimon_features()
    found = []
    for rows in features:
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        scalars = _semantics.statistics(unit.astype("float32"))
        tensors = tf.constant(unit, "float32"), tf.constant(scalars, "float32")
        pair = _semantics.targets(tensors[0], clusters, tensors[1])
        *expected, spread = loops.cimon_targets(rows, clusters)
        for a, b in zip(pair, expected):
            np.testing.assert_allclose(a, b, atol=1e-5)
        assert scalars == pytest.approx([0.1, *spread], rel=1e-4)
        found.append(pair)
    weights = [0.927660, 0.442439, 0, 0, 0, 0, 0.197431, 0]
    np.testing.assert_allclose(found[0][1][0], weights, atol=1e-5)
    similar, confidence = (np.stack(each) for each in zip(*found))
    known = {"similar": similar, "confidence": confidence}
    for eta, value in ((0.3, 1.116791), (0.0, 0.764580)):
        loss = losses.CIMON(4, eta=eta)
        assert float(loss(known, codes)) == pytest.approx(value, abs=2e-6)
    alone = losses.CIMON(4, eta=1.0)(None, codes)
    assert float(alone) == pytest.approx(1.174038, abs=2e-6)
    assert loops.cimon(codes, similar, confidence) == pytest.approx(1.116791)
    # Similarities reach the codes of both views.
    inputs = tf.constant(codes, "float32")
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = tf.reduce_mean(cimon(inputs, similar, confidence, eta=0.0))
    slope = tape.gradient(value, inputs).numpy()
    for at in [(0, 1), (3, 0), (9, 2), (15, 3)]:
        ends = []
        for step in (-1e-5, 1e-5):
            moved = codes.copy()
            moved[at] += step
            ends.append(loops.cimon(moved, similar, confidence, eta=0.0))
        expected = (ends[1] - ends[0]) / 2e-5
        assert abs(expected) > 1e-4
        assert slope[at] == pytest.approx(expected, rel=2e-3)


def test_cimon_looks_rows_up(tmp_path):
    images = views()
    model = make()
    model.adapt(images)
    index = np.array([5, 41, 0, 17])
    found = model.targets(None, tf.constant(index))
    every = model.targets(None, tf.range(60))
    for key in ("similar", "confidence"):
        assert found[key].shape == (2, 4, 4)
        some = every[key].numpy()[:, index][:, :, index]
        np.testing.assert_allclose(found[key], some, atol=1e-5)
    share = (every["similar"].numpy() > 0).mean()
    assert 0.2 <= share < 0.25  # the diagonal too
    # Batches in another order, by their index.
    order = np.random.RandomState(0).permutation(60)
    labels = {"label": np.zeros(60, int), "index": order}
    dataset = tf.data.Dataset.from_tensor_slices((images[order], labels))
    again = make()
    again.adapt(dataset.batch(7))
    np.testing.assert_array_equal(
        np.array(again.bank.features), np.array(model.bank.features)
    )
    again.fit(dataset.batch(7), verbose=0)
    again.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for a, b in zip(loaded.bank.variables, again.bank.variables):
        np.testing.assert_array_equal(np.array(a), np.array(b))
    kept = {v.path for v in model.encoder_variables}
    assert not kept & {v.path for v in model.bank.variables}
    assert len(kept) + 3 == len({v.path for v in model.variables})


def test_wide_features_keep_their_cosines():
    random = np.random.RandomState(0)
    base = random.randn(40, 300)
    rows = (random.randn(90, 40) @ base).astype("float32")
    store = _semantics.PairStore(90, 300)
    store.fill(np.stack([rows, rows], axis=1), 4, 0.1, None)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    kept = np.array(store.features)[:, 0]
    assert kept.shape == (90, 256)
    np.testing.assert_allclose(kept @ kept.T, unit @ unit.T, atol=1e-5)


@pytest.mark.parametrize(
    "given, data, message",
    [
        ({"bank_size": None}, (60, 2, 8), "bank_size=None"),
        ({"bank_size": 61}, (60, 2, 8), "bank_size=61"),
        ({"bank_size": 59}, (60, 2, 8), "bank_size=59"),
        ({}, (60, 8), "2 views of each image"),
        ({}, (60, 3, 8), "2 views of each image"),
        ({"clusters": 61}, (60, 2, 8), "clusters=61"),
        ({"quantile": 1.5}, (60, 2, 8), "quantile=1.5"),
        ({"quantile": 0.0}, (60, 2, 8), "quantile=0.0"),
        ({"quantile": "few"}, (60, 2, 8), "quantile='few'"),
        ({"threshold": 0.0}, (60, 2, 8), "threshold=0.0"),
        ({"threshold": 3.0}, (60, 2, 8), "threshold=3.0"),
        ({"clusters": 1}, (60, 2, 8), "clusters"),
        ({"bank_size": 0}, (60, 2, 8), "bank_size=0"),
    ],
)
def test_what_cimon_refuses(given, data, message):
    images = np.random.RandomState(0).randn(*data).astype("float32")
    with pytest.raises(ValueError, match=message):
        make(**given).adapt(images)


def test_what_cimon_needs_before_it_trains():
    images = views()
    with pytest.raises(ValueError, match="not all the same"):
        make().adapt(np.ones_like(images))
    with pytest.raises(ValueError, match="not all the same"):
        # One of the two views.
        make().adapt(images * [[[0], [1]]])
    unnamed = tf.data.Dataset.from_tensor_slices((images, np.zeros(60, int)))
    with pytest.raises(ValueError, match="index of every image"):
        make().adapt(unnamed.batch(60))
    for given in ({}, {"bank_size": None}):
        with pytest.raises(ValueError, match="call `adapt`"):
            make(**given).fit(images, verbose=0)
    model = make()
    model.adapt(images)
    dataset = tf.data.Dataset.from_tensor_slices((images, np.zeros(60, int)))
    with pytest.raises(ValueError, match="index of every sample"):
        model.fit(dataset.batch(10), verbose=0)


def test_training_brings_similar_images_near(tmp_path):
    images = views()
    _, kinds = cases.labelled("single", 60)
    model = make()
    model.adapt(images)
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(images, batch_size=30, epochs=40, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    signs = np.where(model.real_codes(images[:, 0], verbose=False) >= 0, 1, -1)
    agree = signs @ signs.T / 12
    same = kinds[:, None] == kinds
    assert agree[same].mean() > agree[~same].mean() + 0.3
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    again.fit(images, batch_size=30, verbose=0)
