"""What the losses of different methods share: base classes and terms."""

import keras
from keras import ops

from keras_hash import codes as codes_lib
from keras_hash import similarity


class CodeLoss(keras.losses.Loss):
    """Base of the losses: `Loss(bits, ...)(labels, outputs)`.

    A subclass sets `function`, which takes labels, what the model returns, and
    the settings by name, and returns the loss of each image, float32 `[n]`.

    Args:
        bits: int, code length; `None` takes codes of any length, for losses
            that do not depend on it.
        settings: dict, constants of the method, handed on to `function`.
        name: str.
        reduction: as in `keras.losses.Loss`. Defaults to the mean over images.

    Raises:
        ValueError: `bits` is no code length.
    """

    function = None
    # Whether the other side of the pairs may be a memory bank.
    takes_bank = False

    def __init__(
        self, bits, settings, name, reduction="sum_over_batch_size", **kwargs
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        if bits is not None:
            codes_lib.num_bytes(bits)
            bits = int(bits)
        self.bits = bits
        self.settings = settings

    def call(self, y_true, y_pred):
        refs = {}
        if isinstance(y_true, tuple):
            y_true, refs["ref_labels"] = y_true
            y_pred, refs["ref_codes"] = y_pred
        self._check(y_true, y_pred)
        return type(self).function(y_true, y_pred, **refs, **self.settings)

    def _check(self, labels, outputs):
        codes = outputs["code"] if isinstance(outputs, dict) else outputs
        width = self.bits or codes.shape[-1]
        if len(codes.shape) != 2 or codes.shape[-1] != width:
            raise ValueError(
                f"{self.name} takes real codes [n, {width}]. "
                f"Received: codes.shape={tuple(codes.shape)}"
            )
        if len(labels.shape) not in (1, 2):
            raise ValueError(
                f"{self.name} takes int labels [n] or multi-hot rows "
                f"[n, num_classes]. Received: labels.shape="
                f"{tuple(labels.shape)}"
            )

    def get_config(self):
        return {**super().get_config(), "bits": self.bits, **self.settings}


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
    """Both sides of the pairs, and which pairs join different images.

    Args:
        labels: labels of the batch.
        codes: float `[n, bits]`.
        ref_labels: labels of the other side, or `None` for the batch.
        ref_codes: float `[m, bits]`, or `None`.

    Returns:
        `codes`, `ref_labels` and `ref_codes`, codes in float32, and float32
        `[n, m]`: 1 where a pair joins two different images.
    """
    codes = ops.cast(codes, "float32")
    if ref_codes is None:
        other = 1 - ops.eye(ops.shape(codes)[0], dtype="float32")
        return codes, labels, codes, other
    ref_codes = ops.cast(ref_codes, "float32")
    other = ops.ones((ops.shape(codes)[0], ops.shape(ref_codes)[0]))
    return codes, ref_labels, ref_codes, other


def nll(product, similar):
    """Negative log-likelihood of pairs, `log(1 + e^t) - s t`, stable.

    Args:
        product: float tensor, the logit `t` of being similar.
        similar: float tensor, 0 or 1 (or between).

    Returns:
        float tensor.
    """
    return ops.softplus(product) - similar * product


def weighted_mean(values, weights):
    """Row values whose mean is the weighted mean over all pairs.

    Args:
        values: float `[n, ...]`.
        weights: float `[n, ...]`, at least 0; the result is 0 where all are.

    Returns:
        float `[n]`.
    """
    axes = tuple(range(1, len(values.shape)))
    rows = ops.sum(values * weights, axis=axes)
    total = ops.sum(weights)
    scale = ops.cast(ops.shape(rows)[0], "float32")
    return rows * scale / ops.where(total > 0, total, 1.0)


def squared_distances(a, b):
    """Squared Euclidean distances of all pairs.

    Args:
        a: float `[n, bits]`.
        b: float `[m, bits]`.

    Returns:
        float `[n, m]`, at least 0.
    """
    square = ops.sum(a * a, axis=1)[:, None] + ops.sum(b * b, axis=1)
    return ops.maximum(square - 2 * a @ ops.transpose(b), 0.0)


def to_sign(codes, power=2):
    """Distance of each code from its own sign, `mean_k ||u_k| - 1|^power`.

    Args:
        codes: float `[n, bits]`.
        power: int.

    Returns:
        float `[n]`.
    """
    gap = ops.absolute(ops.absolute(codes) - 1)
    return ops.mean(gap**power, axis=-1)


def share_targets(labels, num_classes):
    """Target distributions: the labels of an image share a mass of one.

    Args:
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        num_classes: int.

    Returns:
        float32 `[n, num_classes]`; rows without labels stay zero.
    """
    hot = similarity.multi_hot(labels, num_classes)
    return hot / ops.maximum(ops.sum(hot, axis=1, keepdims=True), 1)


def cross_entropy(labels, logits):
    """Softmax cross-entropy against `share_targets`.

    Args:
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        logits: float `[n, num_classes]`.

    Returns:
        float32 `[n]`; 0 for rows without labels.
    """
    logits = ops.cast(logits, "float32")
    targets = share_targets(labels, logits.shape[-1])
    return -ops.sum(targets * ops.log_softmax(logits, axis=-1), axis=-1)


def triplet_mean(function, measure, labels, ref_labels, other):
    """Rows whose mean is the mean over all valid triplets.

    Args:
        function: from the measure of an image with a similar and with a
            dissimilar one, two tensors that broadcast, to the loss.
        measure: float `[n, m]`, of all pairs.
        labels: labels of the batch, `n` anchors.
        ref_labels: labels of the `m` other images.
        other: float `[n, m]`, 1 where a pair joins different images.

    Returns:
        float32 `[n]`; zeros where no triplet is valid.
    """
    similar = similarity.pairs(labels, ref_labels)
    valid = (similar * other)[:, :, None] * (1 - similar)[:, None, :]
    losses = function(measure[:, :, None], measure[:, None, :])
    return weighted_mean(losses, valid)


def distances(codes, ref_codes):
    """Hamming distances between real codes, relaxed.

    Args:
        codes: float `[n, bits]`.
        ref_codes: float `[m, bits]`.

    Returns:
        float `[n, m]`, in bits.
    """
    return (codes.shape[-1] - codes @ ops.transpose(ref_codes)) / 2
