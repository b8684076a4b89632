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
from keras_hash.codes import check_int
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dshc(labels, logits, targets, label_smoothing=0.0, marginal=False):
    """Cross-entropy against all sub-classes of the true class (Eq. 2).

    A row of targets need not sum to one, so the loss is computed as
    `-sum(target * log_softmax(logits))`: library operations that assume it
    return a wrong gradient here. Its minimum spreads the probability evenly
    over the sub-classes of the true class; nothing in it prefers one of them.

    Args:
        label_smoothing: float in [0, 1), share of the target of each class
            that is spread over all sub-classes. Not in the paper.
        marginal: bool, whether to use `-log` of the class probability in place
            of Eq. 2, an extension.
    """
    labels = ops.reshape(ops.cast(labels, "int32"), (-1,))
    if marginal:
        return dshc_marginal(labels, logits, targets)
    log_p = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    totals = ops.sum(targets, axis=1, keepdims=True) / targets.shape[1]
    targets = (1 - label_smoothing) * targets + label_smoothing * totals
    return -ops.sum(ops.take(targets, labels, axis=0) * log_p, axis=-1)


def dshc_marginal(labels, logits, members):
    """`-log` of the probability of the true class, over its sub-classes.

    An extension that is not in the paper: it leaves the network free to choose
    among the sub-classes of a class, where `members` is positive.
    """
    logits = ops.cast(logits, "float32")
    outside = ops.where(members > 0, 0.0, -1e9)
    masked = logits + ops.take(outside, labels, axis=0)
    return ops.logsumexp(logits, axis=-1) - ops.logsumexp(masked, axis=-1)


def dshc_multi_label(labels, logits):
    """Multi-label soft margin: mean binary cross-entropy over labels (Eq. 3).

    The paper writes labels of -1 and 1, with which the formula is unbounded
    below; it is meant for 0 and 1.
    """
    logits = ops.cast(logits, "float32")
    labels = ops.cast(labels, "float32")
    return ops.mean(ops.softplus(logits) - labels * logits, axis=-1)


def subclass_targets(bits, num_classes, codebook="cpbc", seed=0):
    """The targets of Eq. 2, `float32 [num_classes, sub-classes]`.

    `1 / H` with `H = bits / num_classes` for CPBC; one over the number of its
    sub-classes for a class of KBC, where H has no meaning.
    """
    _, classes = codebooks.dshc_table(bits, num_classes, codebook, seed)
    own = (classes == np.arange(num_classes)[:, None]).astype("float32")
    if codebook == "cpbc":
        return own * (num_classes / bits)
    return own / own.sum(axis=1, keepdims=True)


class DSHCLoss(_losses.CodeLoss):
    """The loss of DSHC on the logits of all sub-classes.

    Call arguments:
        y_true: int `[n]`.
        y_pred: float `[n, size]`, a logit for each sub-class; CPBC has
            `num_classes * (bits + 1)`.
        sample_weight: optional float `[n]`.
    """

    function = staticmethod(dshc)

    def prepare(self, num_classes, codebook="cpbc", seed=0):
        """The targets of each class.

        Args:
            num_classes: int.
            codebook: `"cpbc"` (a block of bits a class) or `"kbc"` (k-means
                over all codes, for short ones), see `codebooks`.
            seed: int, for KBC.
        """
        smoothing = self.settings["label_smoothing"]
        marginal = self.settings["marginal"]
        if not 0 <= smoothing < 1 or (marginal and smoothing):
            raise ValueError(
                "`label_smoothing` should be in [0, 1), and 0 with `marginal`. "
                f"Received: label_smoothing={smoothing}, marginal={marginal}"
            )
        return {
            "targets": subclass_targets(self.bits, num_classes, codebook, seed)
        }

    def check(self, labels, outputs):
        width = self.prepared["targets"].shape[1]
        if len(outputs.shape) != 2 or outputs.shape[-1] != width:
            raise ValueError(
                f"DSHC takes the logits of all sub-classes, [n, {width}]. "
                f"Received: logits.shape={tuple(outputs.shape)}"
            )
        if len(labels.shape) != 1 and tuple(labels.shape[1:]) != (1,):
            raise ValueError(
                "DSHC takes one class an image, int labels of shape [n]; turn "
                "one-hot rows into ints with `argmax(axis=1)`, and use "
                "DSHCMultiLabel for several labels an image. "
                f"Received: labels.shape={tuple(labels.shape)}"
            )


class DSHC(HashModel):
    """Deep supervised hashing by classification, one class an image.

    `model(x)` returns the logits of all sub-classes.

    Args:
        bits: int, code length. For CPBC a multiple of `num_classes`; at least
            three times as many, or a warning says what is lost. For KBC up to
            16.

    Raises:
        ValueError: a code length that the code book cannot do, `top_k` out of
            range, or as `HashModel`.

    Example:

    >>> model = keras_hash.models.DSHC(bits=30, num_classes=10)
    >>> model.compile("adam")
    >>> model.fit(images, labels)
    >>> codes = model.encode(images)
    """

    loss_class = DSHCLoss
    nests = False
    magnitudes = False

    def add_head(self, codebook, seed, top_k=1, runner_up=None):
        """A logit for each sub-class, and the codes of all of them.

        Args:
            top_k: int, the code is the sign of the mean code of the `top_k`
                most probable sub-classes; bits that cancel out take those of
                the most probable one. The paper's figures support 1.
            runner_up: float below 0.5: where the second most probable class
                has a higher probability, the code is the sub-class of the first
                one that is nearest to it and farthest from all others (with
                CPBC a flipped bit in its block), else the centre. An
                extension: the loss prefers no sub-class of a class, so that a
                bit is free to say what else the image may be. `None`, the
                default, for the paper's rule.
        """
        table, classes = codebooks.dshc_table(
            self.bits, self.num_classes, codebook, seed
        )
        # Not more than there are sub-classes.
        check_int(top_k, "top_k", 1, len(table))
        if runner_up is not None and (top_k > 1 or runner_up >= 0.5):
            raise ValueError(
                "`runner_up` should be below 0.5, and takes the place of "
                f"`top_k`. Received: runner_up={runner_up}, top_k={top_k}"
            )
        self.head = keras.layers.Dense(
            len(table), dtype="float32", name="subclasses"
        )
        self.codebook = codebooks.CodeBook(table, classes, name="codebook")
        self._table = table.astype("float32")
        self._own = np.eye(self.num_classes, dtype="float32")[classes]
        self._nearest = codebooks.nearest_to(table, classes)

    @property
    def class_sizes(self):
        """`int64 [num_classes]`, sub-classes of each class."""
        classes = ops.convert_to_numpy(self.codebook.classes)
        return np.bincount(classes, minlength=self.num_classes)

    def outputs_to_codes(self, outputs):
        """The codes of the most probable sub-classes, `[n, bits]`."""
        return self._most_probable(outputs, self.codebook.codes)

    def codes_in_training(self, outputs):
        return self._most_probable(outputs, self._table)

    def _most_probable(self, outputs, book):
        outputs = ops.convert_to_tensor(outputs)
        if self.settings["runner_up"] is not None:
            return ops.take(book, self._with_runner_up(outputs), axis=0)
        _, best = ops.top_k(outputs, self.settings["top_k"])
        found = ops.take(book, best, axis=0)
        mean = ops.mean(found, axis=1)
        return ops.where(mean == 0, found[:, 0], mean)

    def _with_runner_up(self, outputs):
        """The places of codes that say which class comes second."""
        of_classes = ops.softmax(ops.cast(outputs, "float32")) @ self._own
        shares, places = ops.top_k(of_classes, 2)
        first, second = places[:, 0], places[:, 1]
        likely = shares[:, 1] > self.settings["runner_up"]
        other = ops.where(likely, second, first)
        nearest = ops.reshape(ops.convert_to_tensor(self._nearest), (-1,))
        return ops.take(nearest, first * self.num_classes + other, axis=0)


class DSHCMultiLabelLoss(_losses.CodeLoss):
    """The loss of DSHC for several labels an image, on a logit a label.

    Call arguments:
        y_true: 0 and 1, `[n, num_classes]`.
        y_pred: float `[n, num_classes]`.
        sample_weight: optional float `[n]`.
    """

    function = staticmethod(dshc_multi_label)

    def check(self, labels, outputs):
        if len(labels.shape) != 2 or labels.shape[-1] != outputs.shape[-1]:
            raise ValueError(
                "DSHCMultiLabel takes multi-hot labels of the shape of its "
                "logits, [n, num_classes]. Received: labels.shape="
                f"{tuple(labels.shape)}, logits.shape={tuple(outputs.shape)}"
            )


class DSHCMultiLabel(HashModel):
    """DSHC for several labels an image: one bit for each predicted label.

    Its codes are ranked by the number of labels that both predict, not by
    Hamming distance: evaluate and search them with `similarity="and"`.
    `model(x)` returns one logit a label.

    Args:
        bits: int, the number of labels; `None` for `num_classes`.
        num_classes: int, the same number; `None` for `bits`.

    Raises:
        ValueError: `bits` differs from `num_classes`, or as `HashModel`.
    """

    loss_class = DSHCMultiLabelLoss
    nests = False
    magnitudes = False
    similarity = "and"

    def __init__(self, bits=None, num_classes=None, **kwargs):
        bits = num_classes if bits is None else bits
        num_classes = bits if num_classes is None else num_classes
        if bits != num_classes:
            raise ValueError(
                "The multi-label code of DSHC has one bit a label: leave `bits`"
                f" out. Received: bits={bits}, num_classes={num_classes}"
            )
        super().__init__(bits, num_classes, **kwargs)
        self.finish()

    def add_head(self):
        self.head = keras.layers.Dense(
            self.num_classes, dtype="float32", name="labels"
        )
