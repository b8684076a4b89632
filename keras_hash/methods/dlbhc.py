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

from keras_hash import heads
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dlbhc(labels, outputs):
    """Cross-entropy of a classifier on sigmoid codes."""
    return _losses.cross_entropy(labels, outputs["logits"])


class DLBHCLoss(_losses.CodeLoss):
    """The loss of DLBHC on `{"code", "logits"}`."""

    function = staticmethod(dlbhc)
    shown = ("logits",)


class DLBHC(HashModel):
    """Codes from a classifier's sigmoids, one or several labels an image."""

    loss_class = DLBHCLoss

    def add_head(self):
        self.head = heads.Classified(self.bits, self.num_classes, "half_tanh")
