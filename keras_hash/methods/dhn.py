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

import numpy as np
from keras import ops

from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dhn(labels, codes, ref_labels=None, ref_codes=None, quantization=0.2):
    """Likelihood of pairs, and log cosh of the distance from the signs.

    Args:
        quantization: float, weight of the distance from the signs, a mean over
            bits.
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


class DHNLoss(_losses.PairLoss):
    """The loss of DHN on codes in -1..1."""

    function = staticmethod(dhn)


class DHN(HashModel):
    """Deep hashing network, with one or several labels an image."""

    loss_class = DHNLoss
    activation = "tanh"
