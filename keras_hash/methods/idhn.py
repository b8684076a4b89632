"""IDHN: improved deep hashing network, the successor of ISDH.

As ISDH: the cosine of the label vectors says how similar two images are. Pairs
between the ends are fitted by the squared error of the code similarity itself.

    t_ij = scale <u_i, u_j> / bits,  c_ij = cosine of the labels
    loss = mean_ij [log(1 + e^t) - c t if c is 0 or 1, else
                    gamma bits ((<u_i, u_j> + bits) / (2 bits) - c)^2]
           + lambda mean_ik ||u_ik| - 1|

When to use: several labels an image, where the degree of similarity matters.
Cost: one product of codes and one of labels a step, O(n^2 (bits + classes)).
Other code: DeepHash-pytorch puts the already halved product into the squared
error, whose target it then cannot reach, with about 190 times the weight.
Reference: Zhang et al., "Improved Deep Hashing with Soft Pairwise Similarity
for Multi-Label Image Retrieval", TMM 2020 (arXiv 1803.02987v3); constants from
the authors' code.
"""

from keras import ops

from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel
from keras_hash.methods.isdh import ends


def idhn(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    gamma=0.1,
    scale=5.0,
    quantization=0.1,
):
    """Likelihood of wholly similar or dissimilar pairs, regression of others.

    Args:
        gamma: float, weight of the regression: of pairs that share some
            labels, for each bit.
        scale: float, the largest logit.
        quantization: float, weight of the distance from the signs.
    """
    codes, ref_labels, ref_codes, _ = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    bits = codes.shape[-1]
    cosine = similarity.pairs(labels, ref_labels, similarity.cosine)
    product = codes @ ops.transpose(ref_codes) / bits
    hard = ends(cosine)
    soft = gamma * bits * ops.square((product + 1) / 2 - cosine)
    values = hard * _losses.nll(scale * product, cosine) + (1 - hard) * soft
    return ops.mean(values, axis=1) + quantization * _losses.to_sign(codes, 1)


class IDHNLoss(_losses.PairLoss):
    """The loss of IDHN on codes in -1..1."""

    function = staticmethod(idhn)
    positive = ("scale",)


class IDHN(HashModel):
    """Improved deep hashing network, for several labels an image."""

    loss_class = IDHNLoss
    activation = "softsign"
    augmentation = ()
