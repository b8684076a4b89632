"""Hash layers: from features to real codes, and to what else a loss takes.

All of them keep codes centred at 0: a sigmoid `a` appears as `2 a - 1`.
"""

import random

from keras import layers
from keras import ops

from keras_hash import devices
from keras_hash.codes import sign


def dense(bits, activation=None, use_bias=True, name="hash"):
    """A fully connected hash layer, in float32."""
    return layers.Dense(
        bits,
        activation=activation,
        use_bias=use_bias,
        dtype="float32",
        name=name,
    )


def dropped(rate):
    """Dropout that goes on after a stop as it would have.

    Without a seed Keras on PyTorch would draw by PyTorch's own generator, whose
    state no file of a model holds.
    """
    seed = random.randint(1, int(1e9)) if rate else None
    return layers.Dropout(rate, dtype="float32", seed=seed)


def normalization(**options):
    """Batch normalisation that follows the data fast, in float32.

    Several devices share the statistics of the whole batch.
    """
    return layers.BatchNormalization(
        momentum=0.9,
        dtype="float32",
        synchronized=devices.count() > 1,
        **options,
    )


def constant(layer, name, shape, dtype="float32"):
    """Adds a weight of zeros that no training changes, also as an attribute."""
    weight = layer.add_weight(
        name=name,
        shape=shape,
        dtype=dtype,
        initializer="zeros",
        trainable=False,
        # All devices write the same.
        aggregation="only_first_replica",
    )
    setattr(layer, name, weight)
    return weight


def cosines(a, b):
    """Cosines of all rows of `a` with all of `b`, `[n, m]`; 0 for zero rows."""
    return unit(a) @ ops.transpose(unit(b))


def cosine(a, b):
    """Cosines of each row of `a` with that of `b`, `[n]`; 0 for zero rows."""
    return ops.sum(unit(a) * unit(b), axis=-1)


def through_sign(codes, real):
    """Signs of codes, whose gradient passes to real values unchanged
    (straight-through)."""
    return real + ops.stop_gradient(sign(codes) - real)


def unit(rows):
    """Rows of length 1. `keras.ops.normalize` has NaN gradients at zero."""
    square = ops.sum(rows * rows, axis=-1, keepdims=True)
    return rows * ops.rsqrt(ops.maximum(square, 1e-6))


class Head(layers.Layer):
    """Base of heads with several layers: builds them in their order."""

    def __init__(self, name="head"):
        super().__init__(dtype="float32", name=name)

    def _build_chain(self, input_shape, chain):
        for layer in chain:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape


class Hidden(Head):
    """A fully connected layer between a trained backbone and a hash layer.

    Features are normalised first: those of ImageNet networks lie far from 0,
    and pairwise losses take long to leave such a start.
    """

    def __init__(self, units, dropout=0.5):
        super().__init__(name="hidden")
        self.norm = normalization(center=False, scale=False)
        self.dense = layers.Dense(units, "relu", dtype="float32", name="dense")
        self.drop = dropped(dropout)

    def build(self, input_shape):
        self._build_chain(input_shape, [self.norm, self.dense])

    def call(self, features, training=None):
        features = self.dense(self.norm(features, training=training))
        return self.drop(features, training=training)


class Hashing(Head):
    """A hidden layer and a hash layer, of balanced bits where normalised.

    The width of the hidden layer is `None` for that of the features.
    """

    def __init__(
        self, bits, width, activation="relu", norm=False, initializer=None
    ):
        super().__init__()
        self.width = width
        self.options = {"activation": activation}
        self.hash = dense(bits)
        if initializer is not None:
            self.options["kernel_initializer"] = initializer
            self.hash.kernel_initializer = initializer
        self.norm = normalization(name="norm") if norm else None

    def build(self, input_shape):
        self.hidden = layers.Dense(
            self.width or input_shape[-1],
            dtype="float32",
            name="hidden",
            **self.options,
        )
        chain = [self.hidden, self.hash, self.norm]
        self._build_chain(input_shape, [x for x in chain if x is not None])

    def call(self, features, training=None):
        code = self.hash(self.hidden(features))
        return code if self.norm is None else self.norm(code, training=training)


class Classified(Head):
    """Codes and a linear classifier on top of them: `{"code", "logits"}`.

    The activation is `None` or `"half_tanh"`, a sigmoid centred at 0. Where
    `binary`, the classifier sees the signs of the codes, and the gradient
    passes the sign unchanged (straight-through).
    """

    def __init__(
        self, bits, num_classes, activation=None, binary=False, use_bias=True
    ):
        super().__init__()
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
        return {"code": code, "logits": self.classify(code)}

    def classify(self, code):
        """Logits of codes, or of their first bits."""
        if self.binary:
            code = through_sign(code, code)
        if code.shape[-1] == self.hash.units:
            return self.classifier(code)
        # Outside of `call`, mixed precision hands weights out in half of it.
        kernel = ops.cast(self.classifier.kernel, "float32")
        logits = code @ kernel[: code.shape[-1]]
        bias = self.classifier.bias
        return logits if bias is None else logits + ops.cast(bias, "float32")


class Proxies(Head):
    """Codes, and as logits their cosines with a learned proxy a class."""

    def __init__(self, bits, num_classes):
        super().__init__()
        self.hash = dense(bits)
        self.size = (num_classes, bits)

    def build(self, input_shape):
        self.hash.build(input_shape)
        self.proxies = self.add_weight(
            name="proxies", shape=self.size, initializer="he_normal"
        )

    def call(self, features):
        code = self.hash(features)
        return {"code": code, "logits": self.classify(code)}

    def classify(self, code):
        """Cosines of codes, or of their first bits, with the proxies."""
        proxies = ops.cast(self.proxies, "float32")
        return cosines(code, proxies[:, : code.shape[-1]])


class Continuation(Head):
    """`tanh(beta * a)` with a beta that grows, so that codes turn binary.

    `beta = sqrt(1 + growth * t)` with the training step `t`, renewed every
    `period` steps. The step is a weight: training resumes where it stopped.
    The constants are those of the authors' code of HashNet.
    """

    def __init__(self, bits, growth=0.005, period=200):
        super().__init__()
        self.hash = dense(bits)
        self.growth, self.period = growth, period

    def build(self, input_shape):
        self.hash.build(input_shape)
        constant(self, "step", (), "int32")

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
    """

    def __init__(self, bits, width, epsilon):
        super().__init__()
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
        return ops.where(inside, code, sign(code))


class TwoLayers(Head):
    """Two fully connected layers that both feed the hash layer: the first
    without dropout, the second through it, as in the authors' code of DSRH."""

    def __init__(self, bits, units, dropout):
        super().__init__()
        self.first = layers.Dense(units, "relu", dtype="float32", name="first")
        self.second = layers.Dense(
            units, "relu", dtype="float32", name="second"
        )
        self.drop = dropped(dropout)
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
    """A hash layer without bias, then batch normalisation: balanced bits."""

    def __init__(self, bits):
        super().__init__()
        self.hash = dense(bits, use_bias=False)
        self.norm = normalization(name="norm")

    def build(self, input_shape):
        self._build_chain(input_shape, [self.hash, self.norm])

    def call(self, features, training=None):
        return self.norm(self.hash(features), training=training)
