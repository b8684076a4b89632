"""DCH: deep Cauchy hashing.

The probability of being similar falls with the Hamming distance as a Cauchy
distribution, which concentrates similar images within a small radius, and so
serves lookup in a Hamming ball.

    d_ij = (bits / 2) (1 - cos(u_i, u_j))
    loss = mean_ij w_ij [s log(1 + d / gamma) + (1 - s) log(1 + gamma / d)]
           + lambda mean_i log(1 + d(|u_i|, 1) / gamma),
    w_ij = |S| / |S1| for similar pairs, 1 for dissimilar

When to use: search by a radius of 2 or so, rather than by rank.
Cost: one product of codes a step, O(n^2 bits).
Other code: a form that needs no logarithm of a distance of zero; images of a
batch are not paired with themselves. gamma is 10 to 20 elsewhere; the weight of
the second term is this library's choice.
Reference: Cao et al., "Deep Cauchy Hashing for Hamming Space Retrieval", CVPR
2018.
"""

from keras import ops

from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dch(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    gamma=20.0,
    quantization=0.1,
):
    """Cauchy cross-entropy of pairs, and Cauchy quantisation.

    Args:
        gamma: float, scale of the Cauchy distribution, in bits.
        quantization: float, weight of the quantisation term.
    """
    codes, ref_labels, ref_codes, other = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    half = codes.shape[-1] / 2
    similar = similarity.pairs(labels, ref_labels)
    cosine = heads.cosines(codes, ref_codes)
    distance = ops.maximum(half * (1 - cosine), 1e-6)
    positive = similar * other
    balance = ops.sum(other) / ops.maximum(ops.sum(positive), 1)
    # One logarithm of each pair, which is most of the work against a bank.
    ratio = ops.where(similar > 0, distance / gamma, gamma / distance)
    values = ops.where(similar > 0, balance, 1.0) * ops.log1p(ratio)
    pairs = _losses.weighted_mean(values, other)
    ones = ops.ones((1, codes.shape[-1]), "float32")
    gap = half * (1 - heads.cosines(ops.absolute(codes), ones)[:, 0])
    return pairs + quantization * ops.log1p(ops.relu(gap) / gamma)


class DCHLoss(_losses.PairLoss):
    """The loss of DCH on real codes."""

    function = staticmethod(dch)
    positive = ("gamma",)


class DCH(HashModel):
    """Deep Cauchy hashing, with one or several labels an image."""

    loss_class = DCHLoss
    activation = "tanh"
