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


@pytest.mark.parametrize(
    "name, weights, cut, fewer",
    [
        ("efficientnet_lite0", 3_413_024, "block15", 2_628_384),
        pytest.param(
            *("efficientnet_lite2", 4_869_168, "block20", 3_972_784),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_efficientnet_lite(name, weights, cut, fewer, tmp_path, rng):
    network = backbones.build(name, (64, 64, 3))
    assert network.count_params() == weights
    assert network.output_shape == (None, 1280)
    path = str(tmp_path / "lite.weights.h5")
    network.save_weights(path)
    part = backbones.build(f"{name}/{cut}_depthwise_relu", (64, 64, 3), path)
    assert part.count_params() == fewer
    images = rng.randint(0, 256, (2, 64, 64, 3)).astype("float32")
    whole = keras.Model(
        network.input, network.get_layer(f"{cut}_depthwise_relu").output
    )
    expected = np.mean(np.array(whole(images)), axis=(1, 2))
    assert expected.std() > 0
    np.testing.assert_allclose(part(images), expected, atol=1e-5)
    with pytest.raises(ValueError, match="efficientnet_lite.py.*photos_256"):
        backbones.build(name, (64, 64, 3), "imagenet")


def loop_convolution(images, kernel, stride, groups):
    """ "same" padding as TensorFlow's; images [n, h, w, c], kernel in PyTorch's
    order."""
    size = kernel.shape[-1]
    sides = [-(-side // stride) for side in images.shape[1:3]]
    pads = [
        max(0, (out - 1) * stride + size - side)
        for out, side in zip(sides, images.shape[1:3])
    ]
    pads = [(0, 0), *((p // 2, p - p // 2) for p in pads), (0, 0)]
    padded = np.pad(images, pads)
    found = np.zeros((len(images), *sides, len(kernel)))
    each = len(kernel) // groups
    for y, x, out in np.ndindex(*found.shape[1:]):
        first = out // each * kernel.shape[1]
        area = padded[
            :,
            y * stride : y * stride + size,
            x * stride : x * stride + size,
            first : first + kernel.shape[1],
        ]
        weights = kernel[out].transpose(1, 2, 0)
        found[:, y, x, out] = (area * weights).sum(axis=(1, 2, 3))
    return found


def test_weights_of_efficientnet_lite_are_converted(rng):
    import efficientnet_lite as tool

    network = backbones.build("efficientnet_lite0", (32, 32, 3))
    arrays = {"_fc.weight": np.zeros((1000, 1280)), "_fc.bias": np.zeros(1000)}
    for layer in network.layers:
        for name, weight in zip(tool.source_names(layer.name), layer.weights):
            shape = tuple(weight.shape)
            if len(shape) == 4:
                height, width, inputs, outputs = shape
                shape = (outputs, inputs, height, width)
                if layer.name.endswith("depthwise_conv"):
                    shape = (inputs, 1, height, width)
            arrays[name] = rng.rand(*shape).astype("float32")
    assert len(arrays) == 245 + 2
    arrays["_bn0.num_batches_tracked"] = np.array(3)
    network = tool.convert("efficientnet_lite0", arrays)
    for layer, source, stride in (
        ("stem_conv", "_conv_stem.weight", 2),
        ("block1_depthwise_conv", "_blocks.1._depthwise_conv.weight", 2),
        ("block3_depthwise_conv", "_blocks.3._depthwise_conv.weight", 2),
        ("block3_project_conv", "_blocks.3._project_conv.weight", 1),
    ):
        layer, kernel = network.get_layer(layer), arrays[source]
        channels = layer.input.shape[-1]
        images = rng.randn(1, 6, 7, channels).astype("float32")
        groups = channels // kernel.shape[1]
        expected = loop_convolution(images, kernel, stride, groups)
        np.testing.assert_allclose(layer(images), expected, atol=1e-3)
    norm = network.get_layer("block2_expand_norm")
    for name, weight in zip(
        ("weight", "bias", "running_mean", "running_var"), norm.weights
    ):
        np.testing.assert_array_equal(weight, arrays[f"_blocks.2._bn0.{name}"])
    for change, message in (
        ({"_conv_head.weight": None}, "head_conv: the source has no"),
        ({"_more": np.zeros(3)}, r"not used: \['_more'\]"),
    ):
        given = {**arrays, **change}
        given = {k: v for k, v in given.items() if v is not None}
        with pytest.raises(ValueError, match=message):
            tool.convert("efficientnet_lite0", given)


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


def test_images_that_are_too_small():
    assert backbones.build("cifar", (9, 9, 3)).output_shape == (None, 192)
    with pytest.raises(ValueError, match="images of 9x9 pixels or more"):
        backbones.build("cifar", (32, 8, 3))


@pytest.mark.parametrize(
    "name",
    [
        "small",
        "cifar",
        "mobilenet_v2",
        pytest.param("vgg16", marks=pytest.mark.slow),
    ],
)
# Keras 3.10 warns of an input that a model made of its config takes as a list.
@pytest.mark.filterwarnings("ignore:.*structure of .inputs")
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
