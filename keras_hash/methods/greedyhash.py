"""GreedyHash: the sign itself in the forward pass.

A linear classifier sees the binary code; its gradient passes the sign function
unchanged (straight-through). A cubic term keeps real codes near -1 and 1.

    loss = mean_i CE(W sgn u_i, y_i) + alpha mean_ik ||u_ik| - 1|^3

When to use: classes are known and codes should classify as they are.
Cost: O(n classes bits) a step.
Other code: with several labels DeepHash-pytorch takes the first label only;
here they share the target evenly. alpha is 0.1 for CIFAR-10, the authors took 1
for ImageNet.
Reference: Su et al., "Greedy Hash: Towards Fast Optimization for Accurate Hash
Coding in CNN", NeurIPS 2018.
"""

from keras_hash import heads
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def greedyhash(labels, outputs, quantization=0.1):
    """Cross-entropy of a classifier on binary codes, and a cubic pull.

    Args:
        quantization: float, weight of the cubic pull to the signs.
    """
    gap = _losses.to_sign(outputs["code"], 3)
    return _losses.cross_entropy(labels, outputs["logits"]) + quantization * gap


class GreedyHashLoss(_losses.CodeLoss):
    """The loss of GreedyHash on `{"code", "logits"}`."""

    function = staticmethod(greedyhash)
    shown = ("logits",)


class GreedyHash(HashModel):
    """Hashing through the sign, with one or several labels an image."""

    loss_class = GreedyHashLoss
    augmentation = ()

    def add_head(self):
        self.head = heads.Classified(
            self.bits, self.num_classes, binary=True, use_bias=False
        )
