"""`HashModel`: encoding, training, saving, bad input."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_hash
from keras_hash import backbones
from keras_hash import codes
from keras_hash.methods._bank import CodeAccuracy


def make(**settings):
    keras.utils.set_random_seed(0)
    settings = {"bits": 12, "num_classes": 4, **settings}
    return keras_hash.models.DSHC(**settings)


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture(scope="module")
def images():
    return np.random.RandomState(0).randint(0, 256, (11, 32, 32, 3), "uint8")


def test_codes_are_the_sign_of_the_outputs(model, images):
    outputs = model(images.astype("float32"), training=False)
    real = np.array(model.outputs_to_codes(outputs))
    expected = codes.pack(real)
    np.testing.assert_array_equal(model.encode(images), expected)
    np.testing.assert_array_equal(model.real_codes(images), real)
    assert model.encode(images).shape == (11, 2)


def test_all_kinds_of_input_give_the_same_codes(model, images):
    expected = model.encode(images)
    labels = np.arange(11)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    inputs = {
        "float": images.astype("float64"),
        "list": [image.tolist() for image in images],
        "tensor": tf.constant(images),
        "unbatched dataset": dataset,
        "batched dataset": dataset.batch(4),
        "images alone": dataset.map(lambda image, _: image),
        "with index": keras_hash.data.batches(dataset, 3),
    }
    for name, given in inputs.items():
        np.testing.assert_array_equal(
            model.encode(given, batch_size=5), expected, name
        )
    np.testing.assert_array_equal(model.encode(images[0]), expected[:1])
    np.testing.assert_array_equal(model.encode(images[:1]), expected[:1])


def test_other_sizes_are_resized(model, images):
    large = np.repeat(np.repeat(images, 2, axis=1), 2, axis=2)
    small = tf.image.resize(large, (32, 32), antialias=True).numpy()
    expected = model.real_codes(small)
    np.testing.assert_allclose(model.real_codes(large), expected)
    outputs = model(large.astype("float32"), training=False)
    np.testing.assert_allclose(
        model.outputs_to_codes(outputs), expected, atol=1e-5
    )


def test_progress_bar_on_request(model, images, capsys):
    model.encode(images, batch_size=2, verbose=True)
    assert "6/6" in capsys.readouterr().err
    model.encode(images, batch_size=2)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize(
    "bad, message",
    [
        (np.zeros((2, 32, 32)), r"images.shape=\(1, 2, 32, 32\)"),
        (np.zeros((2, 32, 32, 1)), "repeat the channel of grey"),
        (np.zeros((0, 32, 32, 3)), "no images to encode"),
        (np.zeros((2, 32, 32, 3), "complex64"), "complex64"),
        (np.full((3, 32, 32, 3), np.nan), "NaN or infinity in 3 of 3"),
        (np.zeros(7), r"images.shape=\(7,\)"),
    ],
)
def test_wrong_images(model, bad, message):
    with pytest.raises(ValueError, match=message):
        model.encode(bad)


def test_wrong_datasets(model, images):
    empty = tf.data.Dataset.from_tensor_slices(images).take(0)
    with pytest.raises(ValueError, match="`images` is empty"):
        model.encode(empty)
    flat = tf.data.Dataset.from_tensor_slices(np.zeros((4, 7)))
    with pytest.raises(ValueError, match="dataset of images"):
        model.encode(flat)


def test_wrong_settings():
    for settings, message in [
        ({"bits": 0}, "at least 1"),
        ({"num_classes": 1, "bits": 4}, "at least 2"),
        ({"input_shape": (32, 32)}, r"\(height, width, 3\)"),
        ({"backbone": "resnet_1000"}, "keras.applications name"),
        ({"backbone_weights": "x.h5"}, "no published weights"),
    ]:
        with pytest.raises(ValueError, match=message):
            HashModelWithHead(**{"bits": 12, "num_classes": 4, **settings})


class HashModelWithHead(keras_hash.models.HashModel):
    """The base with a linear head, no loss of its own."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.head = keras.layers.Dense(self.bits, dtype="float32")
        self.finish()


def squares(rng, count=64):
    """Bright squares in one of four corners: learnable in a few steps."""
    labels = rng.randint(4, size=count)
    images = rng.randint(0, 60, (count, 32, 32, 3))
    for image, label in zip(images, labels):
        top, left = 16 * (label // 2), 16 * (label % 2)
        image[top : top + 16, left : left + 16] += 150
    return images.astype("uint8"), labels


def test_fit_learns_and_reports_code_accuracy(rng):
    images, labels = squares(rng, 128)
    model = make()
    model.compile(keras.optimizers.Adam(3e-3))
    history = model.fit(images, labels, batch_size=32, epochs=12, verbose=0)
    assert history.history["loss"][-1] < 0.8 * history.history["loss"][0]
    assert history.history["code_accuracy"][-1] > 0.9
    found = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert set(found) == {"loss", "code_accuracy"}


def test_fit_takes_datasets_with_index_and_sample_weights(rng):
    images, labels = squares(rng)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    model = make()
    model.compile("sgd")
    batches = keras_hash.data.batches(dataset, 16)
    with_index = model.evaluate(batches, verbose=0)
    np.testing.assert_allclose(
        model.evaluate(images, labels, batch_size=16, verbose=0),
        with_index,
        rtol=1e-4,
    )
    steps = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )
    model.fit(dataset, batch_size=16, verbose=0, callbacks=[count])
    assert len(steps) == 4
    zeros = model.evaluate(
        images, labels, sample_weight=np.zeros(64), verbose=0
    )
    assert zeros[0] == 0


def test_labels_out_of_range_stop_the_training(rng):
    images, labels = squares(rng, 8)
    model = make()
    model.compile("sgd")
    with pytest.raises(ValueError, match="0 .. 3"):
        model.fit(images, labels + 1, verbose=0)
    with pytest.raises(ValueError, match=r"labels.shape=\(\w+, 4\)"):
        model.fit(images, np.eye(4)[labels], verbose=0)


def test_a_users_own_loss_and_metrics(rng):
    images, labels = squares(rng, 16)
    model = make()
    model.compile(
        "sgd",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    found = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert set(found) == {"loss", "accuracy"}
    plain = HashModelWithHead(bits=8, num_classes=4)
    with pytest.raises(ValueError, match="no loss of its own"):
        plain.compile("sgd")
    plain.compile("sgd", loss="mse")
    plain.fit(images, np.zeros((16, 8)), verbose=0)


def test_weighted_metrics_beside_the_methods_own(rng):
    features, weights = rng.randn(6, 8), np.array([1, 0, 2, 0, 0, 1])
    model = keras_hash.models.DPSH(4, 2, backbone="features", input_shape=(8,))
    mean = keras.metrics.MeanMetricWrapper(
        lambda labels, codes: keras.ops.mean(codes, axis=1), name="mean"
    )
    model.compile("sgd", weighted_metrics=[mean])
    found = model.evaluate(
        features,
        np.arange(6) % 2,
        sample_weight=weights,
        verbose=0,
        return_dict=True,
    )
    assert set(found) == {"loss", "code_accuracy", "mean"}
    means = model.real_codes(features).mean(axis=1)
    expected = np.average(means, weights=weights)
    assert found["mean"] == pytest.approx(expected, abs=1e-5)


def test_keras_file_round_trip_keeps_codes_and_training_state(tmp_path, rng):
    images, labels = squares(rng, 32)
    model = make(label_smoothing=0.1)
    model.compile(keras.optimizers.Adam(1e-3))
    model.fit(images, labels, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.encode(images), model.encode(images))
    assert int(again.optimizer.iterations) == int(model.optimizer.iterations)
    np.testing.assert_allclose(
        again.evaluate(images, labels, verbose=0),
        model.evaluate(images, labels, verbose=0),
        rtol=1e-5,
    )
    again.fit(images, labels, verbose=0)
    assert again.get_config() == model.get_config()


def test_a_keras_model_as_backbone(tmp_path, images):
    inputs = keras.Input((32, 32, 3))
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    model = make(backbone=keras.Model(inputs, features))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.encode(images), model.encode(images))


@pytest.mark.parametrize("name", ["DSHC", "DPSH", "DTSH", "CSQ", "ITQ"])
def test_what_follows_the_backbone(name, images):
    given = {} if name == "ITQ" else {"num_classes": 4, "hidden": 8}
    kind = getattr(keras_hash.models, name)
    model = kind(12, **given)
    labels = np.arange(11) % 4
    if name == "ITQ":
        model.adapt(np.concatenate([images, images[::-1] // 2]))
    features = model.features(images)
    pixels = images.astype("float32")
    np.testing.assert_allclose(features, model.backbone(pixels), atol=1e-5)
    head = model.head_model()
    before = model.real_codes(images)
    np.testing.assert_allclose(head.real_codes(features), before, atol=1e-5)
    if name == "ITQ":
        head.adapt(np.repeat(features[:, ::-1], 2, axis=0))
    else:
        head.compile(keras.optimizers.SGD(0.1))
        head.fit(features, labels, epochs=3, verbose=0)
    np.testing.assert_array_equal(model.real_codes(images), before)
    model.take_head(head)
    after = model.real_codes(images)
    np.testing.assert_allclose(head.real_codes(features), after, atol=1e-5)
    assert np.abs(after - before).max() > 1e-4
    with pytest.raises(ValueError, match="what `head_model` of this model"):
        model.take_head(kind(24, **given).head_model())


def test_the_backbone_of_an_entry(tmp_path, images):
    entry = keras_hash.load("dshc_digits_30")
    model = keras_hash.models.DPSH(16, 4, backbone="dshc_digits_30")
    assert model.image_shape == entry.image_shape
    pixels = images.astype("float32")
    np.testing.assert_array_equal(
        model.backbone(pixels), entry.backbone(pixels)
    )
    # What is saved names the network, and needs the entry no more.
    assert model.get_config()["backbone"] == "small"
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.encode(images), model.encode(images))
    wide = keras_hash.models.DPSH(
        16, 4, backbone="dshc_digits_30", input_shape=(40, 48, 3)
    )
    assert wide.image_shape == (40, 48, 3)
    folder = keras_hash.zoo.entry_folder("dshc_digits_30")
    of_folder = keras_hash.models.DPSH(16, 4, backbone=str(folder))
    np.testing.assert_array_equal(
        of_folder.backbone(pixels), entry.backbone(pixels)
    )
    with pytest.raises(ValueError, match="brings its own weights"):
        make(backbone="dshc_digits_30", backbone_weights="imagenet")
    with pytest.raises(ValueError, match="an entry of the zoo"):
        make(backbone="dshc_digits_31")


def test_mixed_precision(images, tmp_path):
    pixels = images.astype("float32")
    with backbones.policy("mixed_bfloat16"):
        model = make()
    assert keras.config.dtype_policy().name == "float32"
    expected = np.array(model(pixels))
    assert expected.dtype == "float32"
    assert model.encode(images).shape == (11, 2)
    # The same when it is asked for by name, and when it is loaded.
    named = make(dtype="mixed_bfloat16")
    np.testing.assert_array_equal(np.array(named(pixels)), expected)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.backbone.layers[-1].compute_dtype == "bfloat16"
    np.testing.assert_array_equal(np.array(loaded(pixels)), expected)
    assert loaded.get_config() == model.get_config()
    assert (np.array(make()(pixels)) != expected).any()


@pytest.mark.parametrize(
    "name, settings",
    [
        ("DSHC", {"bits": 12, "num_classes": 4}),
        ("DPSH", {"bits": 12, "num_classes": 4}),
        # Its outputs are a dict.
        ("DTSH", {"bits": 12, "num_classes": 4, "nested": (8,)}),
        ("SSDH", {"bits": 12, "num_classes": 4}),
        ("ITQ", {"bits": 8}),
    ],
)
def test_codes_of_images_and_their_mirror_images(name, settings, images):
    model = getattr(keras_hash.models, name)(**settings)
    if not model.trained:
        model.adapt(images)
    pixels = images.astype("float32")
    sides = [
        model(side, training=False) for side in (pixels, pixels[:, :, ::-1])
    ]
    if isinstance(sides[0], dict):
        mean = {k: (sides[0][k] + sides[1][k]) / 2 for k in sides[0]}
    else:
        mean = (sides[0] + sides[1]) / 2
    expected = np.array(model.outputs_to_codes(mean))
    found = model.real_codes(images, mirror=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - model.real_codes(images)).max() > 1e-3
    mirrored = model.encode(images[:, :, ::-1], mirror=True)
    np.testing.assert_array_equal(model.encode(images, mirror=True), mirrored)


def test_what_has_no_mirror_image(tmp_path, images):
    model = make(mirrors=False)
    assert model.default_augment().flip is False
    assert make().default_augment().flip is True
    model.save(tmp_path / "model.keras")
    for one in (
        model,
        keras.models.load_model(tmp_path / "model.keras"),
        keras_hash.load("dshc_digits_30"),
        keras_hash.load("dshc_multidigits_10"),
        keras_hash.load("phash_64"),
        keras_hash.models.PHash(64, mirrors=True),
    ):
        with pytest.raises(ValueError, match="means something else here"):
            one.encode(images, mirror=True)
    features = keras_hash.models.DPSH(
        8, 4, backbone="features", input_shape=(5,)
    )
    with pytest.raises(ValueError, match="Features have no mirror image"):
        features.encode(np.zeros((3, 5), "float32"), mirror=True)


def test_summary_counts_all_parts(model):
    lines = []
    model.summary(print_fn=lambda text, **_: lines.append(text))
    text = "\n".join(lines)
    assert "subclasses" in text and "codebook" in text and "small" in text


def loop_code_accuracy(labels, real):
    signs = codes.sign(real)
    shares = []
    for i in range(len(signs)):
        distances = {
            j: int(np.sum(signs[i] != signs[j]))
            for j in range(len(signs))
            if j != i
        }
        nearest = [
            j for j in distances if distances[j] == min(distances.values())
        ]
        if np.ndim(labels) == 1:
            good = [labels[i] == labels[j] for j in nearest]
        else:
            good = [np.any(labels[i] * labels[j]) for j in nearest]
        shares.append(np.mean(good))
    return np.mean(shares)


@pytest.mark.parametrize("multi", [False, True])
def test_code_accuracy_by_loops(rng, multi):
    labels = rng.randint(2, size=(9, 3)) if multi else rng.randint(3, size=9)
    real = rng.randn(9, 4).astype("float32")
    metric = CodeAccuracy()
    metric.update_state(keras.ops.convert_to_tensor(labels), real)
    assert float(metric.result()) == pytest.approx(
        loop_code_accuracy(labels, real), abs=1e-6
    )
