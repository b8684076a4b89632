"""OrthoHash: one loss for all, deep hashing with a single cosine objective.

A classifier whose weights are fixed random codes: the cosine of an image's code
with the code of each class is its logit. Large cosines mean small Hamming
distances and little quantisation at once.

    logit_c = scale (cos(v, t_c) - margin [c is a label])
    loss = mean_i cross-entropy of softmax(logit_i) against y_i / sum y_i

When to use: a strong default where classes are known, with one or several
labels.
Cost: O(n classes bits) a step.
Other code: the paper has scale = sqrt(bits), which is the default here; the
authors' code 8.
Reference: Hoe et al., "One Loss for All: Deep Hashing with a Single Cosine
Similarity based Learning Objective", NeurIPS 2021.
"""

from keras import ops

from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods import _targets


def orthohash(labels, codes, centres, margin=0.2, scale=None):
    """Cross-entropy of cosines with fixed codes, less a margin.

    Rows without labels have 0.

    Args:
        margin: float, taken off the cosine of every true label.
        scale: float, of the logits; `None` for `sqrt(bits)`.
    """
    codes = ops.cast(codes, "float32")
    scale = codes.shape[-1] ** 0.5 if scale is None else scale
    cosine = heads.cosines(codes, centres)
    hot = similarity.multi_hot(labels, centres.shape[0])
    return _losses.cross_entropy(hot, scale * (cosine - margin * hot))


class OrthoHashLoss(_targets.TargetLoss):
    """The loss of OrthoHash on real codes."""

    function = staticmethod(orthohash)
    positive = ("scale",)


class OrthoHash(_targets.TargetModel):
    """Hashing by one cosine objective, with one or several labels an image."""

    loss_class = OrthoHashLoss

    def add_head(self):
        self.head = heads.Normalised(self.bits)
