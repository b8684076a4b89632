"""The memory bank of all training images."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_hash
from keras_hash.methods import _bank
from keras_hash.methods import registry
from tests.entry import publish
from tests.methods.cases import BANKED
from tests.methods.cases import CLASSES
from tests.methods.cases import labelled
from tests.methods.cases import make


@pytest.mark.parametrize("name", BANKED)
def test_the_bank_follows_the_codes(name):
    features, labels = labelled("multi")
    model = make(name, bank_size=24)
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(features, labels, batch_size=8, verbose=0)
    np.testing.assert_array_equal(np.array(model.bank.labels), labels)
    np.testing.assert_allclose(
        np.array(model.bank.codes), model.real_codes(features), atol=1e-5
    )
    assert np.array(model.bank.seen).all()


def test_the_bank_is_what_a_batch_is_compared_with():
    features, labels = labelled("single")
    model = make("dpsh", bank_size=24)
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(features, labels, batch_size=8, verbose=0)
    real = model.real_codes(features)
    history = model.fit(
        features, labels, batch_size=24, verbose=0, shuffle=False
    )
    loss = keras_hash.losses.DPSH(12)
    expected = loss(labels, real, ref_labels=labels, ref_codes=real)
    assert history.history["loss"][0] == pytest.approx(float(expected), 1e-5)


def is_compiled(function, *given):
    library = (
        function.get_concrete_function(*given).graph.as_graph_def().library
    )
    return any("_XlaMustCompile" in f.attr for f in library.function)


@pytest.mark.parametrize(
    "name",
    [
        n
        if n in ("dch", "dsh", "hashnet")
        else pytest.param(n, marks=pytest.mark.slow)
        for n in BANKED
    ],
)
def test_the_loss_of_a_large_bank_is_that_of_single_operations(name):
    """The loss and its gradient at once, also as a part of another loss."""
    random = np.random.RandomState(0)
    labels, ref_labels = (
        (random.rand(n, CLASSES) < 0.3).astype("float32") for n in (16, 50_000)
    )
    codes, ref_codes = (
        np.tanh(random.randn(n, 12)).astype("float32") for n in (16, 50_000)
    )
    weights = random.rand(16).astype("float32")
    kind = registry()[name][1]
    needs = "num_classes" in inspect.signature(kind).parameters
    loss = kind(12, CLASSES) if needs else kind(12)

    def step(size, *given):
        labels, codes, weights, ref_labels, ref_codes = given
        with tf.GradientTape() as tape:
            tape.watch(codes)
            value = 3 * _bank.loss_of(
                lambda u: loss(labels, u, weights, ref_labels, ref_codes),
                tf.tanh(codes),
                size,
            )
        return value, tape.gradient(value, codes)

    found = []
    given = map(tf.constant, (labels, codes, weights, ref_labels, ref_codes))
    given = tuple(given)
    for size in (24, 50_000):
        function = tf.function(step)
        assert is_compiled(function, size, *given) == (size > 24)
        found.append(function(size, *given))
    found.append(step(50_000, *given))  # not in a graph
    for value, slopes in found[1:]:
        np.testing.assert_allclose(value, found[0][0], rtol=1e-5)
        scale = np.abs(found[0][1]).max()
        np.testing.assert_allclose(slopes, found[0][1], atol=2e-5 * scale)


@pytest.mark.parametrize("dtype", [None, "mixed_float16"])
def test_a_step_with_a_large_bank_is_that_of_single_operations(
    dtype, monkeypatch
):
    features, labels = labelled("multi")
    weights = np.linspace(0.5, 1.5, 8)
    found = []
    for large in (24, 1024):
        monkeypatch.setattr(_bank, "_LARGE", large)
        model = make("dpsh", bank_size=24, dtype=dtype)
        model.compile(
            keras.optimizers.SGD(0.01), weighted_metrics=[_bank.CodeAccuracy()]
        )
        history = model.fit(
            features[:8],
            labels[:8],
            sample_weight=weights,
            batch_size=4,
            shuffle=False,
            verbose=0,
        )
        found.append([np.array(history.history["loss"]), *model.get_weights()])
    for plain, compiled in zip(*found):
        np.testing.assert_allclose(compiled, plain, rtol=1e-5, atol=1e-5)


def test_unseen_rows_of_the_bank_stand_for_the_batch():
    store = _bank.MemoryBank(7, 2, 3)
    codes = np.array([[1.0, -1.0], [0.5, 0.25]], "float32")
    refs = store.update(np.array([5, 1]), np.array([2, 0]), codes)
    expected = codes[[0, 1, 0, 1, 0, 0, 0]]
    np.testing.assert_array_equal(refs["ref_codes"], expected)
    shown = np.argmax(refs["ref_labels"], axis=1)
    np.testing.assert_array_equal(shown, [2, 0, 2, 0, 2, 2, 2])


def test_the_bank_starts_anew_with_other_labels():
    store = _bank.MemoryBank(5, 2, 3)
    codes = np.array([[1.0, -1.0], [0.5, 0.25]], "float32")
    store.update(np.array([0, 1]), np.array([2, 0]), codes)
    store.update(np.array([2, 1]), np.array([1, 0]), codes)
    np.testing.assert_array_equal(store.seen, [1, 1, 1, 0, 0])
    # The image in place 1 had another label before.
    refs = store.update(np.array([4, 1]), np.array([1, 2]), codes)
    np.testing.assert_array_equal(store.seen, [0, 1, 0, 0, 1])
    shown = np.argmax(refs["ref_labels"], axis=1)
    np.testing.assert_array_equal(shown, [1, 2, 1, 2, 1])


def test_the_bank_needs_the_index_and_a_loss_of_pairs():
    features, labels = labelled("single")
    model = make("dpsh", bank_size=24)
    model.compile("sgd")
    dataset = tf.data.Dataset.from_tensor_slices((features, labels))
    with pytest.raises(ValueError, match="index of every sample"):
        model.fit(dataset.batch(8), verbose=0)
    for name in ("csq", "dtsh", "dshc"):
        with pytest.raises(ValueError, match="memory bank"):
            make(name, bank_size=24)
    model = make("dpsh", bank_size=23)
    with pytest.raises(ValueError, match="24. Received: bank_size=23"):
        model.fit(features, labels, verbose=0)
    with pytest.raises(ValueError, match="bank_size=0"):
        make("dpsh", bank_size=0)


def test_the_bank_stays_out_of_the_encoder(tmp_path, monkeypatch):
    images = np.random.RandomState(0).randint(0, 256, (9, 32, 32, 3), "uint8")
    keras.utils.set_random_seed(0)
    model = keras_hash.models.DPSH(bits=12, num_classes=3, bank_size=9)
    model.compile("sgd")
    model.fit(images, np.arange(9) % 3, verbose=0)
    kept = {v.path for v in model.encoder_variables}
    assert {v.path for v in model.variables} - kept == {
        v.path for v in model.bank.variables
    }
    card = publish(model, tmp_path / "dpsh_bank_12")
    assert "bank_size" not in card["model"]["config"]
    assert card["parameters"] == sum(
        np.prod(v.shape) for v in model.encoder_variables
    )
    loaded = keras_hash.load(tmp_path / "dpsh_bank_12")
    assert loaded.bank is None
    assert loaded.encode(images).shape == (9, 2)


@pytest.mark.parametrize("name", ["MDSHC", "DPSH"])
def test_validation_leaves_the_bank_alone(name):
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (36, 8)).astype("float32") / 7 + 20
    labels = np.arange(36) % 3
    model = getattr(keras_hash.models, name)(
        8, 3, backbone="features", input_shape=(8,), bank_size=36
    )
    model.compile("adam")
    model.fit(
        images, labels, validation_data=(images[:9], labels[:9]), verbose=0
    )
    before = [keras.ops.convert_to_numpy(v) for v in model.bank.variables]
    data = tf.data.Dataset.from_tensor_slices((images[::-1], labels))
    model.evaluate(keras_hash.data.batches(data, 12), verbose=0)
    for old, variable in zip(before, model.bank.variables):
        np.testing.assert_array_equal(old, variable)
