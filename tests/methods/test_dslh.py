"""DSLH: labels that features correct, and the bank that has both."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_hash
from keras_hash.methods import _corrected
from tests.methods import cases
from tests.methods import loops


def grid(rows, columns, a, b):
    """The inputs of the check values: the same everywhere, without a seed."""
    k = np.arange(rows * columns).reshape(rows, columns) + 1.0
    return np.sin(a * k**1.5 + b)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def prototypes_by_loops(rows, spread=0.7, count=8):
    """The steps of the specification, one number at a time."""
    m = len(rows)
    near = [[round(loops.dot(a, b), 5) for b in rows] for a in rows]
    median = [sorted(row)[m // 2] for row in near]
    density = [
        sum(np.sign(near[i][j] - median[j]) for j in range(m)) for i in range(m)
    ]
    gaps = []
    for i in range(m):
        if density[i] < max(density):
            denser = [near[i][j] * (density[j] > density[i]) for j in range(m)]
            gaps.append(max(denser))
        else:
            gaps.append(min(near[i]))
    low = min(gaps) + spread * (max(gaps) - min(gaps))
    kept = [gap < low for gap in gaps]
    bar = sorted(d * k for d, k in zip(density, kept))[-1 - count]
    found = [i for i in range(m) if kept[i] and density[i] > bar]
    return found or list(range(m))


def test_prototypes():
    rows = unit(np.abs(grid(12, 5, 1.3, 0.2)))
    assert _corrected.prototypes(rows, count=3).tolist() == [10]
    for seed in range(10):
        rows = unit(np.abs(np.random.RandomState(seed).randn(30, 6)))
        found = _corrected.prototypes(rows)
        assert found.tolist() == prototypes_by_loops(rows.tolist())
    # Too few images, and images that are all alike: all of them.
    assert len(_corrected.prototypes(rows[:8])) == 8
    assert len(_corrected.prototypes(np.tile(rows[:1], (20, 1)))) == 20


def noisy(count=300, wrong=0.3, seed=0):
    """Features in clusters, their classes, and labels of which many are
    wrong."""
    random = np.random.RandomState(seed)
    classes = random.randint(0, cases.CLASSES, count)
    centres = 3 * np.abs(random.randn(cases.CLASSES, 8))
    features = np.maximum(centres[classes] + random.randn(count, 8), 0)
    labels = classes.copy()
    changed = random.rand(count) < wrong
    labels[changed] = random.randint(0, cases.CLASSES, changed.sum())
    return features.astype("float32"), classes, labels


def test_features_correct_wrong_labels():
    features, classes, labels = noisy()
    hot = np.eye(cases.CLASSES)[labels] > 0
    found = _corrected.labels_of(features, hot)
    assert (found.sum(axis=1) == 1).all()
    right = np.mean(found.argmax(axis=1) == classes)
    assert right > np.mean(labels == classes) + 0.1
    # A class without images is nobody's; many images of a class are a sample.
    hot[:, 2] = False
    few = _corrected.labels_of(features, hot, most=20)
    assert not few[:, 2].any()
    np.testing.assert_array_equal(
        few, _corrected.labels_of(features, hot, most=20)
    )


def fed(kind, features, labels):
    """Batches with the index of each image."""
    if kind == "arrays":
        return {"x": features, "y": labels}
    if kind == "sampled":
        sampler = keras_hash.data.EpochSampler(len(features), 30)
        return {"x": keras_hash.data.SampledBatches(features, labels, sampler)}
    index = np.arange(len(features))
    data = tf.data.Dataset.from_tensor_slices(
        (features, {"label": labels, "index": index})
    )
    return {"x": data.shuffle(300, seed=0).batch(30)}


@pytest.mark.parametrize("kind", ["arrays", "sampled", "tf.data"])
def test_the_bank_has_the_corrected_labels(kind):
    features, _, labels = noisy()
    model = cases.make("dslh", bank_size=300)
    model.compile(keras.optimizers.Adam(1e-3))
    assert not np.array(model.bank.corrected).any()
    model.fit(batch_size=30, verbose=0, **fed(kind, features, labels))
    expected = _corrected.labels_of(features, np.eye(cases.CLASSES)[labels] > 0)
    found = np.array(model.bank.corrected)
    np.testing.assert_array_equal(found, expected)


def test_unseen_rows_stand_for_the_batch():
    bank = _corrected.CorrectedBank(5, 2, 3)
    bank.corrected.assign(np.eye(3)[[0, 1, 2, 0, 1]])
    codes, given = np.ones((2, 2), "float32"), np.eye(3)[[1, 0]]
    both = np.concatenate([given, np.eye(3)[[1, 2]]], axis=1)
    refs = bank.update(np.array([4, 2]), both, codes)
    shown = np.array(refs["ref_labels"])
    assert shown.shape == (5, 6)
    np.testing.assert_array_equal(shown[:, :3].argmax(1), [1, 0, 0, 0, 1])
    np.testing.assert_array_equal(shown[:, 3:].argmax(1), [1, 2, 2, 2, 1])


@pytest.mark.parametrize(
    "labelled", ["multi", pytest.param("single", marks=pytest.mark.slow)]
)
def test_training_saving_and_going_on(labelled, tmp_path):
    features, labels = cases.labelled(labelled, 60)

    def trained(path, *epochs):
        for count in epochs:
            keras.utils.set_random_seed(0)
            model = cases.make("dslh", bank_size=60)
            model.compile(keras.optimizers.Adam(1e-2))
            history = model.fit(
                features,
                labels,
                batch_size=20,
                epochs=count,
                shuffle=False,
                callbacks=[keras_hash.callbacks.Backup(tmp_path / path)],
                verbose=0,
            )
        return model, history.history["loss"]

    (model, history), (again, _) = trained("a", 8), trained("b", 3, 8)
    # The first epoch knows no corrected labels yet.
    assert np.isfinite(history).all() and history[-1] < 0.95 * history[1]
    for one, other in zip(model.get_weights(), again.get_weights()):
        np.testing.assert_allclose(one, other, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        np.array(loaded.bank.corrected), np.array(model.bank.corrected)
    )
    np.testing.assert_array_equal(
        loaded.encode(features), model.encode(features)
    )
    assert loaded.get_config() == model.get_config()
    loaded.fit(features, labels, verbose=0)
    short = model.shorten(8)
    np.testing.assert_allclose(
        short.real_codes(features), model.real_codes(features)[:, :8], atol=1e-5
    )


def test_dslh_needs_a_bank(tmp_path):
    model = cases.make("dslh", bank_size=None)
    with pytest.raises(ValueError, match="`bank_size` should be their number"):
        model.compile("sgd")
    features, labels = cases.labelled("single", 60)
    model = cases.make("dslh", bank_size=60)
    model.compile("sgd")
    model.fit(features, labels, verbose=0)
    assert np.isfinite(model.evaluate(features, labels, verbose=0)).all()
    path = tmp_path / "model.keras"
    model.save(path)
    again = keras.models.load_model(path)
    np.testing.assert_array_equal(again.bank.corrected, model.bank.corrected)


def test_dslh_is_measured_on_images_that_the_bank_does_not_hold():
    features, labels = cases.labelled("single", 60)
    model = cases.make("dslh", bank_size=60)
    model.compile("sgd")
    model.fit(features, labels, verbose=0)
    expected = model.evaluate(features, labels, batch_size=60, verbose=0)
    y = {"label": labels, "index": 1000 + np.arange(60)}
    data = tf.data.Dataset.from_tensor_slices((features, y)).batch(60)
    found = model.evaluate(data, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
