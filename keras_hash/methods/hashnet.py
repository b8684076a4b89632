"""HashNet: deep hashing by continuation.

Codes are `tanh(beta a)` with a beta that grows while training, so that the
limit is the sign itself and no quantisation term is needed. Pairs are weighted
against the imbalance of few similar and many dissimilar ones.

    t_ij = (10 / bits) <z_i, z_j>
    loss = sum_ij w_ij [log(1 + e^t_ij) - s_ij t_ij] / sum_ij w_ij
    w_ij = c_ij |S| / |S1| for similar pairs, c_ij |S| / |S0| for dissimilar

When to use: similar pairs are rare (many classes, many labels).
Cost: one product of codes and one of labels a step, O(n^2 (bits + classes)).
Other code: the authors' multiplies positives by a constant for each dataset
(100, 5, 1), and in Caffe the gradient by the squared cosine of the labels,
which `weights="cosine"` follows. The Jaccard form is that of the paper as it is
remembered, not confirmed. Images of a batch are not paired with themselves.
Reference: Cao et al., "HashNet: Deep Learning to Hash by Continuation", ICCV
2017.
"""

from keras import ops

from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def hashnet(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    scale=None,
    weights="jaccard",
):
    """Weighted likelihood of pairs.

    Args:
        scale: float, of the inner product; `None` for `10 / bits`.
        weights: what similar pairs are weighted by: `"jaccard"` (dissimilar
            ones by 1), `"cosine"`, squared (dissimilar ones by 1/4), or `None`
            for the class balance alone.
    """
    codes, ref_labels, ref_codes, other = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    similar = similarity.pairs(labels, ref_labels)
    scale = 10 / codes.shape[-1] if scale is None else scale
    product = scale * codes @ ops.transpose(ref_codes)
    positive, negative = similar * other, (1 - similar) * other
    total = ops.sum(other)
    weight = positive * total / ops.maximum(ops.sum(positive), 1)
    contrast = negative * total / ops.maximum(ops.sum(negative), 1)
    # Of class numbers it is 1 for all similar pairs.
    if weights == "jaccard" and len(labels.shape) > 1:
        weight *= similarity.pairs(labels, ref_labels, similarity.jaccard)
    if weights == "cosine":
        cosine = similarity.pairs(labels, ref_labels, similarity.cosine)
        weight, contrast = weight * ops.square(cosine), contrast / 4
    likelihood = _losses.nll(product, similar)
    return _losses.weighted_mean(likelihood, weight + contrast)


class HashNetLoss(_losses.PairLoss):
    """The loss of HashNet on codes in -1..1."""

    function = staticmethod(hashnet)
    positive = ("scale",)
    choices = {"weights": ("jaccard", "cosine", None)}


class HashNet(HashModel):
    """Deep hashing by continuation, with one or several labels an image."""

    loss_class = HashNetLoss

    def add_head(self):
        self.head = heads.Continuation(self.bits)
