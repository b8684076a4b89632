"""DSHC: the loss against nested loops, its gradient, its codes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_hash
from keras_hash import codebooks
from keras_hash import codes
from keras_hash.methods.dshc import dshc
from keras_hash.methods.dshc import dshc_marginal
from keras_hash.methods.dshc import dshc_multi_label
from keras_hash.methods.dshc import subclass_targets

BITS, CLASSES = 6, 2


def loop_loss(labels, logits, bits, num_classes, smoothing=0.0):
    """Eq. 2, term by term."""
    per_class = bits / num_classes
    size = num_classes * (bits + 1)
    values = []
    for label, row in zip(labels, np.asarray(logits, "float64")):
        log_total = np.log(sum(np.exp(z) for z in row))
        loss = 0.0
        for k in range(size):
            own = k // (bits + 1) == label
            target = (1 - smoothing) * (1 / per_class if own else 0.0)
            target += smoothing * (bits + 1) / per_class / size
            loss -= target * (row[k] - log_total)
        values.append(loss)
    return np.array(values)


def random_case(rng, count=5):
    labels = rng.randint(CLASSES, size=count)
    logits = rng.randn(count, CLASSES * (BITS + 1)).astype("float32")
    return labels, logits


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_equals_nested_loops(rng, smoothing):
    labels, logits = random_case(rng)
    targets = subclass_targets(BITS, CLASSES)
    got = dshc(labels, ops.convert_to_tensor(logits), targets, smoothing)
    expected = loop_loss(labels, logits, BITS, CLASSES, smoothing)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    loss = keras_hash.losses.DSHC(BITS, CLASSES, label_smoothing=smoothing)
    np.testing.assert_allclose(
        loss(labels, ops.convert_to_tensor(logits)), expected.mean(), rtol=1e-5
    )
    weights = np.array([1, 0, 2, 0, 0], "float32")
    np.testing.assert_allclose(
        loss(labels, ops.convert_to_tensor(logits), sample_weight=weights),
        np.sum(expected * weights) / 5,
        rtol=1e-5,
    )


def numeric_gradient(labels, logits, step=1e-5):
    gradient = np.zeros(logits.shape)
    for where in np.ndindex(*logits.shape):
        for side in (1, -1):
            moved = logits.astype("float64")
            moved[where] += side * step
            value = loop_loss(labels, moved, BITS, CLASSES).mean()
            gradient[where] += side * value / (2 * step)
    return gradient


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="uses tf.GradientTape"
)
def test_gradient_is_right_where_the_library_operation_is_wrong(rng):
    import tensorflow as tf

    labels, logits = random_case(rng)
    expected = numeric_gradient(labels, logits)
    assert np.abs(expected).min() > 0
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = keras_hash.losses.DSHC(BITS, CLASSES)(labels, variable)
    ours = tape.gradient(loss, variable)
    np.testing.assert_allclose(ours, expected, atol=1e-5)

    # The target rows sum to (bits + 1) / H = 7 / 3, and the op assumes 1: its
    # value is right, its gradient is not.
    size = CLASSES * (BITS + 1)
    owner = np.arange(size) // (BITS + 1)
    target = (owner == labels[:, None]) / (BITS / CLASSES)
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(
            tf.nn.softmax_cross_entropy_with_logits(
                target.astype("float32"), variable
            )
        )
    np.testing.assert_allclose(value, loss, rtol=1e-5)
    theirs = tape.gradient(value, variable)
    np.testing.assert_allclose(np.sum(ours, axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(
        np.sum(theirs, axis=1), (1 - 7 / 3) / len(labels), rtol=1e-4
    )


def test_minimum_spreads_over_the_subclasses_of_the_true_class():
    logits = np.full((1, CLASSES * (BITS + 1)), -30.0, "float32")
    logits[0, : BITS + 1] = 0
    targets = subclass_targets(BITS, CLASSES)
    at_minimum = float(dshc(np.array([0]), logits, targets)[0])
    uneven = logits.copy()
    uneven[0, 0] = 1
    assert float(dshc(np.array([0]), uneven, targets)[0]) > at_minimum


def test_top_k_codes_by_loops(rng):
    outputs = rng.randn(20, 4 * 13).astype("float32")
    for top_k in (1, 2, 3, 4):
        model = keras_hash.models.DSHC(bits=12, num_classes=4, top_k=top_k)
        book = np.array(model.codebook.codes)
        got = np.array(model.outputs_to_codes(outputs))
        for row, code in zip(outputs, got):
            best = np.argsort(-row)[:top_k]
            for bit in range(12):
                total = sum(book[k][bit] for k in best)
                # A bit that cancels out is that of the most probable one.
                expected = np.sign(total) if total else book[best[0]][bit]
                assert np.sign(code[bit]) == expected


@pytest.mark.parametrize("codebook, bits", [("cpbc", 12), ("kbc", 8)])
def test_codes_that_name_the_runner_up_by_loops(codebook, bits, rng):
    make = keras_hash.models.DSHC
    model = make(bits, 4, codebook, runner_up=0.2)
    book = np.array(model.codebook.codes)
    classes = np.array(model.codebook.classes)
    centres = [book[list(classes).index(c)] for c in range(4)]
    outputs = 2 * rng.randn(60, len(book)).astype("float32")
    named = 0
    for row, code in zip(outputs, np.array(model.outputs_to_codes(outputs))):
        exp = np.exp(row.astype("float64"))
        share = [exp[classes == c].sum() / exp.sum() for c in range(4)]
        first, second = np.argsort(share)[::-1][:2]
        expected = centres[first]
        if share[second] > 0.2:
            named += 1
            own = book[classes == first]
            far = [[(code != c).sum() for c in centres] for code in own]
            keys = [(near[second], -sum(near)) for near in far]
            expected = own[keys.index(min(keys))]
        np.testing.assert_array_equal(code, expected)
    assert 10 < named < 60
    # Where one block of bits is a class, its first bit is the one that flips.
    if codebook == "cpbc":
        outputs = np.log(np.full((1, 4, 13), 1e-4)).astype("float32")
        outputs[0, 1, 5], outputs[0, 3, 2] = np.log(0.6), np.log(0.3)
        (code,) = np.array(model.outputs_to_codes(outputs.reshape(1, -1)))
        flipped = np.flatnonzero(code != centres[1])
        assert flipped.tolist() == [9]
    plain = make(bits, 4, codebook)
    assert model.get_config() == {**plain.get_config(), "runner_up": 0.2} | {
        "name": model.name
    }


def test_the_runner_up_is_saved_and_exported(tmp_path, rng):
    model = keras_hash.models.DSHC(12, 4, runner_up=0.05)
    images = rng.randint(0, 256, (40, 32, 32, 3)).astype("uint8")
    # Without this offset one sub-class may win for all images.
    model.head.bias.assign(-np.mean(model(images.astype("float32")), axis=0))
    # As an export keeps them.
    model.set_weights(
        [w.astype("float16").astype(w.dtype) for w in model.get_weights()]
    )
    expected = model.encode(images)
    assert len(np.unique(expected, axis=0)) > 3, "codes should vary"
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.encode(images), expected)
    model.export(tmp_path / "1")
    served = tf.saved_model.load(str(tmp_path / "1")).signatures["encode"]
    answers = served(image=tf.constant(images, "float32"))
    np.testing.assert_array_equal(answers["code"].numpy(), expected)
    for given in ({"runner_up": 0.5}, {"runner_up": 0.1, "top_k": 2}):
        with pytest.raises(ValueError, match="`runner_up` should be"):
            keras_hash.models.DSHC(12, 4, **given)


@pytest.mark.parametrize(
    "labels, width, message",
    [
        (np.zeros((5, 2)), 14, r"labels.shape=\(5, 2\)"),
        (np.zeros(5, int), 9, r"\[n, 14\]. Received: logits.shape=\(5, 9\)"),
    ],
)
def test_wrong_shapes(labels, width, message):
    loss = keras_hash.losses.DSHC(BITS, CLASSES)
    with pytest.raises(ValueError, match=message):
        loss(labels, np.zeros((5, width), "float32"))


def test_labels_of_shape_n_1_are_taken(rng):
    labels, logits = random_case(rng)
    loss = keras_hash.losses.DSHC(BITS, CLASSES)
    assert float(loss(labels[:, None], logits)) == float(loss(labels, logits))


def test_wrong_settings():
    with pytest.raises(ValueError, match="multiple of `num_classes`"):
        keras_hash.models.DSHC(bits=32, num_classes=10)
    with pytest.raises(
        ValueError, match="`top_k` should be an int from 1 to 310"
    ):
        keras_hash.models.DSHC(bits=30, num_classes=10, top_k=0)
    with pytest.raises(ValueError, match="label_smoothing=1"):
        keras_hash.losses.DSHC(30, 10, label_smoothing=1)
    with pytest.warns(UserWarning, match="retrieval suffers"):
        keras_hash.models.DSHC(bits=20, num_classes=10)


def test_loss_round_trip():
    for loss in (
        keras_hash.losses.DSHC(30, 10, label_smoothing=0.1),
        keras_hash.losses.DSHC(10, 10, codebook="kbc", seed=3, marginal=True),
        keras_hash.losses.DSHCMultiLabel(),
    ):
        config = keras.saving.serialize_keras_object(loss)
        again = keras.saving.deserialize_keras_object(config)
        assert again.get_config() == loss.get_config()


def test_kbc_targets_weigh_each_class_the_same(rng):
    targets = subclass_targets(10, 10, "kbc", seed=1)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    logits = rng.randn(4, targets.shape[1]).astype("float32")
    labels = rng.randint(10, size=4)
    _, classes = codebooks.dshc_table(10, 10, "kbc", seed=1)
    expected = []
    for label, row in zip(labels, logits.astype("float64")):
        own = [k for k in range(len(row)) if classes[k] == label]
        log_total = np.log(np.sum(np.exp(row)))
        expected.append(-sum((row[k] - log_total) / len(own) for k in own))
    loss = keras_hash.losses.DSHC(10, 10, codebook="kbc", seed=1)
    np.testing.assert_allclose(
        loss(labels, logits), np.mean(expected), rtol=1e-5
    )


def test_marginal_by_loops_and_large_logits(rng):
    labels, logits = random_case(rng)
    members = subclass_targets(BITS, CLASSES)
    expected = []
    for label, row in zip(labels, logits.astype("float64")):
        own = slice(label * (BITS + 1), (label + 1) * (BITS + 1))
        expected.append(-np.log(np.sum(np.exp(row[own])) / np.sum(np.exp(row))))
    got = dshc_marginal(labels, ops.convert_to_tensor(logits), members)
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    loss = keras_hash.losses.DSHC(BITS, CLASSES, marginal=True)
    np.testing.assert_allclose(
        loss(labels, logits), np.mean(expected), rtol=1e-4
    )
    huge = dshc_marginal(labels, 1e4 * logits, members)
    assert np.isfinite(np.array(huge)).all()
    with pytest.raises(ValueError, match="0 with `marginal`"):
        keras_hash.losses.DSHC(
            BITS, CLASSES, label_smoothing=0.1, marginal=True
        )


def test_multi_label_by_loops(rng):
    labels = rng.randint(2, size=(5, 7))
    labels[0] = 0
    logits = rng.randn(5, 7).astype("float32")
    expected = []
    for y, x in zip(labels, logits.astype("float64")):
        p = 1 / (1 + np.exp(-x))
        terms = [np.log(p[c]) if y[c] else np.log(1 - p[c]) for c in range(7)]
        expected.append(-np.mean(terms))
    np.testing.assert_allclose(
        dshc_multi_label(labels, logits), expected, rtol=1e-5
    )
    loss = keras_hash.losses.DSHCMultiLabel()
    np.testing.assert_allclose(
        loss(labels, logits), np.mean(expected), rtol=1e-5
    )
    huge = dshc_multi_label(labels, 1e4 * logits)
    assert np.isfinite(np.array(huge)).all()
    with pytest.raises(ValueError, match=r"labels.shape=\(5,\)"):
        loss(labels[:, 0], logits)


def test_multi_label_codes_are_the_predicted_labels(rng, tmp_path):
    images = rng.randint(0, 256, (12, 32, 32, 3)).astype("uint8")
    labels = rng.randint(2, size=(12, 5))
    model = keras_hash.models.DSHCMultiLabel(num_classes=5)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(images, labels, epochs=2, verbose=0)
    logits = np.array(model(images.astype("float32"), training=False))
    packed = model.encode(images)
    np.testing.assert_array_equal(codes.unpack(packed, 5) > 0, logits >= 0)
    assert model.bits == 5 and model.similarity == "and"
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.encode(images), packed)
    for given in ((5, 5), (5,)):
        same = keras_hash.models.DSHCMultiLabel(*given)
        assert same.bits == same.num_classes == 5
    with pytest.raises(ValueError, match="one bit a label"):
        keras_hash.models.DSHCMultiLabel(num_classes=5, bits=8)


def test_kbc_model_saves_its_code_book(tmp_path, rng):
    model = keras_hash.models.DSHC(10, 10, codebook="kbc", seed=4)
    book, classes = codebooks.dshc_table(10, 10, "kbc", 4)
    np.testing.assert_array_equal(np.array(model.codebook.codes), book)
    assert model.class_sizes.sum() == len(book) and model.class_sizes.min() >= 1
    images = rng.randint(0, 256, (12, 32, 32, 3)).astype("uint8")
    model.compile("sgd")
    model.fit(images, np.arange(12) % 10, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.encode(images), model.encode(images))
