"""DSHC: deep supervised hashing by classification.

Every class is split into sub-classes, each with a code of its own: the class
centre and the centre with one bit flipped. A classifier over all sub-classes is
trained; the code of an image is that of its most probable sub-class. With
several labels an image, the predicted labels themselves are the code.

    y = 1 / H for the sub-classes of the true class, else 0; p = softmax(z)
    loss = -mean_i sum_k y_ik log p_ik;  code = that of the largest p
    several labels: one bit a label, mean binary cross-entropy (Eq. 3)

When to use: classes are known and every image has one; few distinct codes, so
that search and evaluation are very fast. With several labels use
`DSHCMultiLabel`, whose codes are compared by `similarity="and"`.
Cost: O(n classes bits) a step, no pairs: that of a plain classifier.
Other code: none is published. CPBC needs three bits a class or more; at 10 bits
and 10 classes use `codebook="kbc"`.
Reference: Luo et al., "Deep Supervised Hashing by Classification for Image
Retrieval", ICONIP 2021.
"""

import keras
import numpy as np
from keras import ops

from keras_hash import codebooks
from keras_hash.methods.base import HashModel


def dshc(labels, logits, targets, label_smoothing=0.0):
    """Cross-entropy against all sub-classes of the true class (Eq. 2).

    A row of targets need not sum to one, so the loss is computed as
    `-sum(target * log_softmax(logits))`: library operations that assume it
    return a wrong gradient here.

    Its minimum spreads the probability evenly over the sub-classes of the true
    class; nothing in it prefers one of them.

    Args:
        labels: int `[n]` in `0 .. num_classes - 1`.
        logits: float `[n, size]`, one for each sub-class.
        targets: float `[num_classes, size]`, the weight of each sub-class for
            each class, see `subclass_targets`.
        label_smoothing: float in [0, 1), share of each target row that is
            spread over all sub-classes. Not in the paper. Defaults to `0`.

    Returns:
        float32 `[n]`, the loss of each image.
    """
    log_p = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    totals = targets.sum(axis=1, keepdims=True) / targets.shape[1]
    targets = (1 - label_smoothing) * targets + label_smoothing * totals
    rows = ops.take(ops.convert_to_tensor(targets, "float32"), labels, axis=0)
    return -ops.sum(rows * log_p, axis=-1)


def dshc_marginal(labels, logits, members):
    """`-log` of the probability of the true class, over its sub-classes.

    An extension that is not in the paper: it leaves the network free to choose
    among the sub-classes of a class.

    Args:
        labels: int `[n]` in `0 .. num_classes - 1`.
        logits: float `[n, size]`.
        members: float `[num_classes, size]`, positive where a sub-class
            belongs to a class.

    Returns:
        float32 `[n]`.
    """
    logits = ops.cast(logits, "float32")
    outside = np.where(members > 0, 0.0, -1e9).astype("float32")
    masked = logits + ops.take(ops.convert_to_tensor(outside), labels, axis=0)
    return ops.logsumexp(logits, axis=-1) - ops.logsumexp(masked, axis=-1)


def dshc_multi_label(labels, logits):
    """Multi-label soft margin: mean binary cross-entropy over labels (Eq. 3).

    The paper writes labels of -1 and 1, with which the formula is unbounded
    below; it is meant for 0 and 1.

    Args:
        labels: 0 and 1, `[n, num_classes]`.
        logits: float `[n, num_classes]`.

    Returns:
        float32 `[n]`.
    """
    logits = ops.cast(logits, "float32")
    labels = ops.cast(labels, "float32")
    return ops.mean(ops.softplus(logits) - labels * logits, axis=-1)


def subclass_targets(bits, num_classes, codebook="cpbc", seed=0):
    """The targets of Eq. 2.

    `1 / H` with `H = bits / num_classes` for CPBC, whose classes have
    `bits + 1` sub-classes each; one over the number of its sub-classes for a
    class of KBC, where H has no meaning.

    Args:
        bits: int, code length.
        num_classes: int.
        codebook: `"cpbc"` or `"kbc"`.
        seed: int, for KBC.

    Returns:
        `float32 [num_classes, size]`.

    Raises:
        ValueError: as `codebooks.dshc_table`.
    """
    _, classes = codebooks.dshc_table(bits, num_classes, codebook, seed)
    own = (classes == np.arange(num_classes)[:, None]).astype("float32")
    if codebook == "cpbc":
        return own * (num_classes / bits)
    return own / own.sum(axis=1, keepdims=True)


@keras.saving.register_keras_serializable(package="keras_hash")
class DSHCLoss(keras.losses.Loss):
    """The loss of DSHC on sub-class logits: `Loss(labels, logits)`.

    Args:
        bits: int, code length.
        num_classes: int.
        label_smoothing: float in [0, 1). Not in the paper. Defaults to `0`.
        codebook: `"cpbc"` or `"kbc"`, see `models.DSHC`.
        seed: int, for KBC.
        marginal: bool, whether to use `-log` of the class probability, an
            extension, in place of Eq. 2.
        reduction: as in `keras.losses.Loss`. Defaults to the mean over images.

    Call arguments:
        labels: int `[n]`.
        logits: float `[n, size]`, one for each sub-class; CPBC has
            `num_classes * (bits + 1)`.

    Raises:
        ValueError: labels or logits of another shape.

    Reference: Luo et al. 2021, Eq. 2.
    """

    def __init__(
        self,
        bits,
        num_classes,
        label_smoothing=0.0,
        codebook="cpbc",
        seed=0,
        marginal=False,
        reduction="sum_over_batch_size",
        name="dshc",
        **kwargs,
    ):
        super().__init__(reduction=reduction, name=name, **kwargs)
        if not 0 <= label_smoothing < 1 or (marginal and label_smoothing):
            raise ValueError(
                "`label_smoothing` should be in [0, 1), and 0 with `marginal`. "
                f"Received: label_smoothing={label_smoothing}, "
                f"marginal={marginal}"
            )
        self.settings = {
            "bits": bits,
            "num_classes": num_classes,
            "label_smoothing": label_smoothing,
            "codebook": codebook,
            "seed": seed,
            "marginal": marginal,
        }
        self._targets = subclass_targets(bits, num_classes, codebook, seed)

    def call(self, y_true, y_pred):
        width = self._targets.shape[1]
        if len(y_pred.shape) != 2 or y_pred.shape[-1] != width:
            raise ValueError(
                f"DSHC takes the logits of all sub-classes, [n, {width}]. "
                f"Received: logits.shape={tuple(y_pred.shape)}"
            )
        if len(y_true.shape) == 2 and y_true.shape[-1] == 1:
            y_true = y_true[:, 0]
        if len(y_true.shape) != 1:
            raise ValueError(
                "DSHC takes one class an image, int labels of shape [n]; turn "
                "one-hot rows into ints with `argmax(axis=1)`, and use "
                "DSHCMultiLabel for several labels an image. "
                f"Received: labels.shape={tuple(y_true.shape)}"
            )
        y_true = ops.cast(y_true, "int32")
        if self.settings["marginal"]:
            return dshc_marginal(y_true, y_pred, self._targets)
        return dshc(
            y_true, y_pred, self._targets, self.settings["label_smoothing"]
        )

    def get_config(self):
        return {**super().get_config(), **self.settings}


@keras.saving.register_keras_serializable(package="keras_hash")
class DSHC(HashModel):
    """Deep supervised hashing by classification, one class an image.

    `model(x)` returns the logits of all sub-classes.

    Args:
        bits: int, code length. For CPBC a multiple of `num_classes`; at least
            three times as many, or a warning says what is lost. For KBC up to
            16.
        num_classes: int.
        backbone: see `HashModel`.
        input_shape: see `HashModel`.
        backbone_weights: see `HashModel`.
        codebook: `"cpbc"` (a block of bits a class) or `"kbc"` (k-means over
            all codes, for short ones), see `codebooks`.
        seed: int, for KBC.
        top_k: int, the code is the sign of the mean code of the `top_k` most
            probable sub-classes; bits that cancel out take those of the most
            probable one. Defaults to `1`, which the paper's figures support.
        label_smoothing: float in [0, 1), see `losses.DSHC`.
        marginal: bool, an extension, see `losses.DSHC`.
        name: str.

    Raises:
        ValueError: a code length that the code book cannot do, `top_k` out of
            range, or as `HashModel`.

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
        codebook="cpbc",
        seed=0,
        top_k=1,
        label_smoothing=0.0,
        marginal=False,
        name="dshc",
        **kwargs,
    ):
        codes, classes = codebooks.dshc_table(bits, num_classes, codebook, seed)
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
        self.settings = {
            "codebook": codebook,
            "seed": seed,
            "top_k": top_k,
            "label_smoothing": label_smoothing,
            "marginal": marginal,
        }
        self.head = keras.layers.Dense(
            len(codes), dtype="float32", name="subclasses"
        )
        self.codebook = codebooks.CodeBook(codes, classes, name="codebook")
        self._table = codes.astype("float32")
        self.finish()

    @property
    def class_sizes(self):
        """`int64 [num_classes]`, sub-classes of each class."""
        classes = ops.convert_to_numpy(self.codebook.classes)
        return np.bincount(classes, minlength=self.num_classes)

    def default_loss(self):
        settings = {k: v for k, v in self.settings.items() if k != "top_k"}
        return DSHCLoss(self.bits, self.num_classes, **settings)

    def outputs_to_codes(self, outputs):
        """The codes of the most probable sub-classes, `[n, bits]`."""
        return self._most_probable(outputs, self.codebook.codes)

    def codes_in_training(self, outputs):
        return self._most_probable(outputs, self._table)

    def _most_probable(self, outputs, book):
        top_k = self.settings["top_k"]
        _, best = ops.top_k(ops.convert_to_tensor(outputs), top_k)
        codes = ops.take(book, best, axis=0)
        mean = ops.mean(codes, axis=1)
        return ops.where(mean == 0, codes[:, 0], mean)


@keras.saving.register_keras_serializable(package="keras_hash")
class DSHCMultiLabelLoss(keras.losses.Loss):
    """The multi-label loss of DSHC: `Loss(labels, logits)`.

    Call arguments:
        labels: 0 and 1, `[n, num_classes]`.
        logits: float `[n, num_classes]`.

    Raises:
        ValueError: labels or logits of another shape.

    Reference: Luo et al. 2021, Eq. 3.
    """

    def __init__(
        self,
        reduction="sum_over_batch_size",
        name="dshc_multi_label",
        **kwargs,
    ):
        super().__init__(reduction=reduction, name=name, **kwargs)

    def call(self, y_true, y_pred):
        if len(y_true.shape) != 2 or y_true.shape[-1] != y_pred.shape[-1]:
            raise ValueError(
                "DSHCMultiLabel takes multi-hot labels of the shape of its "
                "logits, [n, num_classes]. Received: labels.shape="
                f"{tuple(y_true.shape)}, logits.shape={tuple(y_pred.shape)}"
            )
        return dshc_multi_label(y_true, y_pred)


@keras.saving.register_keras_serializable(package="keras_hash")
class DSHCMultiLabel(HashModel):
    """DSHC for several labels an image: one bit for each predicted label.

    Its codes are ranked by the number of labels that both predict, not by
    Hamming distance: evaluate and search them with `similarity="and"`.
    `model(x)` returns one logit a label.

    Args:
        num_classes: int, number of labels, which is the code length too.
        bits: `None`, or the same number.
        backbone: see `HashModel`.
        input_shape: see `HashModel`.
        backbone_weights: see `HashModel`.
        name: str.

    Raises:
        ValueError: `bits` differs from `num_classes`, or as `HashModel`.

    Reference: Luo et al., ICONIP 2021, sections 3.3 and 4.1.
    """

    similarity = "and"

    def __init__(
        self,
        num_classes,
        bits=None,
        backbone="small",
        input_shape=(32, 32, 3),
        backbone_weights=None,
        name="dshc_multi_label",
        **kwargs,
    ):
        if bits not in (None, num_classes):
            raise ValueError(
                "The multi-label code of DSHC has one bit a label: leave `bits`"
                f" out. Received: bits={bits}, num_classes={num_classes}"
            )
        super().__init__(
            bits=num_classes,
            num_classes=num_classes,
            backbone=backbone,
            input_shape=input_shape,
            backbone_weights=backbone_weights,
            name=name,
            **kwargs,
        )
        self.head = keras.layers.Dense(
            num_classes, dtype="float32", name="labels"
        )
        self.finish()

    def default_loss(self):
        return DSHCMultiLabelLoss()
