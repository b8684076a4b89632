"""SSDH: supervised semantics-preserving deep hashing.

DLBHC with two more terms: sigmoids should leave 0.5, and each code should have
as many ones as zeros.

    loss = mean_i CE(V a_i, y_i) - 1/2 mean_ik (a_ik - 1/2)^2
           + 1/2 mean_i (mean_k a_ik - 1/2)^2

When to use: as DLBHC, with codes that lose less in the threshold.
Cost: O(n classes bits) a step.
Other code: with several labels these share the target of the softmax evenly,
see DLBHC; the paper's form for them is not known for certain.
Reference: Yang, Lin and Chen, "Supervised Learning of Semantics-Preserving Hash
via Deep Convolutional Neural Networks", TPAMI 2017 (arXiv 1507.00101).
"""

from keras import ops

from keras_hash.methods import _losses
from keras_hash.methods.dlbhc import DLBHC
from keras_hash.methods.dlbhc import dlbhc


def ssdh(labels, outputs):
    """Classification, sigmoids away from 0.5, and balance within a code."""
    # A code in -1..1 is twice the sigmoid, less 1.
    centred = ops.cast(outputs["code"], "float32") / 2
    away = ops.mean(ops.square(centred), axis=1)
    balance = ops.square(ops.mean(centred, axis=1))
    return dlbhc(labels, outputs) - away / 2 + balance / 2


class SSDHLoss(_losses.CodeLoss):
    """The loss of SSDH on `{"code", "logits"}`."""

    function = staticmethod(ssdh)
    shown = ("logits",)


class SSDH(DLBHC):
    """Semantics-preserving hashing, with one or several labels an image."""

    loss_class = SSDHLoss
