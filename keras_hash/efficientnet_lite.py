"""EfficientNet-Lite: EfficientNet for plain processors, without squeeze and
excitation, with ReLU6.

Reference: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional
Neural Networks", ICML 2019; the Lite variants are those of TensorFlow's model
collection. `tools/efficientnet_lite.py` writes the weights, trained on
ImageNet, in the order of the layers here.
"""

import math

from keras import layers

from keras_hash import devices

# Kernel, stride, expansion, filters and repeats of each stage.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# Width and depth, as multiples of those stages.
SIZES = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite2": (1.1, 1.2)}


def blocks(name):
    """The kernel, stride, expansion and filters of each block."""
    width, depth = SIZES[name]
    for stage, (kernel, stride, expansion, filters, repeats) in enumerate(
        STAGES
    ):
        if 0 < stage < len(STAGES) - 1:
            repeats = math.ceil(depth * repeats)
        # The nearest multiple of 8 that is not below 90 %.
        scaled = width * filters
        filters = max(8, int(scaled + 4) // 8 * 8)
        filters += 8 if filters < 0.9 * scaled else 0
        for repeat in range(repeats):
            yield kernel, 1 if repeat else stride, expansion, filters


def features(name, x):
    """From images in -1..1 to 1,280 features, of Keras tensors."""
    x = _normed(layers.Conv2D, x, "stem", 32, 3, 2)
    for index, (kernel, stride, expansion, filters) in enumerate(blocks(name)):
        before, block = x, f"block{index}"
        if expansion > 1:
            wide = expansion * x.shape[-1]
            x = _normed(layers.Conv2D, x, f"{block}_expand", wide)
        x = _normed(layers.DepthwiseConv2D, x, f"{block}_depthwise", None,
                    kernel, stride)  # fmt: skip
        x = _normed(layers.Conv2D, x, f"{block}_project", filters, end="")
        if stride == 1 and before.shape[-1] == filters:
            x = layers.Add(name=f"{block}_add")([x, before])
    x = _normed(layers.Conv2D, x, "head", 1280)
    return layers.GlobalAveragePooling2D(name="features")(x)


def _normed(kind, x, name, filters, kernel=1, stride=1, end="relu"):
    """A convolution, its batch statistics, and ReLU6."""
    size = {} if filters is None else {"filters": filters}
    x = kind(
        kernel_size=kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        name=f"{name}_conv",
        **size,
    )(x)
    x = layers.BatchNormalization(
        epsilon=1e-3, synchronized=devices.count() > 1, name=f"{name}_norm"
    )(x)
    return layers.ReLU(6, name=f"{name}_{end}")(x) if end else x
