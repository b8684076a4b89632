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

import keras
from keras import ops

from keras_hash import heads
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel
from keras_hash.methods.dlbhc import dlbhc


def ssdh(labels, outputs):
    """Classification, sigmoids away from 0.5, and balance within a code.

    Args:
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        outputs: dict with `code`, float `[n, bits]` in -1..1 (twice the
            sigmoid, less 1), and `logits`, float `[n, num_classes]`.

    Returns:
        float32 `[n]`.
    """
    centred = ops.cast(outputs["code"], "float32") / 2
    away = ops.mean(ops.square(centred), axis=1)
    balance = ops.square(ops.mean(centred, axis=1))
    return dlbhc(labels, outputs) - away / 2 + balance / 2


@keras.saving.register_keras_serializable(package="keras_hash")
class SSDHLoss(_losses.CodeLoss):
    """The loss of SSDH on `{"code", "logits"}`.

    Args:
        bits: int, code length, to be checked; `None` for any.
        name: str.
        **kwargs: see `_losses.CodeLoss`.

    Reference: Yang et al. 2017.
    """

    function = staticmethod(ssdh)

    def __init__(self, bits=None, name="ssdh", **kwargs):
        super().__init__(bits, {}, name, **kwargs)


@keras.saving.register_keras_serializable(package="keras_hash")
class SSDH(HashModel):
    """Semantics-preserving hashing, with one or several labels an image.

    Args:
        bits: int, code length.
        num_classes: int, number of classes or labels.
        **kwargs: see `HashModel`.

    Reference: Yang et al., TPAMI 2017.
    """

    loss_class = SSDHLoss

    def __init__(self, bits, num_classes, **kwargs):
        super().__init__(bits, num_classes, **kwargs)
        self.head = heads.Classified(bits, num_classes, "half_tanh")
        self.finish()
