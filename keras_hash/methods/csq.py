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

import keras
import numpy as np
from keras import ops

from keras_hash import codebooks
from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods import _targets


def csq(labels, codes, centres, tie, quantization=0.05):
    """Cross-entropy of every bit against the centre, and distance from signs.

    Args:
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        codes: float `[n, bits]` in -1..1.
        centres: float `[num_classes, bits]` of +1 and -1.
        tie: float `[bits]` of +1 and -1, the target where centres of several
            labels cancel out.
        quantization: float, weight of the second term.

    Returns:
        float32 `[n]`; rows without labels have the second term alone.
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


@keras.saving.register_keras_serializable(package="keras_hash")
class CSQLoss(_targets.TargetLoss):
    """The loss of CSQ on codes in -1..1.

    Args:
        bits: int, code length.
        num_classes: int.
        codebook: centres, or the name of a construction, see
            `_targets.TargetLoss`.
        seed: int, of the construction and of the vector that breaks ties.
        quantization: float, weight of the distance from the signs.
        name: str.
        **kwargs: see `_losses.CodeLoss`.

    Reference: Yuan et al. 2020.
    """

    function = staticmethod(csq)

    def __init__(
        self,
        bits,
        num_classes,
        codebook="hadamard",
        seed=0,
        quantization=0.05,
        name="csq",
        **kwargs,
    ):
        settings = {"quantization": quantization}
        super().__init__(
            bits, num_classes, codebook, seed, settings, name, **kwargs
        )
        coins = np.random.RandomState(seed).randint(0, 2, bits)
        self.tie = (2.0 * coins - 1).astype("float32")

    def call(self, y_true, y_pred):
        self._check(y_true, y_pred)
        book = ops.convert_to_tensor(self.codebook)
        return csq(y_true, y_pred, book, self.tie, **self.settings)


@keras.saving.register_keras_serializable(package="keras_hash")
class CSQ(_targets.TargetModel):
    """Central similarity quantization, with one or several labels an image.

    Args:
        bits: int, code length.
        num_classes: int, number of classes or labels.
        codebook: see `losses.CSQ`.
        seed: int, see `losses.CSQ`.
        quantization: float, see `losses.CSQ`.
        **kwargs: see `HashModel`.

    Reference: Yuan et al., CVPR 2020.
    """

    loss_class = CSQLoss
    augmentation = ("crop",)

    def __init__(
        self,
        bits,
        num_classes,
        codebook="hadamard",
        seed=0,
        quantization=0.05,
        **kwargs,
    ):
        super().__init__(bits, num_classes, **kwargs)
        self.set_targets(codebook, seed, {"quantization": quantization})
        self.head = heads.dense(bits, "tanh")
        self.finish()
