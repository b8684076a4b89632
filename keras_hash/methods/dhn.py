"""DHN: deep hashing network.

The likelihood of similar pairs under a logistic model of the inner product, on
codes that are bounded by tanh, with a smooth (log cosh) pull towards their
signs.

    t_ij = <z_i, z_j>,  z = tanh(a)
    loss = mean_ij [log(1 + e^t_ij) - s_ij t_ij]
           + eta mean_ik log cosh(|z_ik| - 1)

When to use: as DPSH; its bounded codes need no care for their size, but the
unscaled product saturates early with many bits.
Cost: one product of codes a step, O(n^2 bits).
Other code: the authors' is followed: no factor 1/2, the diagonal counted, eta
0.2. thulab's version weights classes and takes the cosine; DeepHash-pytorch
halves the product.
Reference: Zhu et al., "Deep Hashing Network for Efficient Similarity
Retrieval", AAAI 2016; constants from the authors' code.
"""

import keras
import numpy as np
from keras import ops

from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dhn(labels, codes, ref_labels=None, ref_codes=None, quantization=0.2):
    """Likelihood of pairs, and log cosh of the distance from the signs.

    Args:
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        codes: float `[n, bits]` in -1..1.
        ref_labels: labels of the other side of the pairs; the batch by default.
        ref_codes: float `[m, bits]`, its codes.
        quantization: float, weight of the second term (a mean over bits).

    Returns:
        float32 `[n]`.
    """
    codes, ref_labels, ref_codes, _ = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    similar = similarity.pairs(labels, ref_labels)
    product = codes @ ops.transpose(ref_codes)
    likelihood = ops.mean(_losses.nll(product, similar), axis=1)
    gap = ops.absolute(ops.absolute(codes) - 1)
    # log cosh x, without the overflow of cosh.
    smooth = gap + ops.softplus(-2 * gap) - np.log(2)
    return likelihood + quantization * ops.mean(smooth, axis=1)


@keras.saving.register_keras_serializable(package="keras_hash")
class DHNLoss(_losses.PairLoss):
    """The loss of DHN on codes in -1..1.

    Args:
        bits: int, code length.
        quantization: float, weight of the distance from the signs.
        name: str.
        **kwargs: see `_losses.CodeLoss`.

    Reference: Zhu et al. 2016.
    """

    function = staticmethod(dhn)

    def __init__(self, bits, quantization=0.2, name="dhn", **kwargs):
        super().__init__(bits, {"quantization": quantization}, name, **kwargs)


@keras.saving.register_keras_serializable(package="keras_hash")
class DHN(HashModel):
    """Deep hashing network, with one or several labels an image.

    Args:
        bits: int, code length.
        num_classes: int, number of classes or labels.
        quantization: float, see `losses.DHN`.
        **kwargs: see `HashModel`.

    Reference: Zhu et al., AAAI 2016.
    """

    loss_class = DHNLoss

    def __init__(self, bits, num_classes, quantization=0.2, **kwargs):
        super().__init__(bits, num_classes, **kwargs)
        self.settings = {"quantization": quantization}
        self.head = heads.dense(bits, "tanh")
        self.finish()
