"""Backbones: raw 0..255 images to feature vectors, preprocessing inside.

A backbone is `"small"`, `"cifar"`, `"efficientnet_lite0"` or `..._lite2`, the
snake-case name of a network of `keras.applications` or of a part of one, any
`keras.Model` from images to features, or `"features"`, which passes feature
vectors on.
"""

import contextlib
import difflib
import inspect

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_hash import devices
from keras_hash import efficientnet_lite

# Per-channel statistics of the 50,000 CIFAR-10 training images, in pixel units.
CIFAR_MEAN = (125.3, 123.0, 113.9)
CIFAR_STD = (63.0, 62.1, 66.7)


@keras.saving.register_keras_serializable(package="keras_hash")
class PixelScale(layers.Layer):
    """`images * scale + offset`, one number or one for each channel.

    As `keras.layers.Rescaling`, which needs TensorFlow on every backend.
    """

    def __init__(self, scale, offset, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset

    def call(self, inputs):
        scale = ops.convert_to_tensor(self.scale, dtype=self.compute_dtype)
        offset = ops.convert_to_tensor(self.offset, dtype=self.compute_dtype)
        return ops.cast(inputs, self.compute_dtype) * scale + offset

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config()
        return {**config, "scale": self.scale, "offset": self.offset}


@keras.saving.register_keras_serializable(package="keras_hash")
class PatchWhitening(layers.Layer):
    """A fixed convolution that decorrelates image patches, once `adapt` is
    called; until then its kernel is a random orthonormal basis.

    The kernel holds the eigenvectors of the patch covariance over the roots of
    their eigenvalues, each with both signs so that nothing is lost in the
    non-linearity behind it. Only the bias is trained.

    Reference: Page, "How to Train Your ResNet 8: Bag of Tricks" (2019);
    Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024).
    """

    def __init__(self, patch=2, epsilon=5e-4, **kwargs):
        super().__init__(**kwargs)
        self.patch = patch
        self.epsilon = epsilon

    def build(self, input_shape):
        size = self.patch**2 * input_shape[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.patch, self.patch, input_shape[-1], 2 * size),
            initializer=keras.initializers.Orthogonal(seed=0),
            trainable=False,
        )
        self.bias = self.add_weight(
            name="bias", shape=(2 * size,), initializer="zeros"
        )

    def adapt(self, images):
        """Sets the kernel from some images as the layer sees them."""
        images = np.asarray(images, "float32")
        windows = np.lib.stride_tricks.sliding_window_view(
            images, (self.patch, self.patch), axis=(1, 2)
        )
        patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(
            -1, self.patch**2 * images.shape[-1]
        )
        covariance = patches.T.astype("float64") @ patches / len(patches)
        values, vectors = np.linalg.eigh(covariance)
        basis = vectors / np.sqrt(values + self.epsilon)
        kernel = np.concatenate([basis, -basis], axis=1)
        self.kernel.assign(kernel.reshape(self.kernel.shape))

    def call(self, inputs):
        maps = ops.nn.conv(inputs, self.kernel, data_format="channels_last")
        return maps + self.bias

    def compute_output_shape(self, input_shape):
        n, h, w, c = input_shape
        cut = self.patch - 1
        return (n, h - cut, w - cut, 2 * c * self.patch**2)

    def get_config(self):
        config = super().get_config()
        return {**config, "patch": self.patch, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="keras_hash")
class PartialIdentity(keras.initializers.Initializer):
    """Convolution kernels whose first outputs copy an input channel, the others
    He-uniform: a deep plain network starts close to linear (Jordan, 3.2)."""

    def __init__(self, seed=None):
        self.seed = seed

    def __call__(self, shape, dtype=None):
        height, width, inputs, outputs = shape
        bound = 1 / np.sqrt(height * width * inputs)
        kernel = keras.random.uniform(
            shape, -bound, bound, dtype=dtype, seed=self.seed
        )
        kernel = np.array(keras.ops.convert_to_numpy(kernel))
        same = min(inputs, outputs)
        kernel[..., :same] = 0
        kernel[height // 2, width // 2, range(same), range(same)] = 1
        return ops.convert_to_tensor(kernel, dtype=dtype)

    def get_config(self):
        return {"seed": self.seed}


def cifar(input_shape=(32, 32, 3), widths=(64, 192, 192), seed=0):
    """The fast plain network for 32x32 photos, down to 16x16.

    Whitened 2x2 patches, then three blocks of two 3x3 convolutions with
    pooling inside; the layout of Jordan (2024), with the two wide blocks
    narrowed so that a trained encoder stays small.
    """
    if min(input_shape[:2]) < 9:
        raise ValueError(
            "The 'cifar' backbone takes images of 9x9 pixels or more. "
            f"Received: input_shape={input_shape}"
        )
    inputs = keras.Input(input_shape, name="image")
    x = PixelScale(
        scale=[1 / s for s in CIFAR_STD],
        offset=[-m / s for m, s in zip(CIFAR_MEAN, CIFAR_STD)],
        name="normalise",
    )(inputs)
    x = PatchWhitening(name="whiten")(x)
    x = layers.Activation("silu")(x)
    for block, width in enumerate(widths):
        for conv in range(2):
            x = layers.Conv2D(
                width,
                3,
                padding="same",
                use_bias=False,
                kernel_initializer=PartialIdentity(seed + 2 * block + conv),
                name=f"block{block + 1}_conv{conv + 1}",
            )(x)
            if conv == 0:
                x = layers.MaxPooling2D(2)(x)
            x = layers.BatchNormalization(
                scale=False,
                momentum=0.9,
                epsilon=1e-5,
                synchronized=devices.count() > 1,
                name=f"block{block + 1}_norm{conv + 1}",
            )(x)
            x = layers.Activation("silu")(x)
    x = layers.GlobalMaxPooling2D(name="features")(x)
    return keras.Model(inputs, x, name="cifar")


def small(input_shape=(32, 32, 3), widths=(32, 64, 96), seed=0):
    """A few layers, for digits, demos and tests; images from 8x8."""
    inputs = keras.Input(input_shape, name="image")
    x = PixelScale(1 / 127.5, -1.0, name="normalise")(inputs)
    for index, width in enumerate(widths):
        x = layers.Conv2D(
            width,
            3,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer=keras.initializers.HeNormal(seed + index),
            name=f"conv{index + 1}",
        )(x)
        x = layers.BatchNormalization(
            momentum=0.9,
            synchronized=devices.count() > 1,
            name=f"norm{index + 1}",
        )(x)
        x = layers.Activation("relu")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(inputs, x, name="small")


def features(input_shape):
    """No network: the inputs are feature vectors, computed elsewhere."""
    inputs = keras.Input(input_shape, name="features")
    return keras.Model(inputs, layers.Identity()(inputs), name="features")


@keras.saving.register_keras_serializable(package="keras_hash")
class Luma(layers.Layer):
    """The brightness of each pixel, `[n, h * w]` in 0..255 (ITU-R BT.601)."""

    def call(self, inputs):
        shares = ops.convert_to_tensor(np.float32([0.299, 0.587, 0.114]))
        grey = ops.sum(ops.cast(inputs, "float32") * shares, axis=-1)
        return ops.reshape(grey, (-1, inputs.shape[1] * inputs.shape[2]))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[1] * input_shape[2])


def grey(input_shape):
    """No network: the brightness of each pixel."""
    inputs = keras.Input(input_shape, name="image")
    return keras.Model(inputs, Luma()(inputs), name="grey")


_OWN = {"cifar": cifar, "features": features, "grey": grey, "small": small}


def _applications():
    """`{"mobilenetv2": (module, function)}` for all of keras.applications."""
    found = {}
    for _, module in inspect.getmembers(keras.applications, inspect.ismodule):
        if hasattr(module, "preprocess_input"):
            for name, function in inspect.getmembers(module, callable):
                if name[0].isupper():
                    found[name.lower()] = (module, function)
    return found


@contextlib.contextmanager
def policy(wanted):
    """Layers that are made inside have this dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(wanted)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def is_network(name):
    """Whether a name is that of a network, or of a part of one."""
    whole = str(name).partition("/")[0]
    key = whole.replace("_", "")
    return (
        whole in _OWN
        or whole in efficientnet_lite.SIZES
        or (key in _applications() and whole == whole.lower())
    )


def build(backbone, input_shape, weights=None):
    """The `keras.Model` from float images in 0..255 to features `[n, d]`.

    The arguments are those of `HashModel`; a `keras.Model` is returned as it
    is.
    """
    if isinstance(backbone, keras.Model):
        return _fitting(backbone, tuple(input_shape))
    # Images are [h, w, 3], whatever keras.json says: layers keep what holds
    # while they are made.
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        return _made(backbone, input_shape, weights)
    finally:
        keras.config.set_image_data_format(before)


def _fitting(backbone, input_shape):
    """A network of the user's, once it takes images of that shape and returns
    features."""
    sequential = isinstance(backbone, keras.Sequential)
    if sequential and not backbone.built:
        backbone.build((None, *input_shape))
    if not hasattr(backbone, "output_shape"):
        raise ValueError(
            "`backbone` should be a functional or a sequential model: "
            "`inputs = keras.Input(input_shape)`, then `keras.Model(inputs, "
            "backbone(inputs))`. Received: one of type "
            f"{type(backbone).__name__}"
        )
    taken, given = backbone.input_shape, backbone.output_shape
    fixed = zip(taken[1:], input_shape) if isinstance(taken, tuple) else ()
    if any(a not in (None, b) for a, b in fixed):
        raise ValueError(
            f"`input_shape` should be that of the backbone, {taken[1:]}. "
            f"Received: input_shape={input_shape}"
        )
    if isinstance(given, tuple) and len(given) != 2:
        raise ValueError(
            "`backbone` should return features [n, d], such as behind a "
            f"`GlobalAveragePooling2D`. Received: one that returns {given}"
        )
    return backbone


def _made(backbone, input_shape, weights):
    """The network of a name."""
    wanted = 1 if str(backbone) == "features" else 3
    if len(input_shape) != wanted or (wanted == 3 and input_shape[-1] != 3):
        raise ValueError(
            "`input_shape` should be (height, width, 3), and (d,) for "
            f"backbone='features'. Received: input_shape={input_shape}, "
            f"backbone={backbone!r}"
        )
    whole, cut, last = str(backbone).partition("/")
    if whole in efficientnet_lite.SIZES:
        network = _efficientnet_lite(whole, tuple(input_shape), weights)
        return _cut(network, last) if cut else network
    if backbone in _OWN:
        if weights is not None:
            raise ValueError(
                f"The {backbone!r} backbone has no published weights; load a "
                "zoo entry to start from trained ones. "
                f"Received: backbone_weights={weights!r}"
            )
        return _OWN[backbone](tuple(input_shape))
    return _application(backbone, tuple(input_shape), weights)


def _application(backbone, input_shape, weights):
    """A network of `keras.applications`, or the part of it up to a layer."""
    applications = _applications()
    whole, cut, last = str(backbone).partition("/")
    if not is_network(whole):
        raise ValueError(
            "`backbone` should be a keras.Model, 'small', 'cifar', "
            "'features', 'efficientnet_lite0' or '..._lite2', a "
            "keras.applications name in snake case such as 'mobilenet_v2', or "
            "an entry of the zoo such as 'photos_256'. "
            f"Received: backbone={backbone!r}"
        )
    module, function = applications[whole.replace("_", "")]
    inputs = keras.Input(input_shape, name="image")
    network = function(
        include_top=False,
        weights=weights,
        input_shape=input_shape,
        pooling=None if cut else "avg",
    )
    if cut:
        network = _cut(network, last)
    return keras.Model(
        inputs, network(module.preprocess_input(inputs)), name=whole
    )


def _efficientnet_lite(name, input_shape, weights):
    """EfficientNet-Lite, with weights from the file of the tool."""
    if weights == "imagenet":
        raise ValueError(
            f"The weights of {name!r} are in no download of Keras: give the "
            "file that `tools/efficientnet_lite.py` writes, or start from a "
            "trained encoder by backbone='photos_256'. Received: "
            "backbone_weights='imagenet'"
        )
    inputs = keras.Input(input_shape, name="image")
    scaled = PixelScale(1 / 128, -127 / 128, name="normalise")(inputs)
    found = efficientnet_lite.features(name, scaled)
    network = keras.Model(inputs, found, name=name)
    if weights is not None:
        network.load_weights(weights)
    return network


def _cut(network, last):
    """A network up to a layer, averaged over the image."""
    places = {
        layer.name: layer.output
        for layer in network.layers
        if len(layer.output.shape) == 4
    }
    if last not in places:
        near = difflib.get_close_matches(last, places, n=5, cutoff=0.4)
        raise ValueError(
            f"{network.name} has no layer {last!r} to be cut behind"
            + (f"; do you mean one of {near}?" if near else ".")
        )
    pooled = layers.GlobalAveragePooling2D(name="features")(places[last])
    return keras.Model(network.input, pooled, name=network.name)


def whitens(backbone):
    """Whether there is a patch whitening inside a backbone."""
    return any(isinstance(layer, PatchWhitening) for layer in backbone.layers)


def whiten(backbone, images):
    """Adapts the patch whitening inside a backbone, where it has one."""
    for layer in backbone.layers:
        if isinstance(layer, PatchWhitening):
            upstream = keras.Model(backbone.input, layer.input)
            layer.adapt(ops.convert_to_numpy(upstream(images)))
