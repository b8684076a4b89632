"""What the losses of different methods share: base classes and terms."""

import keras
from keras import ops

from keras_hash import heads
from keras_hash import similarity
from keras_hash.codes import check_choice
from keras_hash.codes import check_int
from keras_hash.codes import num_bytes
from keras_hash.methods import _keywords
from keras_hash.methods import _views


class CodeLoss(keras.losses.Loss):
    """Base of the losses: `Loss(bits, ...)(labels, outputs)`.

    A subclass sets `function`, which takes labels, what the model returns, and
    constants with their defaults, and returns the loss of each image, float32
    `[n]`. Its constants are keywords of the loss, and of the model.

    Args:
        bits: int, code length, at least 1. Losses that need not know it take
            `None`, and codes of any length.
        reduction: as in `keras.losses.Loss`. Defaults to the mean over images.
        name: str.
        dtype: `"float32"`, the default whatever `keras.config.floatx` says, or
            `"float64"`: in fewer bits class numbers would be others.

    Call arguments:
        y_true: int `[n]`, or multi-hot `[n, num_classes]`.
        y_pred: float `[n, bits]`, real codes, or a dict of what the model
            returns.
        sample_weight: optional float `[n]`.

    Raises:
        ValueError: `bits` is no code length, `dtype` another one, or a keyword
            has a value that makes no sense.
    """

    function = None
    # Values that a keyword is limited to, by its name.
    choices = {}
    # Whether it needs labels.
    supervised = True
    # Constants that are above 0, as it divides by them, and that may be below.
    positive, signed = (), ()
    # The largest value of some constants, by name.
    largest = {}
    # What it needs of the outputs beside `"code"`: `"logits"`, or the
    # `"features"` of the backbone, which have no gradient.
    shown = ()
    # Whether the other side of the pairs may be a memory bank.
    takes_bank = False
    # Views of each image whose codes it takes, the rows of the first one first.
    views = 1
    # The fewest images in a batch, and whether their number should be even.
    least, even = 1, False
    keywords = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        _keywords.register(cls)
        cls.keywords = {
            **_keywords.taken(cls, "prepare"),
            **_keywords.taken(cls, "function"),
        }
        required = [
            name
            for name, (parameter, _) in cls.keywords.items()
            if parameter.default is parameter.empty
        ]
        _keywords.show(cls, CodeLoss, required)

    def __init__(
        self,
        bits=None,
        *constants,
        reduction="sum_over_batch_size",
        name=None,
        dtype=None,
        **named,
    ):
        self.settings = _keywords.bind(self, constants, named)
        name = name or type(self).function.__name__
        dtype = keras.DTypePolicy("float32") if dtype is None else dtype
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if self.dtype not in ("float32", "float64"):
            raise ValueError(
                "`dtype` of a loss should be 'float32' or 'float64': class "
                f"numbers of fewer bits are others. Received: {self.dtype}"
            )
        for keyword, known in self.choices.items():
            check_choice(self.settings[keyword], keyword, known)
        if bits is not None or type(self).prepare is not CodeLoss.prepare:
            num_bytes(bits)
            bits = int(bits)
        self.bits = bits
        if self.settings.get("num_classes") is not None:
            check_int(self.settings["num_classes"], "num_classes", 2)
        self.prepared = self.prepare(
            **_keywords.fitting(self.prepare, self.settings)
        )

    def prepare(self):
        """What the function takes beside a batch and constants, by name."""
        return {}

    def call(self, y_true, y_pred):
        refs = {}
        if isinstance(y_true, tuple):
            y_true, refs["ref_labels"] = y_true
            y_pred, refs["ref_codes"] = y_pred
        self.check(y_true, y_pred)
        function = type(self).function
        return function(
            y_true,
            y_pred,
            **{k: ops.convert_to_tensor(v) for k, v in self.prepared.items()},
            **refs,
            **_keywords.fitting(function, self.settings),
        )

    def check(self, labels, outputs):
        """Refuses labels and outputs of another shape."""
        rows = self._check_codes(outputs)
        if not hasattr(labels, "shape"):
            raise ValueError(
                f"{self.name} takes arrays of labels. "
                f"Received: labels of type {type(labels).__name__}"
            )
        if len(labels.shape) not in (1, 2):
            raise ValueError(
                f"{self.name} takes int labels [n] or multi-hot rows "
                f"[n, num_classes]. Received: labels.shape="
                f"{tuple(labels.shape)}"
            )
        both = labels.shape[0], rows
        if None not in both and both[0] != both[1]:
            raise ValueError(
                f"{self.name} takes labels and codes of the same images. "
                f"Received: {both[0]} labels, {both[1]} codes"
            )

    def _check_codes(self, outputs):
        """Refuses codes of another shape; the number of images, if known."""
        both = isinstance(outputs, dict)
        if self.shown and not (both and {"code", *self.shown} <= set(outputs)):
            names = ", ".join(f"'{name}'" for name in ("code", *self.shown))
            found = sorted(outputs) if both else type(outputs).__name__
            raise ValueError(
                f"{self.name} takes a dict of {names}, as its model returns "
                f"it. Received: outputs of {found}"
            )
        real = outputs["code"] if both else outputs
        if not hasattr(real, "shape"):
            raise ValueError(
                f"{self.name} takes arrays of codes. "
                f"Received: codes of type {type(real).__name__}"
            )
        width = self.bits or (real.shape[-1] if len(real.shape) else None)
        if len(real.shape) != 2 or real.shape[-1] != width:
            raise ValueError(
                f"{self.name} takes real codes [n, {width}]. "
                f"Received: codes.shape={tuple(real.shape)}"
            )
        rows = real.shape[0]
        if rows is None:
            return None
        count, rest = divmod(rows, self.views)
        if rest or _views.missing_rows(self, count):
            raise ValueError(
                f"{self.name} takes {self._batch()}. Received: {rows} rows"
            )
        return count

    def _batch(self):
        """What a batch should be, in words."""
        images = f"at least {self.least} images"
        if self.even:
            images = "an even number of images, which it compares in pairs"
        if self.views == 1:
            return images
        return f"the codes of {self.views} views of each of {images}"

    def get_config(self):
        return {**super().get_config(), "bits": self.bits, **self.settings}


class UnlabelledLoss(CodeLoss):
    """Base of the losses without labels: `Loss(bits, ...)(None, outputs)`.

    Its function takes what the model returns, and no labels.

    Call arguments:
        y_true: ignored, and may be `None`.
        y_pred: float `[n, bits]`, real codes, or a dict of what the model
            returns.
        sample_weight: optional float `[n]`.
    """

    supervised = False

    def __call__(self, y_true, y_pred, sample_weight=None):
        found = y_true if isinstance(y_true, dict) else {}
        refs = {k: v for k, v in found.items() if k in _keywords.REFERENCES}
        return super().__call__(refs, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        self._check_codes(y_pred)
        function = type(self).function
        return function(
            y_pred, **y_true, **_keywords.fitting(function, self.settings)
        )


class PairLoss(CodeLoss):
    """Base of the losses that compare pairs of images.

    Call arguments:
        y_true: int `[n]`, or multi-hot `[n, num_classes]`.
        y_pred: float `[n, bits]`, real codes.
        sample_weight: optional float `[n]`.
        ref_labels: labels of the other side of the pairs, such as a memory
            bank; the batch itself by default.
        ref_codes: float `[m, bits]`, its codes. No gradient flows into them
            unless they are computed from the weights.
    """

    takes_bank = True

    def __call__(
        self,
        y_true,
        y_pred,
        sample_weight=None,
        ref_labels=None,
        ref_codes=None,
    ):
        if (ref_labels is None) != (ref_codes is None):
            raise ValueError(
                "`ref_labels` and `ref_codes` go together. Received: only "
                + ("ref_codes" if ref_labels is None else "ref_labels")
            )
        if ref_codes is not None:
            y_true, y_pred = (y_true, ref_labels), (y_pred, ref_codes)
        return super().__call__(y_true, y_pred, sample_weight)


def sides(labels, codes, ref_labels=None, ref_codes=None):
    """Both sides of the pairs, by default the batch twice, in float32; and 1
    where a pair joins different images, `[n, m]`."""
    codes = ops.cast(codes, "float32")
    if ref_codes is None:
        other = 1 - ops.eye(ops.shape(codes)[0], dtype="float32")
        return codes, labels, codes, other
    ref_codes = ops.cast(ref_codes, "float32")
    shape = ops.shape(codes)[0], ops.shape(ref_codes)[0]
    other = ops.ones(shape, "float32")
    return codes, ref_labels, ref_codes, other


def nll(logit, similar):
    """Negative log-likelihood of pairs, `log(1 + e^t) - s t`, stable."""
    return ops.softplus(logit) - similar * logit


def exact_sum(values, axis=None):
    """A sum of millions of values that keeps its digits in XLA on processors.

    XLA of TensorFlow 2.21 adds one value after the other there, and loses 0.4%
    of 6 million weights, but sums up products by halves.
    """
    return 2 * ops.sum(values / 2, axis=axis)


def weighted_mean(values, weights):
    """Row values, `[n]`, whose mean is the weighted mean over all pairs, or 0
    without weights."""
    axes = tuple(range(1, len(values.shape)))
    rows = exact_sum(values * weights, axes)
    total = exact_sum(weights)
    scale = ops.cast(ops.shape(rows)[0], "float32")
    return rows * scale / ops.where(total > 0, total, 1.0)


def squared_distances(a, b):
    """Squared Euclidean distances of all pairs of rows, at least 0."""
    square = ops.sum(a * a, axis=1)[:, None] + ops.sum(b * b, axis=1)
    # The gradient is a sum over pairs: doubled last, as in `exact_sum`.
    return 2 * ops.maximum(square / 2 - a @ ops.transpose(b), 0.0)


def hamming(codes, ref_codes):
    """Hamming distances of all pairs of real codes, relaxed, in bits."""
    return (codes.shape[-1] - codes @ ops.transpose(ref_codes)) / 2


def to_sign(codes, power=2):
    """Distance of each code from its own sign, `mean_k ||u_k| - 1|^power`."""
    gap = ops.absolute(ops.absolute(codes) - 1)
    return ops.mean(gap**power, axis=-1)


def cross_entropy(labels, logits):
    """Softmax cross-entropy of each image, whose labels share a mass of one; 0
    without labels."""
    logits = ops.cast(logits, "float32")
    hot = similarity.multi_hot(labels, logits.shape[-1])
    targets = hot / ops.maximum(ops.sum(hot, axis=1, keepdims=True), 1)
    return -ops.sum(targets * ops.log_softmax(logits, axis=-1), axis=-1)


def triplet_mean(function, measure, labels, ref_labels, other):
    """Rows, `[n]`, whose mean is that of `function` over all valid triplets.

    It takes the `measure` of an image with a similar and a dissimilar one.
    """
    similar = similarity.pairs(labels, ref_labels)
    valid = (similar * other)[:, :, None] * (1 - similar)[:, None, :]
    losses = function(measure[:, :, None], measure[:, None, :])
    return weighted_mean(losses, valid)


def ideal_gain(gain):
    """The discounted gain of each row in its best order."""
    ranks = ops.arange(2, ops.shape(gain)[1] + 2, dtype="float32")
    return ops.sum(-ops.sort(-gain, axis=1) / ops.log(ranks), axis=1)


def halves(rows):
    """The first and the second half of the rows of a batch."""
    count = ops.shape(rows)[0] // 2
    return rows[:count], rows[count:]


def cosines_of_halves(rows):
    """The cosine of each row with that half a batch further on, `[n / 2]`."""
    return heads.cosine(*halves(rows))


def cosine_gaps(codes, features):
    """By how much cosines of codes differ from those of features, squared and
    for pairs of images half a batch apart, `[n]`."""
    features = ops.stop_gradient(ops.cast(features, "float32"))
    gaps = cosines_of_halves(codes) - cosines_of_halves(features)
    return ops.tile(ops.square(gaps), [2])


def nt_xent(codes, temperature):
    """Contrast of the two views of an image with all other rows, `[n]`.

    Normalised temperature-scaled cross-entropy: `logsumexp_j s_ij - s_ip` with
    `s = cos / temperature`, p the other view, and j all rows but i.
    """
    count = ops.shape(codes)[0]
    logits = heads.cosines(codes, codes) / temperature
    others = logits - 1e9 * ops.eye(count, dtype="float32")
    pairs = ops.tile(cosines_of_halves(codes) / temperature, [2])
    first, second = halves(ops.logsumexp(others, axis=1) - pairs)
    return (first + second) / 2
