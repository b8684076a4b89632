"""HyP2: hybrid proxy-pair hashing.

Every label has a learned proxy. Codes come near the proxies of their labels,
stay away from the others by what a good code of that length allows, and images
with several labels that share none are kept apart directly.

    loss = mean over labels (1 - cos(u_i, p_c))
           + mean over other classes max(0, cos(u_i, p_c) - zeta)
           + beta mean over pairs without a shared label max(0, cos - zeta)
    zeta = 1 - 2 d / bits, d = largest known distance of 2^k >= classes codes

When to use: several labels an image; among the strongest of the modern ones.
Cost: O(n classes bits + n^2 bits) a step.
Other code: pairs enter only where both images have more than one label, as in
the authors' code. Distances beyond their table follow from the Griesmer bound.
Reference: Xu et al., "HyP^2 Loss: Beyond Hypersphere Metric Space for
Multi-label Image Retrieval", MM 2022.
"""

import math

from keras import ops

from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel

# Best known minimum distance of binary linear codes, by length and dimension
# (code tables; the authors' list, and dimension 9).
_DISTANCES = {
    12: {4: 6, 5: 4, 6: 4, 7: 4, 9: 2},
    16: {4: 8, 5: 8, 6: 6, 7: 6, 9: 4},
    24: {4: 12, 5: 12, 6: 10, 7: 10, 9: 8},
    32: {4: 16, 5: 16, 6: 16, 7: 14, 9: 12},
    36: {4: 18, 5: 17, 6: 16, 7: 16},
    48: {4: 24, 5: 24, 6: 24, 7: 22, 9: 20},
    64: {4: 33, 5: 32, 6: 32, 7: 32, 9: 28},
    128: {4: 68, 5: 64, 6: 64, 7: 64},
}


def code_distance(bits, num_classes):
    """The best known minimum distance of a linear code of so many words; beyond
    the table the largest that the Griesmer bound allows, at least 1."""
    dimension = max(1, (num_classes - 1).bit_length())
    known = _DISTANCES.get(bits, {}).get(dimension)
    if known is not None:
        return known
    # Griesmer: bits >= sum of ceil(d / 2^i) for i below the dimension.
    distance = bits
    while distance > 1 and bits < sum(
        math.ceil(distance / 2**i) for i in range(dimension)
    ):
        distance -= 1
    return distance


def hyp2(labels, outputs, zeta, beta=0.5):
    """Proxy loss and pair loss, on cosines.

    Dissimilar ones with a cosine below `zeta` are left alone.

    Args:
        beta: float, weight of pairs of images.
    """
    cosines = ops.cast(outputs["logits"], "float32")
    hot = similarity.multi_hot(labels, cosines.shape[-1])
    near = _losses.weighted_mean(1 - cosines, hot)
    far = _losses.weighted_mean(ops.relu(cosines - zeta), 1 - hot)
    codes = ops.cast(outputs["code"], "float32")
    several = ops.cast(ops.sum(hot, axis=1) > 1, "float32")
    apart = several[:, None] * several * (1 - similarity.pairs(hot, hot))
    between = ops.relu(heads.cosines(codes, codes) - zeta)
    return near + far + beta * _losses.weighted_mean(between, apart)


class HyP2Loss(_losses.CodeLoss):
    """The loss of HyP2 on `{"code", "logits"}`, where logits are cosines."""

    function = staticmethod(hyp2)
    shown = ("logits",)

    def prepare(self, num_classes):
        """The cosine of codes as far apart as they can be.

        Args:
            num_classes: int; sets `zeta` with the code length.
        """
        distance = code_distance(self.bits, num_classes)
        return {"zeta": 1 - 2 * distance / self.bits}


class HyP2(HashModel):
    """Hybrid proxy-pair hashing, with one or several labels an image."""

    loss_class = HyP2Loss

    def add_head(self):
        self.head = heads.Proxies(self.bits, self.num_classes)
