"""DHD, which compares two views, and MutualHash, which has two codes."""

import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_hash
from keras_hash import losses
from tests.methods import cases
from tests.methods import loops

# Constants that are not the default, and the terms that they weigh.
CASES = {
    "dhd": {"temperature": 0.5, "distillation": 0.7, "quantization": 0.4},
    "mutualhash": {"quantization": 0.3, "mutual": 2.0},
}
WEIGHTS = {
    "dhd": ("distillation", "quantization"),
    "mutualhash": ("quantization", "mutual"),
}
LOSSES = {
    "dhd": functools.partial(losses.DHD, num_classes=4),
    "mutualhash": losses.MutualHash,
}
KINDS = ("single", "multi")


def grid(rows, columns, a, b):
    """The inputs of the check values: the same everywhere, without a seed."""
    k = np.arange(rows * columns).reshape(rows, columns) + 1.0
    return np.sin(a * k**1.5 + b)


def sample(name, seed, kind="multi", bits=5):
    """Labels of a few images, and both outputs of a model by name."""
    random = np.random.RandomState(seed)
    count = random.randint(3, 7)
    labels = random.randint(0, 4, count)
    if kind == "multi":
        labels = (random.rand(count, 4) < 0.4) * 1
    rows = 2 * count if name == "dhd" else count
    first, second = random.uniform(-0.95, 0.95, (2, rows, bits))
    if name == "dhd":
        return labels, {"code": first, "logits": second[:, :4]}
    return labels, {"code": first, "peer": second}


def looped(name, labels, outputs, at, **constants):
    """The loops, where no gradient reaches what is learned from."""
    both = list(outputs.values())
    at = at["code"] if name == "dhd" else list(at.values())
    return getattr(loops, name)(labels, *both, at=at, **constants)


def slopes(loss, labels, outputs):
    tensors = {k: tf.constant(x, "float32") for k, x in outputs.items()}
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = loss(labels, tensors)
    found = tape.gradient(value, tensors)
    return np.concatenate([x.numpy().reshape(-1) for x in found.values()])


def test_check_values_of_dhd():
    """Numbers that were computed in another way before this code was."""
    weak, strong = np.tanh(grid(3, 4, 0.5, 0.15)), np.tanh(grid(3, 4, 0.5, 0.1))
    proxies = grid(2, 4, 1.1, 0.2)
    cosines = [[loops.cos(x, p) for p in proxies] for x in weak]
    outputs = {
        "code": np.concatenate([weak, strong]),
        "logits": np.array(cosines),
    }
    labels = np.array([[1, 0], [1, 1], [0, 1]])
    for changed, expected in (
        ({}, 2.622415),
        ({"distillation": 0.0, "quantization": 0.0}, 2.565907),
        ({"quantization": 0.0, "distillation": 1.0}, 2.565907 + 0.001227),
        ({"quantization": 1.0, "distillation": 0.0}, 2.565907 + 0.563848),
    ):
        found = losses.DHD(4, 2, **changed)(labels, outputs)
        assert float(found) == pytest.approx(expected, abs=2e-6)
    # The model shows the cosines of both views.
    outputs["logits"] = np.concatenate([cosines, np.zeros((3, 2))])
    assert float(losses.DHD(4, 2)(labels, outputs)) == pytest.approx(2.622415)


def test_check_values_of_mutual_hash():
    both = {
        "code": 1.2 * grid(4, 5, 0.5, 0.1),
        "peer": 1.2 * grid(4, 5, 0.6, 0.3),
    }
    labels = np.array([0, 1, 0, 2])
    pairs = [0.549496, 0.639828, 0.582332, 0.400693]
    pairs_of_peer = [0.578686, 0.738548, 0.646464, 0.722447]
    divergence = [0.075436, 0.940329, 0.783791, 0.471591]
    divergence_of_peer = [0.070435, 1.040330, 0.538493, 0.617566]
    rows = np.add(pairs, pairs_of_peer)
    for mutual, more in (
        (0.0, 0.0),
        (1.0, np.add(divergence, divergence_of_peer)),
    ):
        loss = losses.MutualHash(5, 0.0, mutual, reduction=None)
        np.testing.assert_allclose(loss(labels, both), rows + more, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_value(name, kind):
    for seed in range(20):
        labels, outputs = sample(name, seed, kind)
        for constants in ({}, CASES[name]):
            found = LOSSES[name](5, **constants)(labels, outputs)
            expected = looped(name, labels, outputs, outputs, **constants)
            assert float(found) == pytest.approx(expected, rel=2e-4, abs=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_gradient(name):
    """Against differences of the loops; every term has one."""
    loss = LOSSES[name](5, **CASES[name])
    for seed in range(4):
        labels, outputs = sample(name, seed, KINDS[seed % 2])
        found, expected = slopes(loss, labels, outputs), []
        for key, values in outputs.items():
            for at in np.ndindex(values.shape):
                ends = []
                for step in (-1e-5, 1e-5):
                    moved = values.copy()
                    moved[at] += step
                    changed = {**outputs, key: moved}
                    ends.append(
                        looped(name, labels, changed, outputs, **CASES[name])
                    )
                expected.append((ends[1] - ends[0]) / 2e-5)
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)
        for weight in WEIGHTS[name]:
            without = LOSSES[name](5, **{**CASES[name], weight: 0.0})
            part = found - slopes(without, labels, outputs)
            assert np.abs(part).max() > 1e-3
            assert np.abs(found - part).max() > 1e-3


@pytest.mark.parametrize("name", CASES)
def test_extreme_inputs_stay_finite(name):
    bounded = name == "dhd"
    loss = losses.DHD(8, 8) if bounded else losses.MutualHash(8)
    signs = np.sign(np.random.RandomState(0).randn(6, 8))
    other = "logits" if bounded else "peer"
    for codes in (
        (1.0 if bounded else 1e3) * signs,
        np.ones((6, 8)),
        0 * signs,
        signs[:2],
    ):
        count = len(codes) // loss.views
        for labels in (np.arange(count), np.zeros((count, 8), int)):
            for dtype in ("float32", "bfloat16", "float16"):
                given = {key: tf.cast(codes, dtype) for key in ("code", other)}
                with tf.GradientTape() as tape:
                    tape.watch(given)
                    value = loss(labels, given)
                found = tape.gradient(value, given)
                assert value.dtype == "float32"
                for x in (value, *found.values()):
                    assert np.isfinite(tf.cast(x, "float32")).all(), dtype


@pytest.mark.parametrize("name", CASES)
def test_compiled_by_xla_and_of_any_size(name):
    labels, outputs = sample(name, 3)
    loss = LOSSES[name](5)
    given = [tf.constant(x, "float32") for x in outputs.values()]

    def run(labels, *given):
        return loss(labels, dict(zip(outputs, given)))

    labels = tf.constant(labels)
    free = [
        tf.TensorSpec((None, x.shape[1]), x.dtype) for x in (labels, *given)
    ]
    expected = float(run(labels, *given))
    for found in (
        tf.function(run, jit_compile=True)(labels, *given),
        tf.function(run, input_signature=free)(labels, *given),
    ):
        assert float(found) == pytest.approx(expected, rel=1e-4)


def test_other_batches_are_refused():
    labels, outputs = sample("dhd", 0)
    with pytest.raises(ValueError, match="2 views of each"):
        losses.DHD(5, 4)(labels, {k: x[:5] for k, x in outputs.items()})
    with pytest.raises(ValueError, match=r"real codes \[n, 6\]"):
        losses.MutualHash(6)(*sample("mutualhash", 0))
    features, labels = cases.labelled("single")
    with pytest.raises(ValueError, match="compares 2 views"):
        cases.make("dhd").fit(features, labels, verbose=0)
    with pytest.raises(ValueError, match="leave `nested` out"):
        cases.make("dhd", bits=24, nested=(8,))


@pytest.mark.slow
def test_dhd_augments_its_second_view_more():
    model = keras_hash.models.DHD(12, 5)
    weak, strong = model.default_augment()
    assert weak.flip and not weak.colour and strong.colour
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (12, 32, 32, 3), "uint8")
    dataset = tf.data.Dataset.from_tensor_slices((images, np.arange(12) % 5))
    batches = keras_hash.data.batches(
        dataset, 4, views=2, augment=(weak, strong)
    )
    history = model.fit(batches, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_mutual_hash_encodes_by_its_first_peer():
    model = cases.make("mutualhash", bits=24, nested=(8,))
    features, labels = cases.labelled("multi")
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(features, labels, verbose=0)
    outputs = model.predict(features, verbose=0)
    np.testing.assert_allclose(
        model.real_codes(features), outputs["code"], atol=1e-5
    )
    assert (np.sign(outputs["peer"]) != np.sign(outputs["code"])).any()
    short = model.shorten(indices=[3, 9])
    np.testing.assert_allclose(
        short.real_codes(features), outputs["code"][:, [3, 9]], atol=1e-5
    )


def test_mutual_hash_leaves_out_what_the_peer_finds_hard():
    labels, outputs = sample("mutualhash", 5)
    count = len(labels)
    kept = math.ceil(0.6 * count)
    plain = {"quantization": 0.3, "mutual": 0.0}
    found = losses.MutualHash(5, robust=0.4, **plain)(labels, outputs)
    rows = []
    for key in ("code", "peer"):
        alone = {"code": outputs[key], "peer": outputs[key]}
        loss = losses.MutualHash(5, reduction=None, **plain)
        rows.append(np.array(loss(labels, alone)) / 2)
    expected = sum(
        one[np.argsort(peer)[:kept]].mean() for one, peer in (rows, rows[::-1])
    )
    assert float(found) == pytest.approx(expected, rel=1e-5)
    for robust in (-0.1, 1.0):
        with pytest.raises(ValueError, match="`robust` should be"):
            losses.MutualHash(5, robust=robust)(labels, outputs)
