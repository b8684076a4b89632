"""DSH: deep supervised hashing.

A contrastive loss: similar codes are drawn together, dissimilar ones pushed
apart until they differ by a margin, and every real number is drawn to -1 or 1.

    D_ij = ||u_i - u_j||^2,  m = 2 bits
    loss = mean_ij [s D / 2 + (1 - s) max(0, m - D) / 2]
           + alpha mean_i sum_k ||u_ik| - 1|

When to use: small networks trained from scratch; no saturating activation.
Cost: one product of codes a step, O(n^2 bits).
Other code: the margin must follow the code length, a trap that users of the
authors' code report; here it does by default.
Reference: Liu et al., "Deep Supervised Hashing for Fast Image Retrieval", CVPR
2016.
"""

from keras import ops

from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dsh(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    margin=None,
    quantization=0.01,
):
    """Contrastive loss of pairs, and distance of codes from their signs.

    Args:
        margin: float, squared distance at which dissimilar codes are left
            alone; `None` for `2 * bits`.
        quantization: float, weight of the distance from the signs, a sum over
            bits.
    """
    codes, ref_labels, ref_codes, other = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    bits = codes.shape[-1]
    margin = 2 * bits if margin is None else margin
    similar = similarity.pairs(labels, ref_labels)
    distance = _losses.squared_distances(codes, ref_codes)
    apart = ops.relu(margin - distance)
    values = (similar * distance + (1 - similar) * apart) / 2
    pairs = _losses.weighted_mean(values, other)
    return pairs + quantization * bits * _losses.to_sign(codes, 1)


class DSHLoss(_losses.PairLoss):
    """The loss of DSH on real codes."""

    function = staticmethod(dsh)


class DSH(HashModel):
    """Deep supervised hashing, with one or several labels an image."""

    loss_class = DSHLoss
    augmentation = ("flip",)
