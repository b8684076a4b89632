"""DLBHC: deep learning of binary hash codes.

A sigmoid layer between the network and a classifier: whatever classifies well
through it is thresholded into a code.

    a = sigmoid(W x),  loss = mean_i CE(V a_i, y_i)

When to use: as a baseline, the simplest supervised hash.
Cost: O(n classes bits) a step.
Other code: with several labels these share the target of the softmax evenly. A
binary cross-entropy for each of many rare labels pulls all codes to one side
(on the 260 words of Corel-5K every image then has the same code).
Reference: Lin et al., "Deep Learning of Binary Hash Codes for Fast Image
Retrieval", CVPR workshops 2015.
"""

import keras

from keras_hash import heads
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dlbhc(labels, outputs):
    """Cross-entropy of a classifier on sigmoid codes.

    Args:
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        outputs: dict with `code`, float `[n, bits]` in -1..1, and `logits`,
            float `[n, num_classes]`.

    Returns:
        float32 `[n]`.
    """
    return _losses.cross_entropy(labels, outputs["logits"])


@keras.saving.register_keras_serializable(package="keras_hash")
class DLBHCLoss(_losses.CodeLoss):
    """The loss of DLBHC on `{"code", "logits"}`.

    Args:
        bits: int, code length, to be checked; `None` for any.
        name: str.
        **kwargs: see `_losses.CodeLoss`.

    Reference: Lin et al. 2015
    """

    function = staticmethod(dlbhc)

    def __init__(self, bits=None, name="dlbhc", **kwargs):
        super().__init__(bits, {}, name, **kwargs)


@keras.saving.register_keras_serializable(package="keras_hash")
class DLBHC(HashModel):
    """Codes from a classifier's sigmoids, one or several labels an image.

    Args:
        bits: int, code length.
        num_classes: int, number of classes or labels.
        **kwargs: see `HashModel`.

    Reference: Lin et al., CVPR workshops 2015.
    """

    loss_class = DLBHCLoss

    def __init__(self, bits, num_classes, **kwargs):
        super().__init__(bits, num_classes, **kwargs)
        self.head = heads.Classified(bits, num_classes, "half_tanh")
        self.finish()
