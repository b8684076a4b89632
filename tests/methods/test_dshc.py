"""DSHC: the loss against nested loops, its gradient, its codes."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_hash
from keras_hash.methods.dshc import dshc

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
    got = dshc(labels, ops.convert_to_tensor(logits), CLASSES, BITS, smoothing)
    expected = loop_loss(labels, logits, BITS, CLASSES, smoothing)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    loss = keras_hash.losses.DSHC(BITS, CLASSES, smoothing)
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
    at_minimum = float(dshc(np.array([0]), logits, CLASSES, BITS)[0])
    uneven = logits.copy()
    uneven[0, 0] = 1
    assert float(dshc(np.array([0]), uneven, CLASSES, BITS)[0]) > at_minimum


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
    with pytest.raises(ValueError, match="`top_k` should be between 1 and 310"):
        keras_hash.models.DSHC(bits=30, num_classes=10, top_k=0)
    with pytest.raises(ValueError, match="label_smoothing=1"):
        keras_hash.losses.DSHC(30, 10, label_smoothing=1)
    with pytest.warns(UserWarning, match="retrieval suffers"):
        keras_hash.models.DSHC(bits=20, num_classes=10)


def test_loss_round_trip():
    loss = keras_hash.losses.DSHC(30, 10, label_smoothing=0.1)
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == loss.get_config()
