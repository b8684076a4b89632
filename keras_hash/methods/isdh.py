"""ISDH: instance similarity deep hashing.

Similarity is the cosine of the label vectors, so that images which share some
labels lie between those that share all and none. Pairs at the ends are fitted
by likelihood, pairs between by regression.

    t_ij = scale <u_i, u_j> / bits,  c_ij = cosine of the labels
    loss = mean_ij [gamma (log(1 + e^t) - c t) if c is 0 or 1, else
                    (c - sigmoid(t))^2] + lambda mean_ik ||u_ik| - 1|

When to use: several labels an image, where the degree of similarity matters
(NDCG, ACG).
Cost: one product of codes and one of labels a step, O(n^2 (bits + classes)).
Other code: DeepHash-pytorch's ISDH multiplies the product by 0.5 where the
authors have 5 / bits.
Reference: Zhang et al., "Instance Similarity Deep Hashing for Multi-Label Image
Retrieval", arXiv 1803.02987v1; constants from the authors' code.
"""

from keras import ops

from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def isdh(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    gamma=10.0,
    scale=5.0,
    quantization=0.1,
):
    """Likelihood of wholly similar or dissimilar pairs, regression of others.

    Args:
        gamma: float, weight of the likelihood: of pairs that share all labels
            or none.
        scale: float, the largest logit.
        quantization: float, weight of the distance from the signs.
    """
    codes, ref_labels, ref_codes, _ = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    cosine = similarity.pairs(labels, ref_labels, similarity.cosine)
    product = codes @ ops.transpose(ref_codes) * (scale / codes.shape[-1])
    hard = ends(cosine)
    soft = ops.square(cosine - ops.sigmoid(product))
    values = hard * gamma * _losses.nll(product, cosine) + (1 - hard) * soft
    return ops.mean(values, axis=1) + quantization * _losses.to_sign(codes, 1)


def ends(cosine):
    """Which pairs share all labels or none, as 0 and 1."""
    return ops.cast((cosine > 0.99) | (cosine < 0.01), "float32")


class ISDHLoss(_losses.PairLoss):
    """The loss of ISDH on codes in -1..1."""

    function = staticmethod(isdh)
    positive = ("scale",)


class ISDH(HashModel):
    """Instance similarity deep hashing, for several labels an image."""

    loss_class = ISDHLoss
    activation = "softsign"
    augmentation = ()
