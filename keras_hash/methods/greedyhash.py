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

import keras

from keras_hash import heads
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def greedyhash(labels, outputs, quantization=0.1):
    """Cross-entropy of a classifier on binary codes, and a cubic pull.

    Args:
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        outputs: dict with `code`, float `[n, bits]`, the real codes, and
            `logits`, float `[n, num_classes]`, of the classifier.
        quantization: float, weight of the pull.

    Returns:
        float32 `[n]`.
    """
    gap = _losses.to_sign(outputs["code"], 3)
    return _losses.cross_entropy(labels, outputs["logits"]) + quantization * gap


@keras.saving.register_keras_serializable(package="keras_hash")
class GreedyHashLoss(_losses.CodeLoss):
    """The loss of GreedyHash on `{"code", "logits"}`.

    Args:
        bits: int, code length, to be checked; `None` for any.
        quantization: float, weight of the cubic term.
        name: str.
        **kwargs: see `_losses.CodeLoss`.

    Reference: Su et al. 2018.
    """

    function = staticmethod(greedyhash)

    def __init__(
        self, bits=None, quantization=0.1, name="greedyhash", **kwargs
    ):
        super().__init__(bits, {"quantization": quantization}, name, **kwargs)


@keras.saving.register_keras_serializable(package="keras_hash")
class GreedyHash(HashModel):
    """Hashing through the sign, with one or several labels an image.

    Args:
        bits: int, code length.
        num_classes: int, number of classes or labels.
        quantization: float, see `losses.GreedyHash`.
        **kwargs: see `HashModel`.

    Reference: Su et al., NeurIPS 2018.
    """

    loss_class = GreedyHashLoss
    augmentation = ()

    def __init__(self, bits, num_classes, quantization=0.1, **kwargs):
        super().__init__(bits, num_classes, **kwargs)
        self.settings = {"quantization": quantization}
        self.head = heads.Classified(
            bits, num_classes, binary=True, use_bias=False
        )
        self.finish()
