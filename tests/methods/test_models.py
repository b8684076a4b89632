"""Every method as a Keras model: training, saving, and what they share."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_hash
from keras_hash import codebooks
from keras_hash import export
from keras_hash.methods import registry
from tests.methods.cases import CLASSES
from tests.methods.cases import METHODS
from tests.methods.cases import TRAINED
from tests.methods.cases import kinds
from tests.methods.cases import labelled
from tests.methods.cases import loss_of
from tests.methods.cases import make
from tests.methods.cases import views_of

COMPILED = ("dpsh", "dtsh", "csq", "greedyhash", "dshcmultilabel")


@pytest.mark.parametrize(
    "name, kind, xla",
    [
        pytest.param(
            name,
            kinds(name)[place],
            xla,
            id=f"{name}{place}",
            marks=pytest.mark.slow if xla and name not in COMPILED else (),
        )
        for name in TRAINED
        for place, xla in ((0, False), (-1, True))
    ],
)
def test_training_and_saving(name, kind, xla, tmp_path):
    features, labels = labelled(kind, 60)
    model = make(name)
    before = [np.array(v) for v in model.trainable_variables]
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=xla)
    shown = views_of(name, features)
    first = loss_of(model, shown, labels)
    # Twenty times all of them in one epoch, which is quicker than epochs.
    history = model.fit(
        np.concatenate(20 * [shown]),
        np.concatenate(20 * [labels]),
        batch_size=30,
        verbose=0,
    )
    assert np.isfinite(history.history["loss"]).all()
    for old, variable in zip(before, model.trainable_variables):
        assert (np.array(variable) != old).any(), variable.path
    last = loss_of(model, shown, labels)
    assert last < first - 0.05 * abs(first)

    real = model.real_codes(features)
    assert real.shape == (60, model.bits) and real.dtype == "float32"
    expected = keras_hash.codes.pack(real)
    np.testing.assert_array_equal(model.encode(features), expected)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.encode(features), expected)
    assert again.get_config() == model.get_config()
    fresh = type(model).from_config(model.get_config())
    assert [v.shape for v in fresh.variables] == [
        v.shape for v in model.variables
    ]
    # The loss that is saved with the model is the same one.
    assert loss_of(again, shown, labels) == pytest.approx(last, rel=1e-5)


def test_wrong_label_kinds_are_refused():
    for name, kind, message in [
        ("dshc", "multi", "DSHCMultiLabel"),
        ("dshcmultilabel", "single", "multi-hot"),
    ]:
        features, labels = labelled(kind)
        model = make(name)
        model.compile("sgd")
        with pytest.raises(ValueError, match=message):
            model.fit(features, labels, verbose=0)


# Learning rates


def with_trunk(name, width=8, **given):
    """A model of features behind a layer that is its backbone."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((width,))
    outputs = keras.layers.Dense(6, activation="relu", name="trunk")(inputs)
    return make(name, backbone=keras.Model(inputs, outputs), **given)


def plain(path):
    """The path of a variable without the number in the model's name."""
    return path.split("/", 1)[1] if path.startswith("dpsh") else path


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_backbone_learns_at_its_own_rate(optimizer, tmp_path):
    features, labels = labelled("single")
    moved = {}
    for rate in (1.0, 0.1, 0.0):
        model = with_trunk("dpsh")
        before = [np.array(v) for v in model.trainable_variables]
        model.compile(
            keras.optimizers.get(
                {"class_name": optimizer, "config": {"learning_rate": 1e-2}}
            ),
            backbone_rate=rate,
        )
        model.fit(features, labels, verbose=0)
        moved[rate] = {
            plain(v.path): np.abs(np.array(v) - old).max()
            for v, old in zip(model.trainable_variables, before)
        }
    slow = {plain(v.path) for v in model.backbone.trainable_variables}
    assert slow and set(moved[1.0]) - slow
    for path, full in moved[1.0].items():
        share = 0.1 if path in slow else 1.0
        assert moved[0.1][path] == pytest.approx(share * full, rel=0.02)
        assert (moved[0.0][path] == 0) == (path in slow)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_compile_config()["backbone_rate"] == 0.0
    kept = np.array(again.backbone.trainable_variables[0])
    again.fit(features, labels, verbose=0)
    after = np.array(again.backbone.trainable_variables[0])
    np.testing.assert_array_equal(after, kept)
    with pytest.raises(ValueError, match="backbone_rate=-1"):
        model.compile("sgd", backbone_rate=-1)


def test_a_frozen_backbone_stays_frozen_when_training_goes_on(tmp_path):
    _, labels = labelled("single")
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (len(labels), 8, 8, 3), "uint8")
    model = make("dpsh", backbone="small", input_shape=(8, 8, 3))
    model.backbone.trainable = False
    model.compile("adam")
    model.fit(images, labels, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, again):
        one.fit(images, labels, shuffle=False, verbose=0)
    for old, new in zip(model.weights, again.weights):
        np.testing.assert_array_equal(np.array(new), np.array(old))
    # A single layer, too, by its place.
    again.backbone.trainable = True
    again.backbone.layers[-3].trainable = False
    again.compile("adam")
    again.fit(images, labels, verbose=0)
    again.save(tmp_path / "model.keras")
    last = keras.models.load_model(tmp_path / "model.keras")
    assert [layer.trainable for layer in last.backbone.layers] == [
        layer.trainable for layer in again.backbone.layers
    ]


@pytest.mark.parametrize("scaled", [False, True])
def test_rates_do_not_pile_up(scaled):
    """One optimizer in two compilations, also inside a loss scaling one."""
    features, labels = labelled("single")
    model = with_trunk("dpsh")
    inner = keras.optimizers.SGD(1e-2)
    optimizer = inner
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(inner)
    for rate in (0.1, 0.0):
        model.compile(optimizer, backbone_rate=rate)
    kept = [np.array(v) for v in model.backbone.trainable_variables]
    model.fit(features, labels, verbose=0)
    for old, new in zip(kept, model.backbone.trainable_variables):
        np.testing.assert_array_equal(np.array(new), old)
    model.compile(optimizer, backbone_rate=1.0)
    model.fit(features, labels, verbose=0)
    assert any(
        (np.array(new) != old).any()
        for old, new in zip(kept, model.backbone.trainable_variables)
    )


def test_a_new_method_on_a_trained_backbone():
    encoder = keras_hash.load("dshc_digits_30")
    images, labels = keras_hash.data.load("digits").arrays("train")
    before = encoder.encode(images[:50])
    model = keras_hash.models.DPSH.from_encoder(encoder, num_classes=5, bits=24)
    assert model.bits == 24 and model.num_classes == 5
    for a, b in zip(model.backbone.weights, encoder.backbone.weights):
        np.testing.assert_array_equal(np.array(a), np.array(b))
    model.compile(keras.optimizers.Adam(1e-2), backbone_rate=0.0)
    odd = labels // 2
    model.fit(images[:600], odd[:600], epochs=3, verbose=0)
    np.testing.assert_array_equal(encoder.encode(images[:50]), before)
    queries = model.encode(images[600:800])
    report = keras_hash.evaluate(
        queries, odd[600:800], model.encode(images[800:]), odd[800:], bits=24
    )
    assert report.metrics["map"] > 0.6  # 0.2 by chance
    same = keras_hash.models.ITQ.from_encoder(encoder)
    same.adapt(images[:300])
    assert same.bits == 30 and same.encode(images[:3]).shape == (3, 4)


def test_a_hidden_layer_between_backbone_and_codes(tmp_path):
    features, labels = labelled("single")
    features = 5 + features  # far from 0, as behind a ReLU
    model = make("dpsh", hidden=24)
    plain = make("dpsh")
    width = features.shape[1]
    bits = model.bits
    extra = width * 24 + 24 + 2 * width - (width - 24) * bits
    assert model.count_params() - plain.count_params() == extra
    model.compile(keras.optimizers.Adam(1e-2))
    first = loss_of(model, features, labels)
    model.fit(np.tile(features, (30, 1)), np.tile(labels, 30), verbose=0)
    assert loss_of(model, features, labels) < first
    # Encoding is without dropout.
    codes = model.encode(features)
    np.testing.assert_array_equal(model.encode(features), codes)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.encode(features), codes)
    assert again.get_config()["hidden"] == 24
    assert "hidden" not in plain.get_config()
    with pytest.raises(ValueError, match="hidden=0"):
        make("dpsh", hidden=0)
    with pytest.raises(ValueError, match="hidden=24"):
        make("itq", hidden=24)


# Heads


def test_continuation_sharpens_with_the_steps():
    features, labels = labelled("single")
    model = make("hashnet")
    model.head.period = 2
    model.compile(keras.optimizers.SGD(0.0))
    real = [model.real_codes(features)]
    for _ in range(2):
        model.fit(
            np.tile(features, (50, 1)),
            np.tile(labels, 50),
            batch_size=8,
            verbose=0,
        )
        model._graphs.clear()
        real.append(model.real_codes(features))
    assert int(model.head.step) == 300
    plain = np.arctanh(real[0].astype("float64"))
    for step, found in ((150, real[1]), (300, real[2])):
        beta = np.sqrt(1 + 0.005 * step)
        np.testing.assert_allclose(found, np.tanh(beta * plain), atol=1e-4)


def test_greedy_hash_classifies_signs_and_passes_their_gradient():
    model = make("greedyhash")
    features, _ = labelled("single")
    inputs = tf.constant(features)
    with tf.GradientTape() as tape:
        outputs = model(inputs)
        value = tf.reduce_sum(outputs["logits"])
    gradient = tape.gradient(value, model.head.hash.kernel.value)
    signs = np.where(outputs["code"].numpy() >= 0, 1.0, -1.0)
    kernel = np.array(model.head.classifier.kernel)
    np.testing.assert_allclose(outputs["logits"], signs @ kernel, atol=1e-5)
    expected = features.sum(0)[:, None] * kernel.sum(1)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)


def test_divide_and_encode_flattens():
    features = 9 * labelled("single")[0]
    linear = make("ninh", epsilon=0.5).real_codes(features)
    flat = make("ninh", epsilon=0.1).real_codes(features)
    inside = np.abs(linear) <= 0.2
    assert inside.any() and (~inside).any()
    expected = np.where(inside, linear, np.where(linear >= 0, 1, -1))
    np.testing.assert_allclose(flat, expected, atol=1e-6)


def test_dsrh_feeds_both_layers():
    model = make("dsrh", units=6)
    features, _ = labelled("single")
    head = model.head
    first = np.maximum(
        features @ np.array(head.first.kernel) + np.array(head.first.bias), 0
    )
    second = np.maximum(
        first @ np.array(head.second.kernel) + np.array(head.second.bias), 0
    )
    real = first @ np.array(head.from_first.kernel) + second @ np.array(
        head.from_second.kernel
    )
    real += np.array(head.from_first.bias)
    # Twice the paper's sigmoid, less 1.
    expected = 2 / (1 + np.exp(-real)) - 1
    np.testing.assert_allclose(model.real_codes(features), expected, atol=1e-5)


# Target codes


def test_target_codes_are_weights_and_follow_the_seed():
    for name in ("csq", "dpn", "orthohash"):
        books = [
            np.array(make(name, seed=seed).codebook.codes) for seed in (0, 0, 1)
        ]
        np.testing.assert_array_equal(books[0], books[1])
        assert (books[0] != books[2]).any()
    own = np.where(np.random.RandomState(0).rand(CLASSES, 12) < 0.5, -1, 1)
    model = make("csq", codebook=own)
    np.testing.assert_array_equal(np.array(model.codebook.codes), own)
    again = type(model).from_config(model.get_config())
    np.testing.assert_array_equal(np.array(again.codebook.codes), own)


@pytest.mark.parametrize("name", ["csq", "orthohash"])
def test_a_saved_book_is_not_drawn_again(name, tmp_path, monkeypatch):
    images, labels = labelled("single")
    model = make(name, codebook="max_min", seed=3)
    model.fit(images, labels, epochs=1, verbose=0)
    book = np.array(model.codebook.codes)
    model.save(tmp_path / "model.keras")
    expected = model.evaluate(images, labels, verbose=0)
    fresh = model.get_config()
    constructions = dict(codebooks.CONSTRUCTIONS)

    def never(*arguments):
        raise AssertionError("drawn again")

    monkeypatch.setitem(codebooks.CONSTRUCTIONS, "max_min", never)
    type(model).from_config(fresh)
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.array(again.codebook.codes), book)
    found = again.evaluate(images, labels, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    again.fit(images, labels, epochs=1, verbose=0)
    loss = again.default_loss()
    np.testing.assert_array_equal(loss.prepared["centres"], book)
    np.testing.assert_array_equal(np.array(again.codebook.codes), book)
    # Where no weights follow, it is drawn when a loss needs it.
    monkeypatch.setattr(codebooks, "CONSTRUCTIONS", constructions)
    bare = type(model).from_config(fresh)
    bare.fit(images, labels, epochs=1, verbose=0)
    np.testing.assert_array_equal(np.array(bare.codebook.codes), book)


def test_hadamard_centres():
    for bits, classes in ((16, 10), (16, 32), (64, 100)):
        book = codebooks.hadamard(bits, classes).astype(int)
        distances = (bits - book @ book.T) // 2
        others = distances[~np.eye(classes, dtype=bool)]
        assert set(np.unique(others)) <= {bits // 2, bits}
    beyond = codebooks.hadamard(48, 260).astype(int)
    assert (beyond.sum(axis=1) == 0).all()
    distances = (48 - beyond @ beyond.T) // 2
    assert distances[~np.eye(260, dtype=bool)].min() >= 12


def test_max_min_centres_are_farther_than_random_ones():
    def smallest(book):
        products = book.astype(int) @ book.T.astype(int)
        distances = (book.shape[1] - products) // 2
        return distances[~np.eye(len(book), dtype=bool)].min()

    far = codebooks.max_min(32, 10)
    assert smallest(far) >= 14 > smallest(codebooks.random_codes(32, 10))
    with pytest.raises(ValueError, match="not enough codes"):
        codebooks.random_codes(3, 9)
    assert len(np.unique(codebooks.random_codes(3, 8), axis=0)) == 8


def test_majority_vote_by_loops(rng):
    centres = np.where(rng.rand(6, 7) < 0.5, -1.0, 1.0).astype("float32")
    tie = np.where(rng.rand(7) < 0.5, -1.0, 1.0).astype("float32")
    labels = (rng.rand(40, 6) < 0.4).astype("float32")
    found = np.array(codebooks.majority(labels, centres, tie))
    for row, target in zip(labels, found):
        for k in range(7):
            votes = sum(centres[c, k] for c in range(6) if row[c])
            wanted = tie[k] if votes == 0 else np.sign(votes)
            assert target[k] == wanted


@pytest.mark.parametrize("name", METHODS)
def test_default_augmentation(name):
    inputs = keras.Input((32, 48, 3))
    features = keras.layers.AveragePooling2D(16)(inputs)
    trunk = keras.Model(inputs, keras.layers.Flatten()(features))
    model = make(name, backbone=trunk, input_shape=(32, 48, 3))
    augment = model.default_augment()
    images = np.random.RandomState(0).randint(0, 256, (8, 32, 48, 3), "uint8")
    if not model.augmentation:
        assert augment is None
        return
    augment = augment[0] if isinstance(augment, tuple) else augment
    changed = augment(tf.constant(images), tf.constant([1, 2])).numpy()
    assert changed.shape == images.shape and (changed != images).any()
    assert augment.shift in (0, 2) and not augment.colour


# Feature inputs


def test_features_in_place_of_images():
    features, _ = labelled("single")
    model = make("dpsh")
    expected = model.encode(features)
    dataset = tf.data.Dataset.from_tensor_slices(features)
    for given in (dataset, dataset.batch(7), features.tolist()):
        np.testing.assert_array_equal(model.encode(given), expected)
    np.testing.assert_array_equal(model.encode(features[0]), expected[:1])
    with pytest.raises(ValueError, match=r"features \[n, 8\]"):
        model.encode(np.zeros((3, 9)))
    with pytest.raises(ValueError, match="Models of images"):
        export.encoder_module(model)
    with pytest.raises(ValueError, match=r"\(d,\) for backbone='features'"):
        make("dpsh", input_shape=(8, 8, 3))


def test_a_training_step_is_traced_once():
    """TensorFlow traces one that makes variables twice: half of the start."""
    model = keras_hash.models.CSQ(8, 3, input_shape=(8, 8, 3))
    model.compile("adam")
    step, traced = model.train_step, []

    def noted(data):
        traced.append(1)
        return step(data)

    model.train_step = noted
    images = np.random.RandomState(0).randint(0, 256, (8, 8, 8, 3))
    model.fit(images.astype("uint8"), np.arange(8) % 3, verbose=0)
    assert len(traced) == 1


def test_a_loaded_model_makes_the_loss_of_its_book(tmp_path):
    features, labels = np.random.RandomState(0).randn(6, 4), np.arange(6) % 3
    model = keras_hash.models.CSQ(8, 3, backbone="features", input_shape=(4,))
    model.fit(features, labels, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    outputs = model(features)
    assert float(again.default_loss()(labels, outputs)) == pytest.approx(
        float(model.default_loss()(labels, outputs))
    )


@pytest.mark.parametrize("name", ["GreedyHash", "HyP2", "VDSH"])
def test_nested_codes_in_mixed_precision(name):
    features = np.random.RandomState(0).randn(12, 4).astype("float32")
    model = getattr(keras_hash.models, name)(
        16, 3, backbone="features", input_shape=(4,), nested=(8,),
        dtype="mixed_float16",
    )  # fmt: skip
    model.compile("adam")
    model.fit(features, np.arange(12) % 3, verbose=0)
    assert model.encode(features).shape == (12, 2)


@pytest.mark.parametrize("name", ["VDSH", "DSLH"])
def test_lists_of_images_are_looked_at_after_an_epoch(name):
    random = np.random.RandomState(0)
    images = [
        random.randint(0, 256, (9 + n % 2, 8, 3)).astype("uint8")
        for n in range(24)
    ]
    settings = {"bank_size": 24} if name == "DSLH" else {}
    model = getattr(keras_hash.models, name)(
        8, 3, input_shape=(8, 8, 3), **settings
    )
    model.fit(images, np.arange(24) % 3, verbose=0)


def test_corrected_labels_are_those_of_the_index():
    random = np.random.RandomState(0)
    features, labels = random.randn(20, 4), np.arange(20) % 3
    model = keras_hash.models.DSLH(
        8, 3, backbone="features", input_shape=(4,), bank_size=60
    )
    index = np.arange(40, 60)
    model.fit(features, {"label": labels, "index": index}, verbose=0)
    corrected = keras.ops.convert_to_numpy(model.bank.corrected)
    assert np.any(corrected[40:], axis=1).all()
    assert not corrected[:40].any()


# Settings of the user's


@pytest.mark.parametrize(
    "name, floatx",
    [
        pytest.param(
            name,
            floatx,
            marks=()
            if (name, floatx)
            in (("bihalf", "float16"), ("dsdh", "float64"), ("dsrh", "float64"))
            else pytest.mark.slow,
        )
        for name in sorted(registry())
        if registry()[name][0].trained and name != "cimon"
        for floatx in ("float64", "float16")
    ],
)
def test_another_floatx(name, floatx):
    """Of keras.json: a model of another precision, a loss in float32."""
    features, labels = labelled(kinds(name)[-1])
    features = views_of(name, features)
    before = keras.config.floatx()
    keras.config.set_floatx(floatx)
    try:
        bank = {"dslh": 1200, "hashnet": 24}.get(name)
        model = make(name, **{"bank_size": bank} if bank else {})
        model.compile("adam")
        history = model.fit(features, labels, batch_size=12, verbose=0).history
        assert np.isfinite(history["loss"]).all()
    finally:
        keras.config.set_floatx(before)


@pytest.mark.parametrize("name", ["DLBHC", "MutualHash", "VDSH", "DPSH"])
def test_the_loss_of_a_method_given_by_hand(name):
    """Losses of several outputs too, which Keras would take apart."""
    features, labels = labelled("single")
    found = []
    for given in (True, False):
        model = make(name.lower())
        kind = getattr(keras_hash.losses, name)
        loss = kind(12)
        model.compile("sgd", loss=loss if given else None)
        found.append(model.fit(features, labels, verbose=0).history["loss"])
    assert found[0] == found[1]


def test_metrics_of_one_of_several_outputs():
    features, labels = labelled("single")
    model = make("dlbhc")
    model.compile("sgd", metrics={"logits": "accuracy"})
    history = model.fit(features, labels, batch_size=24, verbose=0).history
    assert 0 <= history["logits_accuracy"][0] <= 1


def test_labels_of_any_rank_for_a_loss_of_ones_own():
    features, _ = labelled("single")
    model = make("dpsh")
    model.compile("sgd", loss=lambda labels, codes: codes[:, 0] ** 2)
    model.fit(features, np.zeros((24, 4, 4)), verbose=0)


def test_a_dataset_of_no_batches_is_refused():
    features, labels = labelled("single")
    dataset = tf.data.Dataset.from_tensor_slices((features, labels)).take(3)
    batches = keras_hash.data.batches(dataset, 7, drop=True)
    model = make("dpsh")
    model.compile("sgd")
    for use in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="a dataset of 0 batches"):
            use(batches, verbose=0)


class Subclassed(keras.Model):
    def call(self, images):
        return keras.ops.mean(images, (1, 2))


def test_backbones_that_do_not_fit_are_refused():
    inputs = keras.Input((24, 24, 3))
    maps = keras.layers.Conv2D(3, 3)(inputs)
    features = keras.layers.GlobalAveragePooling2D()(maps)
    for backbone, shape, message in (
        (Subclassed(), (24, 24, 3), "functional or a sequential.*Subclassed"),
        (keras.Model(inputs, features), (32, 32, 3), r"backbone, \(24, 24, 3"),
        (keras.Model(inputs, maps), (24, 24, 3), r"return features \[n, d\]"),
    ):
        with pytest.raises(ValueError, match=message):
            keras_hash.models.DPSH(8, 3, backbone=backbone, input_shape=shape)


@pytest.mark.parametrize(
    "name, given",
    [
        ("NINH", {"epsilon": 0.0}),
        ("NINH", {"epsilon": 0.9}),
        ("MutualHash", {"robust": 1.5}),
        ("DSDH", {"ridge": 0.0}),
    ],
)
def test_constants_out_of_range_are_refused_at_once(name, given):
    (constant,) = given
    with pytest.raises(ValueError, match=f"`{constant}` should be"):
        getattr(keras_hash.models, name)(16, 4, **given)
