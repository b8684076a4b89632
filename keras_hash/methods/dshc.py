"""DSHC: deep supervised hashing by classification.

Every class is split into `bits + 1` sub-classes, each with a code of its own:
the class centre and the centre with one bit flipped. A classifier over all
sub-classes is trained; the code of an image is that of its most probable
sub-class.

Reference: Luo et al., "Deep Supervised Hashing by Classification for Image
Retrieval", ICONIP 2021.
"""

import keras
from keras import ops

from keras_hash import codebooks
from keras_hash.methods.base import HashModel


def dshc(labels, logits, num_classes, bits, label_smoothing=0.0):
    """Cross-entropy against all sub-classes of the true class (Eq. 2).

    The target is `1 / H` for each of the `bits + 1` sub-classes of the true
    class, with `H = bits / num_classes`, so a row of targets sums to
    `(bits + 1) / H`, not to 1. The loss is computed as
    `-sum(target * log_softmax(logits))`: library operations that assume rows
    which sum to one return a wrong gradient here.

    Its minimum spreads the probability evenly over the sub-classes of the true
    class; nothing in it prefers one of them.

    Args:
        labels: int `[n]` in `0 .. num_classes - 1`.
        logits: float `[n, num_classes * (bits + 1)]`, the sub-classes of a
            class together.
        num_classes: int.
        bits: int, code length.
        label_smoothing: float in [0, 1), share of each target row that is
            spread over all sub-classes. Not in the paper. Defaults to `0`.

    Returns:
        float32 `[n]`, the loss of each image.
    """
    size = bits + 1
    per_class = bits / num_classes
    log_p = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    by_class = ops.sum(ops.reshape(log_p, (-1, num_classes, size)), axis=-1)
    own = ops.take_along_axis(
        by_class, ops.cast(labels, "int32")[:, None], axis=-1
    )[:, 0]
    smooth = ops.mean(by_class, axis=-1)
    mixed = (1 - label_smoothing) * own + label_smoothing * smooth
    return -mixed / per_class


@keras.saving.register_keras_serializable(package="keras_hash")
class DSHCLoss(keras.losses.Loss):
    """The loss of DSHC on sub-class logits: `Loss(labels, logits)`.

    Args:
        bits: int, code length.
        num_classes: int.
        label_smoothing: float in [0, 1). Not in the paper. Defaults to `0`.
        reduction: as in `keras.losses.Loss`. Defaults to the mean over images.

    Call arguments:
        labels: int `[n]`.
        logits: float `[n, num_classes * (bits + 1)]`.

    Raises:
        ValueError: labels or logits of another shape.

    Reference: Luo et al. 2021, Eq. 2.
    """

    def __init__(
        self,
        bits,
        num_classes,
        label_smoothing=0.0,
        reduction="sum_over_batch_size",
        name="dshc",
        **kwargs,
    ):
        super().__init__(reduction=reduction, name=name, **kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "`label_smoothing` should be in [0, 1). "
                f"Received: label_smoothing={label_smoothing}"
            )
        self.bits = bits
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        width = self.num_classes * (self.bits + 1)
        if len(y_pred.shape) != 2 or y_pred.shape[-1] != width:
            raise ValueError(
                "DSHC takes the logits of all sub-classes, [n, num_classes * "
                f"(bits + 1)] = [n, {width}]. "
                f"Received: logits.shape={tuple(y_pred.shape)}"
            )
        if len(y_true.shape) == 2 and y_true.shape[-1] == 1:
            y_true = y_true[:, 0]
        if len(y_true.shape) != 1:
            raise ValueError(
                "DSHC takes one class a image, int labels of shape [n]; turn "
                "one-hot rows into ints with `argmax(axis=1)`. "
                f"Received: labels.shape={tuple(y_true.shape)}"
            )
        return dshc(
            y_true,
            y_pred,
            self.num_classes,
            self.bits,
            self.label_smoothing,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "bits": self.bits,
            "num_classes": self.num_classes,
            "label_smoothing": self.label_smoothing,
        }


@keras.saving.register_keras_serializable(package="keras_hash")
class DSHC(HashModel):
    """Deep supervised hashing by classification, one class an image.

    `model(x)` returns the logits of all `num_classes * (bits + 1)`
    sub-classes.

    Args:
        bits: int, code length, a multiple of `num_classes`; at least three
            times as many, or a warning says what is lost.
        num_classes: int.
        backbone: see `HashModel`.
        input_shape: see `HashModel`.
        backbone_weights: see `HashModel`.
        top_k: int, the code is the sign of the mean code of the `top_k` most
            probable sub-classes; bits that cancel out take those of the most
            probable one. Defaults to `1`, which the paper's figures support.
        label_smoothing: float in [0, 1), see `losses.DSHC`.
        name: str.

    Raises:
        ValueError: `num_classes` does not divide `bits`, `top_k` out of range,
            or as `HashModel`.

    Example:

    >>> model = keras_hash.models.DSHC(bits=30, num_classes=10)
    >>> model.compile("adam")
    >>> model.fit(images, labels)
    >>> codes = model.encode(images)

    Reference: Luo et al., ICONIP 2021.
    """

    def __init__(
        self,
        bits,
        num_classes,
        backbone="small",
        input_shape=(32, 32, 3),
        backbone_weights=None,
        top_k=1,
        label_smoothing=0.0,
        name="dshc",
        **kwargs,
    ):
        codes, classes = codebooks.subclasses(codebooks.cpbc(bits, num_classes))
        if not 1 <= top_k <= len(codes):
            raise ValueError(
                f"`top_k` should be between 1 and {len(codes)}, the number of "
                f"sub-classes. Received: top_k={top_k}"
            )
        super().__init__(
            bits=bits,
            num_classes=num_classes,
            backbone=backbone,
            input_shape=input_shape,
            backbone_weights=backbone_weights,
            name=name,
            **kwargs,
        )
        self.top_k = top_k
        self.label_smoothing = label_smoothing
        self.head = keras.layers.Dense(
            len(codes), dtype="float32", name="subclasses"
        )
        self.codebook = codebooks.CodeBook(codes, classes, name="codebook")
        self._table = codes.astype("float32")
        self.finish()

    def default_loss(self):
        return DSHCLoss(self.bits, self.num_classes, self.label_smoothing)

    def outputs_to_codes(self, outputs):
        """The codes of the most probable sub-classes, `[n, bits]`."""
        return self._most_probable(outputs, self.codebook.codes)

    def codes_in_training(self, outputs):
        return self._most_probable(outputs, self._table)

    def _most_probable(self, outputs, book):
        _, best = ops.top_k(ops.convert_to_tensor(outputs), self.top_k)
        codes = ops.take(book, best, axis=0)
        mean = ops.mean(codes, axis=1)
        return ops.where(mean == 0, codes[:, 0], mean)

    def get_config(self):
        return {
            **super().get_config(),
            "top_k": self.top_k,
            "label_smoothing": self.label_smoothing,
        }
