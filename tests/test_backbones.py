"""Backbones: names, preprocessing, the whitened first layer."""

import keras
import numpy as np
import pytest

from keras_hash import backbones


@pytest.mark.parametrize(
    "name, shape, features",
    [
        ("small", (32, 32, 3), 96),
        ("small", (20, 24, 3), 96),
        ("cifar", (32, 32, 3), 192),
        ("mobilenet_v2", (96, 96, 3), 1280),
        ("resnet50", (64, 64, 3), 2048),
    ],
)
def test_from_raw_pixels_to_features(name, shape, features, rng):
    model = backbones.build(name, shape)
    images = rng.randint(0, 256, (2, *shape)).astype("float32")
    out = np.array(model(images))
    assert out.shape == (2, features) and np.isfinite(out).all()


def test_preprocessing_of_applications_is_inside(rng):
    model = backbones.build("mobilenet_v2", (96, 96, 3))
    images = rng.randint(0, 256, (2, 96, 96, 3)).astype("float32")
    bare = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(96, 96, 3), pooling="avg"
    )
    bare.set_weights(model.get_weights())
    np.testing.assert_allclose(
        model(images), bare(images / 127.5 - 1), atol=1e-5
    )


def test_networks_are_cut_behind_a_layer(rng):
    model = backbones.build("mobilenet_v2/block_5_add", (64, 64, 3))
    images = rng.randint(0, 256, (2, 64, 64, 3)).astype("float32")
    whole = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(64, 64, 3)
    )
    part = keras.Model(whole.input, whole.get_layer("block_5_add").output)
    part.set_weights(model.get_weights())
    expected = np.mean(part(images / 127.5 - 1), axis=(1, 2))
    np.testing.assert_allclose(model(images), expected, atol=1e-5)
    assert model.count_params() < whole.count_params() / 10
    with pytest.raises(ValueError, match="no layer 'block_5_ad'.*block_5_add"):
        backbones.build("mobilenet_v2/block_5_ad", (64, 64, 3))
    with pytest.raises(ValueError, match="no layer 'moon'"):
        backbones.build("mobilenet_v2/moon", (64, 64, 3))


@pytest.mark.parametrize("name", ["resnet_1000", "MobileNetV2", 7, ""])
def test_unknown_names(name):
    with pytest.raises(ValueError, match="snake case"):
        backbones.build(name, (32, 32, 3))


def test_whitened_patches_are_uncorrelated(rng):
    # Neighbouring pixels of smooth images are strongly correlated.
    images = np.cumsum(rng.randn(60, 16, 16, 3), axis=1).astype("float32")
    layer = backbones.PatchWhitening(epsilon=0.0)
    layer.build((None, 16, 16, 3))
    layer.adapt(images)
    out = np.array(layer(images)).reshape(-1, 24).astype("float64")
    second_moments = out[:, :12].T @ out[:, :12] / len(out)
    np.testing.assert_allclose(second_moments, np.eye(12), atol=1e-2)
    np.testing.assert_allclose(out[:, 12:], -out[:, :12], atol=1e-4)


def test_whitening_by_loops(rng):
    images = rng.randn(2, 4, 5, 3).astype("float32")
    layer = backbones.PatchWhitening()
    out = np.array(layer(images))
    kernel = np.array(layer.kernel)
    assert (
        out.shape == (2, 3, 4, 24) == layer.compute_output_shape(images.shape)
    )
    for n, y, x, f in [(0, 0, 0, 0), (1, 2, 3, 23), (0, 1, 2, 12)]:
        patch = images[n, y : y + 2, x : x + 2]
        assert out[n, y, x, f] == pytest.approx(
            float(np.sum(patch * kernel[..., f])), abs=1e-5
        )


def test_adapting_the_cifar_backbone_changes_its_first_layer(rng):
    model = backbones.build("cifar", (32, 32, 3))
    images = rng.randint(0, 256, (50, 32, 32, 3)).astype("uint8")
    before = np.array(model.get_layer("whiten").kernel)
    backbones.whiten(model, images)
    after = np.array(model.get_layer("whiten").kernel)
    assert np.abs(after - before).max() > 0.1
    assert not model.get_layer("whiten").kernel.trainable


def test_partial_identity_passes_channels_through():
    kernel = np.array(backbones.PartialIdentity(seed=0)((3, 3, 4, 6)))
    image = np.zeros((3, 3, 4))
    image[1, 1] = [1, 2, 3, 4]
    out = np.einsum("hwc,hwcf->f", image, kernel)
    np.testing.assert_allclose(out[:4], [1, 2, 3, 4])
    assert np.abs(kernel[..., 4:]).min() > 0
    again = backbones.PartialIdentity.from_config(
        backbones.PartialIdentity(seed=0).get_config()
    )
    np.testing.assert_array_equal(np.array(again((3, 3, 4, 6))), kernel)


@pytest.mark.parametrize(
    "name",
    [
        "small",
        "cifar",
        "mobilenet_v2",
        pytest.param("vgg16", marks=pytest.mark.slow),
    ],
)
def test_channels_are_last_whatever_keras_is_told(name, rng):
    images = rng.randint(0, 256, (2, 32, 32, 3)).astype("float32")
    usual = backbones.build(name, (32, 32, 3))
    keras.config.set_image_data_format("channels_first")
    try:
        model = backbones.build(name, (32, 32, 3))
        model.set_weights(usual.get_weights())
        again = keras.Model.from_config(model.get_config())
        again.set_weights(usual.get_weights())
        for one in (model, again):
            np.testing.assert_array_equal(one(images), usual(images))
        with pytest.raises(ValueError, match="backbone='unknown'"):
            backbones.build("unknown", (32, 32, 3))
        assert keras.config.image_data_format() == "channels_first"
    finally:
        keras.config.set_image_data_format("channels_last")
