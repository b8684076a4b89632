"""Losses without labels: check values, loops, gradients, training, views."""

import inspect
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import keras_hash
from keras_hash import losses
from keras_hash.methods import registry
from keras_hash.methods import sdc
from tests.methods import loops
from tests.methods.loops import dot

NAMES = sorted(
    name
    for name, (model, loss) in registry().items()
    if loss and not model.supervised and name != "cimon"
)
BITS = 4


def grid(n, m, a, b):
    """The inputs of the specification's check values."""
    k = np.arange(1, n * m + 1.0).reshape(n, m)
    return np.sin(a * k**1.5 + b).astype("float32")


def both(first, second):
    return np.concatenate([first, second])


@pytest.mark.parametrize(
    "name, bits, outputs, expected",
    [
        (
            "SDC",
            4,
            {
                "code": grid(8, 4, 0.8, 0.3),
                "features": np.abs(grid(8, 6, 0.37, 0.2)),
            },
            0.296442,
        ),
        (
            "CIBHash",
            4,
            both(grid(3, 4, 0.5, 0.1), grid(3, 4, 0.6, 0.2)),
            2.350696,
        ),
        (
            "CroVCA",
            3,
            both(grid(4, 3, 0.5, 0.1), grid(4, 3, 0.55, 0.1)),
            0.350976,
        ),
    ],
)
def test_check_values(name, bits, outputs, expected):
    found = getattr(losses, name)(bits)(None, outputs)
    assert float(found) == pytest.approx(expected, abs=2e-6)
    # Labels, whatever they are, count nothing.
    again = getattr(losses, name)(bits)(np.arange(8), outputs)
    assert float(again) == float(found)


def test_the_gradient_of_bihalf():
    codes = tf.constant(grid(6, 3, 0.5, 0.1))
    features = np.abs(grid(6, 5, 0.3, 0.2))
    found = []
    for gamma in (6.0, 0.0):
        with tf.GradientTape() as tape:
            tape.watch(codes)
            outputs = {"code": codes, "features": features}
            value = losses.BiHalf(3, gamma=gamma)(None, outputs)
        found.append((float(value), tape.gradient(value, codes).numpy()))
    assert found[0][0] == found[1][0]
    extra = (found[0][1] - found[1][1])[0]
    np.testing.assert_allclose(
        extra, [-0.145119, -0.000533, 0.476373], atol=1e-6
    )
    # The gradient of the bits passes unchanged.
    bits = tf.constant(
        [[1, 1, -1], [-1, -1, 1], [1, -1, 1], [-1, 1, 1], [-1, 1, -1]]
        + [[1, -1, -1]],
        "float32",
    )
    with tf.GradientTape() as tape:
        tape.watch(bits)
        a, b = bits[:3], bits[3:]
        cosines = tf.reduce_sum(a * b, 1) / 3
        norms = [tf.norm(x, axis=1) for x in (a, b)]
        cosines = tf.reduce_sum(a * b, 1) / (norms[0] * norms[1])
        wanted = loops_of_halves(features)
        value = tf.reduce_mean((cosines - wanted) ** 2)
    assert found[1][0] == pytest.approx(float(value), rel=1e-5)
    slope = tape.gradient(value, bits)
    np.testing.assert_allclose(found[1][1], slope, atol=1e-6)


def loops_of_halves(rows):
    half = len(rows) // 2
    return [angle(rows[i], rows[i + half]) for i in range(half)]


def angle(a, b):
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


def loop_sdc(codes, features, concentration=5, quantization=1.0):
    half = len(codes) // 2
    wanted = loops_of_halves(features)
    order = sorted(range(half), key=lambda i: (wanted[i], i))
    found = loops_of_halves(codes)
    total = 0.0
    for place, i in enumerate(order):
        share = (2 * place + 1) / (2 * half)
        target = 2 * stats.beta.ppf(share, concentration, concentration) - 1
        total += abs(found[i] - target) / half
    for row in codes:
        gap = 1 - angle(row, [loops.sgn(x) for x in row])
        total += quantization * gap / len(codes)
    return total


def loop_greedy(codes, features, quantization=0.1):
    found = loops_of_halves([[loops.sgn(x) for x in row] for row in codes])
    wanted = loops_of_halves(features)
    total = sum((a - b) ** 2 for a, b in zip(found, wanted)) / len(found)
    cubes = [abs(abs(x) - 1) ** 3 for row in codes for x in row]
    return total + quantization * sum(cubes) / len(cubes)


def loop_bihalf(codes, features, gamma=6.0):
    count = len(codes)
    signs = np.zeros(np.shape(codes))
    for k, column in enumerate(np.transpose(codes)):
        order = sorted(range(count), key=lambda i: (column[i], i))
        for place, i in enumerate(order):
            signs[i, k] = 1 if place >= count // 2 else -1
    pairs = zip(loops_of_halves(signs), loops_of_halves(features))
    return sum((a - b) ** 2 for a, b in pairs) / (count // 2)


def loop_contrast(codes, temperature):
    count = len(codes)
    total = 0.0
    for i in range(count):
        pair = (i + count // 2) % count
        scores = [angle(codes[i], codes[j]) / temperature for j in range(count)]
        others = [math.exp(s) for j, s in enumerate(scores) if j != i]
        total += (math.log(sum(others)) - scores[pair]) / count
    return total


def loop_cibhash(codes, temperature=0.3, bottleneck=1e-3):
    signs = [[loops.sgn(x) for x in row] for row in codes]
    half = len(codes) // 2
    apart = 0.0
    for u, v in zip(codes[:half], codes[half:]):
        for x, y in zip(u, v):
            p, q = loops.sigmoid(x), loops.sigmoid(y)
            for a, b in ((p, q), (q, p), (1 - p, 1 - q), (1 - q, 1 - p)):
                apart += a * math.log((a + 1e-8) / (b + 1e-8)) / half
    return loop_contrast(signs, temperature) + bottleneck / 2 * apart


def loop_crovca(codes, diversity=0.1, distortion=0.05):
    half, bits = len(codes) // 2, len(codes[0])
    views = codes[:half], codes[half:]
    total = 0.0
    for logits, other in (views, views[::-1]):
        for row, targets in zip(logits, other):
            for z, t in zip(row, targets):
                share = loops.pair_loss(z, 1.0 if t > 0 else 0.0)
                total += share / (2 * half * bits)
        unit = [row / np.linalg.norm(row) for row in np.array(logits)]
        gram = np.eye(bits)
        for row in unit:
            gram += bits / (half * distortion) * np.outer(row, row)
        rate = -0.5 * math.log(np.linalg.det(gram))
        rate *= (bits + half) / (bits * half)
        total += diversity / 2 * rate
    return total


LOOPS = {
    "sdc": loop_sdc,
    "bihalf": loop_bihalf,
    "greedyhashunsupervised": loop_greedy,
    "cibhash": loop_cibhash,
    "crovca": loop_crovca,
}
# Other constants, so that every term matters.
SETTINGS = {
    "sdc": {"concentration": 3, "quantization": 0.6},
    "bihalf": {},
    "greedyhashunsupervised": {"quantization": 0.7},
    "cibhash": {"temperature": 0.7, "bottleneck": 0.4},
    "crovca": {"diversity": 0.8, "distortion": 0.2},
}
# Their value has jumps, or a gradient on purpose.
STRAIGHT = ("bihalf", "greedyhashunsupervised", "cibhash")


def sample(name, seed):
    random = np.random.RandomState(seed)
    count = 2 * random.randint(2, 5)
    codes = random.randn(count, BITS)
    features = np.abs(random.randn(count, 6))
    if name in ("sdc", "bihalf", "greedyhashunsupervised"):
        return codes, (features,)
    return codes, ()


def outputs_of(codes, features):
    if features:
        return {"code": codes, "features": features[0]}
    return codes


def test_every_loss_has_its_loops():
    assert set(LOOPS) == set(NAMES)


@pytest.mark.parametrize("name", LOOPS)
def test_values_against_loops(name):
    for seed in range(15):
        codes, features = sample(name, seed)
        for settings in ({}, SETTINGS[name]):
            loss = registry()[name][1](BITS, **settings)
            found = float(loss(None, outputs_of(codes, features)))
            expected = LOOPS[name](codes, *features, **settings)
            assert found == pytest.approx(expected, rel=2e-4, abs=2e-5)


@pytest.mark.parametrize("name", [n for n in LOOPS if n not in STRAIGHT])
def test_gradients_against_differences(name):
    for seed in range(4):
        codes, features = sample(name, 50 + seed)
        loss = registry()[name][1](BITS, **SETTINGS[name])
        inputs = tf.constant(codes, "float32")
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = loss(None, outputs_of(inputs, features))
        gradient = tape.gradient(value, inputs).numpy()
        for at in np.ndindex(codes.shape):
            ends = []
            for step in (-1e-5, 1e-5):
                moved = codes.copy()
                moved[at] += step
                ends.append(LOOPS[name](moved, *features, **SETTINGS[name]))
            slope = (ends[1] - ends[0]) / 2e-5
            assert gradient[at] == pytest.approx(slope, rel=5e-3, abs=2e-3)
        assert np.abs(gradient).max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_each_term_has_a_gradient(name):
    codes, features = sample(name, 3)
    names = list(SETTINGS[name]) or ["gamma"]
    weights = [k for k in names if k not in ("concentration", "temperature")]
    weights = [k for k in weights if k != "distortion"]

    def gradient(**settings):
        loss = registry()[name][1](BITS, **settings)
        inputs = tf.constant(codes, "float32")
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = loss(None, outputs_of(inputs, features))
        return tape.gradient(value, inputs).numpy()

    for key in weights:
        without, with_it = gradient(**{key: 0.0}), gradient(**{key: 1.0})
        assert np.abs(without).max() > 1e-4
        assert np.abs(with_it - without).max() > 1e-4


def test_features_have_no_gradient():
    codes, features = sample("sdc", 1)
    for name in ("sdc", "bihalf", "greedyhashunsupervised"):
        inputs = tf.constant(features[0], "float32")
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = registry()[name][1](BITS)
            value = loss(None, {"code": codes, "features": inputs})
        assert tape.gradient(value, inputs) is None


def test_labels_of_any_kind_are_ignored(rng):
    images = rng.randint(0, 256, (8, 8, 8, 3)).astype("uint8")
    model = registry()["bihalf"][0](BITS, input_shape=(8, 8, 3))
    for labels in (["a"] * 8, [[0], [1, 2]] * 4, np.full(8, np.nan)):
        given = {"validation_data": (images, labels), "verbose": 0}
        history = model.fit(images, labels, **given).history
        assert np.isfinite([*history["loss"], *history["val_loss"]]).all()
        assert np.isfinite(model.evaluate(images, labels, verbose=0))


def test_quantiles_of_the_beta_distribution():
    shares = np.linspace(0.001, 0.999, 50).astype("float32")
    for concentration in (1, 2, 5, 9, 64):
        found = sdc.quantiles(shares, concentration)
        expected = stats.beta.ppf(shares, concentration, concentration)
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_batches_that_cannot_be_compared_are_refused(name):
    loss = registry()[name][1](BITS)
    wanted = "even number" if loss.even else "2 views of each of at least 2"
    for rows in (1, 3) if loss.even else (1, 2, 3):
        codes = np.ones((rows, BITS), "float32")
        with pytest.raises(ValueError, match=wanted):
            loss(None, outputs_of(codes, (codes,) if loss.even else ()))
    with pytest.raises(ValueError, match=r"real codes \[n, 4\]"):
        codes = np.ones((4, 5), "float32")
        loss(None, outputs_of(codes, (codes,) if loss.even else ()))


# Models


def features_of_views(count=60, views=1, seed=0):
    """Features of a few kinds of images, and of several views of each."""
    random = np.random.RandomState(seed)
    kinds = random.randint(0, 4, count)
    centres = random.randn(4, 8)
    shape = (count, views, 8) if views > 1 else (count, 8)
    wanted = centres[kinds] if views == 1 else centres[kinds][:, None]
    return (wanted + 0.1 * random.randn(*shape)).astype("float32"), kinds


def make(name, **given):
    keras.utils.set_random_seed(0)
    given = {"backbone": "features", "input_shape": (8,), **given}
    return registry()[name][0](16, **given)


@pytest.mark.parametrize(
    "nested", [None, pytest.param((8,), marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", NAMES)
def test_training_saving_and_encoding(name, nested, tmp_path):
    views = registry()[name][1].views
    features, kinds = features_of_views(60, views)
    model = make(name, nested=nested)
    model.compile(keras.optimizers.Adam(1e-2))
    # 60 = 2 * 25 + 10: the last batch is shorter.
    history = model.fit(
        np.tile(features, (10,) + (1,) * (features.ndim - 1)),
        batch_size=50,
        epochs=8,
        verbose=0,
    ).history["loss"]
    assert np.isfinite(history).all() and history[-1] < history[0]
    alone = features[:, 0] if views > 1 else features
    codes = model.encode(alone, verbose=False)
    assert codes.shape == (60, 2)
    # Images of a kind have nearer codes than others.
    apart = keras_hash.codes.hamming(codes, codes)
    same = kinds[:, None] == kinds
    assert apart[same].mean() < apart[~same].mean() - 1
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.encode(alone, verbose=False), codes)
    assert again.get_config() == model.get_config()
    # With labels, which are ignored.
    again.fit(features, kinds, batch_size=20, verbose=0)


@pytest.mark.parametrize("name", NAMES)
def test_odd_batches_and_single_images_train(name):
    views = registry()[name][1].views
    for count in (1, 33):
        features, _ = features_of_views(count, views)
        model = make(name)
        model.compile("sgd")
        loss = model.fit(features, batch_size=32, verbose=0).history["loss"]
        assert np.isfinite(loss).all()


def test_two_views_are_needed():
    features, _ = features_of_views(8)
    model = make("crovca")
    model.compile("sgd")
    views, _ = features_of_views(8, 2)
    arrays = tf.data.Dataset.from_tensor_slices
    three = np.concatenate([views, views[:, :1]], axis=1)
    for x in (
        features,
        three,
        arrays(features).batch(4),
        arrays((features, np.zeros(8))).batch(4),
        ((features, np.zeros(8)) for _ in range(2)),
    ):
        with pytest.raises(ValueError, match="2 views of each image"):
            model.fit(x, verbose=0)
        with pytest.raises(ValueError, match="2 views of each image"):
            model.fit(views, validation_data=(features,), verbose=0)
    # Refused before the step was traced.
    model.fit(views, verbose=0)


@pytest.mark.parametrize("name", sorted(registry()))
def test_losses_name_the_outputs_they_need(name):
    loss_class = registry()[name][1]
    if not getattr(loss_class, "shown", ()):
        return
    given = {"num_classes": 3, "zeta": 0.0}
    parameters = inspect.signature(loss_class).parameters
    loss = loss_class(4, **{k: given[k] for k in given if k in parameters})
    labels, codes = np.array([0, 1, 2, 1]), np.ones((4, 4), "float32")
    for outputs in (codes, {"code": codes}):
        with pytest.raises(ValueError, match=f"'code', '{loss.shown[0]}'"):
            loss(labels, outputs)


def test_each_view_is_an_image_for_other_losses():
    features, kinds = features_of_views(12, 2)
    keras.utils.set_random_seed(0)
    model = keras_hash.models.DPSH(16, 4, backbone="features", input_shape=(8,))
    outputs = model(features)
    assert outputs.shape == (24, 16)
    np.testing.assert_allclose(outputs[:12], model(features[:, 0]), atol=1e-6)
    model.compile("sgd")
    found = float(model.compute_loss(features, kinds, outputs))
    expected = losses.DPSH(16)(np.tile(kinds, 2), outputs)
    assert found == pytest.approx(float(expected), rel=1e-5)


def test_batches_of_views():
    digits = keras_hash.data.load("digits")
    batches = keras_hash.data.batches(digits.train, 10, views=2)
    images, labels = next(iter(batches))
    assert images.shape == (10, 2, 32, 32, 3)
    assert set(labels) == {"label", "index"}
    first, second = images[:, 0].numpy(), images[:, 1].numpy()
    assert (first != second).any(axis=(1, 2, 3)).all()
    again, _ = next(iter(keras_hash.data.batches(digits.train, 10, views=2)))
    np.testing.assert_array_equal(again, images)
    weak = keras_hash.data.Augment()
    strong = keras_hash.data.Augment.strong(flip=True)
    pair = keras_hash.data.batches(
        digits.train, 10, views=2, augment=(weak, strong)
    )
    images, _ = next(iter(pair))
    plain, _ = next(iter(digits.train.batch(10)))
    np.testing.assert_array_equal(images[:, 0], plain)
    with pytest.raises(ValueError, match="one a view"):
        keras_hash.data.batches(digits.train, 10, views=3, augment=(weak,) * 2)
    with pytest.raises(ValueError, match="`views`"):
        keras_hash.data.batches(digits.train, 10, views=0)
    model = keras_hash.models.CIBHash(16, backbone="small")
    model.compile("adam")
    model.fit(batches.take(3), verbose=0)
    assert model.encode(images[:, 0].numpy()).shape == (10, 2)


def test_sampled_batches_of_views():
    digits = keras_hash.data.load("digits")
    images, labels = digits.arrays("train")
    sampler = keras_hash.data.EpochSampler(100, 8)
    sampled = keras_hash.data.SampledBatches(images, labels, sampler, views=2)
    found, _ = sampled[0]
    assert found.shape == (8, 2, 32, 32, 3) and found.dtype == np.uint8
    assert (found[:, 0] != found[:, 1]).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(sampled[0][0], found)
    sampled.epoch = 1
    assert (sampled[0][0] != found).any()


def test_halves_do_not_hang_on_rounding(rng):
    """Of one image several, which another processor tells apart otherwise."""
    codes = np.repeat(rng.randn(3, 6), (3, 2, 3), axis=0)
    features = rng.randn(8, 5)
    loss = keras_hash.losses.BiHalf(6, reduction=None)
    expected = np.array(loss(None, {"code": codes, "features": features}))
    for _ in range(5):
        noise = 1 + 1e-6 * rng.randn(*codes.shape)
        found = loss(None, {"code": codes * noise, "features": features})
        np.testing.assert_allclose(found, expected, atol=1e-4)
