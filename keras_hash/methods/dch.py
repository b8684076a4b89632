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

import keras
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
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        codes: float `[n, bits]`.
        ref_labels: labels of the other side of the pairs; the batch by default.
        ref_codes: float `[m, bits]`, its codes.
        gamma: float, scale of the distribution, in bits.
        quantization: float, weight of the second term.

    Returns:
        float32 `[n]`.
    """
    codes, ref_labels, ref_codes, other = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    half = codes.shape[-1] / 2
    similar = similarity.pairs(labels, ref_labels)
    cosine = heads.unit(codes) @ ops.transpose(heads.unit(ref_codes))
    distance = ops.maximum(half * (1 - cosine), 1e-6)
    positive = similar * other
    balance = ops.sum(other) / ops.maximum(ops.sum(positive), 1)
    values = ops.where(
        similar > 0,
        balance * ops.log1p(distance / gamma),
        ops.log1p(gamma / distance),
    )
    pairs = _losses.weighted_mean(values, other)
    to_sign = ops.sum(heads.unit(ops.absolute(codes)), axis=1)
    gap = half * (1 - to_sign / (2 * half) ** 0.5)
    return pairs + quantization * ops.log1p(ops.relu(gap) / gamma)


@keras.saving.register_keras_serializable(package="keras_hash")
class DCHLoss(_losses.PairLoss):
    """The loss of DCH on real codes.

    Args:
        bits: int, code length.
        gamma: float, scale of the Cauchy distribution, in bits.
        quantization: float, weight of the quantisation term.
        name: str.
        **kwargs: see `_losses.CodeLoss`.

    Reference: Cao et al. 2018.
    """

    function = staticmethod(dch)

    def __init__(
        self, bits, gamma=20.0, quantization=0.1, name="dch", **kwargs
    ):
        settings = {"gamma": gamma, "quantization": quantization}
        super().__init__(bits, settings, name, **kwargs)


@keras.saving.register_keras_serializable(package="keras_hash")
class DCH(HashModel):
    """Deep Cauchy hashing, with one or several labels an image.

    Args:
        bits: int, code length.
        num_classes: int, number of classes or labels.
        gamma: float, see `losses.DCH`.
        quantization: float, see `losses.DCH`.
        **kwargs: see `HashModel`.

    Reference: Cao et al., CVPR 2018.
    """

    loss_class = DCHLoss

    def __init__(
        self, bits, num_classes, gamma=20.0, quantization=0.1, **kwargs
    ):
        super().__init__(bits, num_classes, **kwargs)
        self.settings = {"gamma": gamma, "quantization": quantization}
        self.head = heads.dense(bits, "tanh")
        self.finish()
