"""DMSSPH: deep multilevel semantic similarity preserving hashing.

A reconstruction: only the abstract of the paper was at hand. Pairs are pulled
to a distance that follows from how many labels they share (the Jaccard
coefficient), directly rather than by triplets, which serves short codes.

    D_ij = ||u_i - u_j||^2,  m = 2 bits,  J_ij = Jaccard coefficient
    loss = mean_ij 1/2 [max(0, m - D) if J = 0, else |D - (1 - J) kappa m / 2|]
           + alpha mean_ik ||u_ik| - 1|

When to use: several labels an image, short codes, and the degree of similarity
matters.
Cost: one product of codes and one of labels a step, O(n^2 (bits + classes)).
Other code: none is published. The pull and the push of the second case are the
two hinges of the reconstruction with equal margins, which make an absolute
value.
Reference: Wu et al., "Deep Multilevel Semantic Similarity Preserving Hashing",
ICMR 2017 (abstract).
"""

from keras import ops

from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dmssph(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    level="jaccard",
    kappa=1.0,
    quantization=0.01,
):
    """Pairs at the distance of their similarity level.

    Args:
        level: how similar two images are: `"jaccard"`, or `"shared"`, the
            number of shared labels over the largest one among the pairs.
        kappa: float, how far apart barely similar codes may be: `kappa * bits`
            in squared distance, where dissimilar ones have `2 * bits`.
        quantization: float, weight of the distance from the signs.
    """
    codes, ref_labels, ref_codes, other = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    if level == "jaccard":
        level = similarity.pairs(labels, ref_labels, similarity.jaccard)
    else:
        level = similarity.pairs(labels, ref_labels, similarity.shared_count)
        level = level / ops.maximum(ops.max(level * other), 1)
        level = ops.minimum(level, 1)
    margin = 2 * codes.shape[-1]
    distance = _losses.squared_distances(codes, ref_codes)
    near = ops.absolute(distance - (1 - level) * kappa * margin / 2)
    far = ops.relu(margin - distance)
    values = ops.where(level > 0, near, far) / 2
    pairs = _losses.weighted_mean(values, other)
    return pairs + quantization * _losses.to_sign(codes, 1)


class DMSSPHLoss(_losses.PairLoss):
    """The loss of DMSSPH (reconstructed) on real codes."""

    function = staticmethod(dmssph)
    choices = {"level": ("jaccard", "shared")}


class DMSSPH(HashModel):
    """Multilevel semantic similarity preserving hashing (reconstructed)."""

    loss_class = DMSSPHLoss
