"""Hash layers: from features to real codes, and to what else a loss takes.

All of them keep codes centred at 0: a sigmoid `a` appears as `2 a - 1`.
"""

import keras
from keras import layers
from keras import ops

from keras_hash import codes as codes_lib


def dense(bits, activation=None, use_bias=True, scale=None, name="hash"):
    """A fully connected hash layer.

    Args:
        bits: int, code length.
        activation: `None`, `"tanh"`, `"softsign"`, ...
        use_bias: bool.
        scale: float, standard deviation of the initial weights; the usual
            Glorot start by default, which suits features of any length. The
            papers start from 0.01 on 4,096 features.
        name: str.

    Returns:
        A `keras.layers.Dense` in float32.
    """
    start = "glorot_uniform"
    if scale is not None:
        start = keras.initializers.RandomNormal(stddev=scale)
    return layers.Dense(
        bits,
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=start,
        dtype="float32",
        name=name,
    )


class Head(layers.Layer):
    """Base of heads with several layers: builds them in their order.

    Args:
        **kwargs: as for `keras.layers.Layer`.
    """

    def __init__(self, **kwargs):
        super().__init__(dtype="float32", **kwargs)

    def _build_chain(self, input_shape, chain):
        for layer in chain:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape


class Hidden(Head):
    """A fully connected layer between a trained backbone and a hash layer.

    Features are normalised first: those of ImageNet networks lie far from 0,
    and pairwise losses take long to leave such a start.

    Args:
        units: int, width.
        dropout: float in [0, 1), behind it.
    """

    def __init__(self, units, dropout=0.5):
        super().__init__(name="hidden")
        self.norm = layers.BatchNormalization(
            momentum=0.9, center=False, scale=False, dtype="float32"
        )
        self.dense = layers.Dense(units, "relu", dtype="float32", name="dense")
        self.drop = layers.Dropout(dropout, dtype="float32")

    def build(self, input_shape):
        self._build_chain(input_shape, [self.norm, self.dense])

    def call(self, features, training=None):
        features = self.dense(self.norm(features, training=training))
        return self.drop(features, training=training)


class Classified(Head):
    """Codes and a linear classifier on top of them.

    Args:
        bits: int, code length.
        num_classes: int.
        activation: of the codes, `None` or `"half_tanh"`, a sigmoid centred
            at 0.
        binary: bool, whether the classifier sees the signs of the codes; the
            gradient passes the sign unchanged (straight-through).
        use_bias: bool, whether the classifier has a bias.

    Returns (of a call):
        A dict: `code`, float32 `[n, bits]`, and `logits`, float32
        `[n, num_classes]`.
    """

    def __init__(
        self, bits, num_classes, activation=None, binary=False, use_bias=True
    ):
        super().__init__(name="head")
        self.hash = dense(bits)
        self.classifier = dense(
            num_classes, use_bias=use_bias, name="classifier"
        )
        self.half_tanh = activation == "half_tanh"
        self.binary = binary

    def build(self, input_shape):
        self._build_chain(input_shape, [self.hash, self.classifier])

    def call(self, features):
        code = self.hash(features)
        if self.half_tanh:
            code = ops.tanh(code / 2)
        seen = code
        if self.binary:
            seen = code + ops.stop_gradient(codes_lib.sign(code) - code)
        return {"code": code, "logits": self.classifier(seen)}


class Proxies(Head):
    """Codes and their cosines with one learned proxy for each class.

    Args:
        bits: int, code length.
        num_classes: int.

    Returns (of a call):
        A dict: `code`, float32 `[n, bits]`, and `logits`, cosines
        `[n, num_classes]`.
    """

    def __init__(self, bits, num_classes):
        super().__init__(name="head")
        self.hash = dense(bits)
        self.size = (num_classes, bits)

    def build(self, input_shape):
        self.hash.build(input_shape)
        self.proxies = self.add_weight(
            name="proxies", shape=self.size, initializer="he_normal"
        )

    def call(self, features):
        code = self.hash(features)
        cosines = unit(code) @ ops.transpose(unit(self.proxies))
        return {"code": code, "logits": cosines}


class Continuation(Head):
    """`tanh(beta * a)` with a beta that grows, so that codes turn binary.

    `beta = sqrt(1 + growth * t)` with the training step `t`, renewed every
    `period` steps. The step is a weight: training resumes where it stopped.

    Args:
        bits: int, code length.
        growth: float, defaults to `0.005`.
        period: int, defaults to `200`.

    Reference: Cao et al. 2017 (HashNet); constants from the
    authors' code.
    """

    def __init__(self, bits, growth=0.005, period=200):
        super().__init__(name="head")
        self.hash = dense(bits)
        self.growth, self.period = growth, period

    def build(self, input_shape):
        self.hash.build(input_shape)
        self.step = self.add_weight(
            name="step", dtype="int32", initializer="zeros", trainable=False
        )

    def call(self, features, training=False):
        start = self.step // self.period * self.period
        beta = ops.sqrt(1 + self.growth * ops.cast(start, "float32"))
        if training:
            self.step.assign(self.step + 1)
        return ops.tanh(beta * self.hash(features))


class DivideAndEncode(Head):
    """Every bit from its own slice of a wide layer, through a threshold.

    Sigmoids are flattened to 0 below `0.5 - epsilon` and to 1 above
    `0.5 + epsilon`, shown here centred at 0. The flat parts have no gradient.

    Args:
        bits: int, code length.
        width: int, features in a slice. The paper has 50.
        epsilon: float in (0, 0.5].

    Reference: Lai et al. 2015 (NINH)
    """

    def __init__(self, bits, width=50, epsilon=0.5):
        super().__init__(name="head")
        self.bits, self.width, self.epsilon = bits, width, epsilon
        self.wide = dense(bits * width, name="wide")

    def build(self, input_shape):
        self.wide.build(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.bits, self.width),
            initializer="glorot_uniform",
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.bits,), initializer="zeros"
        )

    def call(self, features):
        slices = ops.reshape(self.wide(features), (-1, self.bits, self.width))
        code = ops.tanh((ops.sum(slices * self.kernel, -1) + self.bias) / 2)
        inside = ops.absolute(code) <= 2 * self.epsilon
        return ops.where(inside, code, codes_lib.sign(code))


class TwoLayers(Head):
    """Two fully connected layers that both feed the hash layer.

    The first passes on without dropout, the second through it.

    Args:
        bits: int, code length.
        units: int, width of each layer.
        dropout: float in [0, 1), after each.

    Reference: Zhao et al. 2015 (DSRH) and the authors' layers.
    """

    def __init__(self, bits, units, dropout):
        super().__init__(name="head")
        self.first = layers.Dense(units, "relu", dtype="float32", name="first")
        self.second = layers.Dense(
            units, "relu", dtype="float32", name="second"
        )
        self.drop = layers.Dropout(dropout, dtype="float32")
        self.from_first = dense(bits, name="from_first")
        self.from_second = dense(bits, use_bias=False, name="from_second")

    def build(self, input_shape):
        wide = self._build_chain(input_shape, [self.first, self.second])
        self.from_first.build(wide)
        self.from_second.build(wide)

    def call(self, features, training=None):
        first = self.first(features)
        second = self.second(self.drop(first, training=training))
        second = self.drop(second, training=training)
        real = self.from_first(first) + self.from_second(second)
        # The sigmoid of the paper, centred at 0.
        return ops.tanh(real / 2)


class Normalised(Head):
    """A hash layer without bias, then batch normalisation: balanced bits.

    Args:
        bits: int, code length.
    """

    def __init__(self, bits):
        super().__init__(name="head")
        self.hash = dense(bits, use_bias=False)
        self.norm = layers.BatchNormalization(
            momentum=0.9, dtype="float32", name="norm"
        )

    def build(self, input_shape):
        self._build_chain(input_shape, [self.hash, self.norm])

    def call(self, features, training=None):
        return self.norm(self.hash(features), training=training)


def unit(vectors):
    """Rows divided by their lengths; zero rows stay zero, without NaN.

    Args:
        vectors: float `[n, d]`.

    Returns:
        float `[n, d]`.
    """
    square = ops.sum(vectors * vectors, axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(square, 1e-6))
