"""CSQ: central similarity quantization.

Every class has a centre, and centres are half of the code length apart (rows of
a Hadamard matrix). Codes learn their centre bit by bit; images with several
labels the majority vote of theirs.

    c = centre of the class, v = tanh(a)
    loss = mean_ik BCE((v_ik + 1) / 2, (c_ik + 1) / 2)
           + lambda mean_ik (|v_ik| - 1)^2

When to use: classes are known; converges fast, any number of classes.
Cost: O(n bits) a step beyond the network: no pairs.
Other code: the authors break ties of the vote by one random vector a run; here
it follows from the seed. DeepHash-pytorch takes the first label of some
multi-label sets only. The head is one layer here, three in the authors' code.
Reference: Yuan et al., "Central Similarity Quantization for Efficient Image and
Video Retrieval", CVPR 2020.
"""

import numpy as np
from keras import ops

from keras_hash import codebooks
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods import _targets


def csq(labels, codes, centres, tie, quantization=0.05):
    """Cross-entropy of every bit against the centre, and distance from signs.

    Where the centres of several labels cancel out, `tie`, `[bits]`, is the
    target. Rows without labels have the second term alone.

    Args:
        quantization: float, weight of the distance from the signs.
    """
    codes = ops.cast(codes, "float32")
    hot = similarity.multi_hot(labels, centres.shape[0])
    target = codebooks.majority(hot, centres, tie)
    # The probability of the right bit. A code of exactly -1 or 1 counts as
    # 1e-7 away from it.
    right = ops.clip((1 + target * codes) / 2, 1e-7, 1 - 1e-7)
    gap = _losses.to_sign(codes)
    labelled = ops.cast(ops.any(hot > 0, axis=1), "float32")
    fit = -ops.mean(ops.log(right), axis=1)
    return labelled * fit + quantization * gap


class CSQLoss(_targets.TargetLoss):
    """The loss of CSQ on codes in -1..1."""

    function = staticmethod(csq)

    def prepare(self, num_classes, codebook="hadamard", seed=0):
        """Draws the code book, and the vector that breaks ties.

        Args:
            seed: int, of the construction and of the vector that breaks ties.
        """
        coins = np.random.RandomState(seed).randint(0, 2, self.bits)
        return {
            **super().prepare(num_classes, codebook, seed),
            "tie": (2.0 * coins - 1).astype("float32"),
        }


class CSQ(_targets.TargetModel):
    """Central similarity quantization, with one or several labels an image."""

    loss_class = CSQLoss
    activation = "tanh"
    augmentation = ("crop",)
