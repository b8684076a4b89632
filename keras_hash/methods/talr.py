"""TALR: hashing as tie-aware learning to rank.

Average precision, or NDCG, of every image against the rest of the batch, in its
closed form for rankings with ties, made differentiable by soft histograms of
the Hamming distances. The library measures with the same closed forms.

    d_ij = (bits - <u_i, u_j>) / 2, soft counts c_t at distances t
    AP = sum_t c+_t (C+_(t-1) + C+_t + 1) / (C_(t-1) + C_t + 1) / n+
    loss = 1 - mean AP, or 1 - mean NDCG

When to use: the metric itself is the aim; large batches (250) of few classes.
Cost: O(n^2 (bits + bins)) a step.
Other code: the authors' network ends in 2 sigmoid(g x) - 1 with a chosen g;
here g is 2, a tanh.
Reference: He et al., "Hashing as Tie-Aware Learning to Rank", CVPR 2018.
"""

from keras import ops

from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def talr(labels, codes, objective="ap", bins=None):
    """One minus the tie-aware AP or NDCG of a batch, relaxed.

    Rows without a similar image do not count.

    Args:
        objective: `"ap"`, or `"ndcg"` with gains `2^shared - 1`, for several
            labels an image.
        bins: int, bins of the histogram of distances; `None` for `bits // 2`.
    """
    codes = ops.cast(codes, "float32")
    bits = codes.shape[-1]
    bins = max(1, bits // 2) if bins is None else bins
    width = bits / bins
    others = 1 - ops.eye(ops.shape(codes)[0], dtype="float32")
    shared = others * similarity.pairs(labels, labels, similarity.shared_count)
    centres = ops.arange(bins + 1, dtype="float32") * width
    distance = _losses.hamming(codes, codes)[:, :, None]
    pulse = ops.relu(1 - ops.absolute(distance - centres) / width)
    pulse = pulse * others[:, :, None]

    def counts(weights):
        return ops.sum(pulse * weights[:, :, None], axis=1)

    count = counts(others)
    upto = ops.cumsum(count, axis=1)
    if objective == "ap":
        relevant = ops.minimum(shared, 1)
        hits = counts(relevant)
        hits_upto = ops.cumsum(hits, axis=1)
        precision = (2 * hits_upto - hits + 1) / (2 * upto - count + 1)
        ideal = ops.sum(relevant, axis=1)
        score = ops.sum(hits * precision, axis=1)
    else:
        gain = 2**shared - 1
        ideal = _losses.ideal_gain(gain)
        place = upto - count + (count + 1) / 2 + 1
        score = ops.sum(counts(gain) / ops.log(place), axis=1)
    valid = ops.cast(ideal > 0, "float32")
    score = score / ops.where(ideal > 0, ideal, 1.0)
    return _losses.weighted_mean(1 - score, valid)


class TALRLoss(_losses.CodeLoss):
    """The loss of TALR on codes in -1..1."""

    function = staticmethod(talr)
    choices = {"objective": ("ap", "ndcg")}


class TALR(HashModel):
    """Tie-aware learning to rank, with one or several labels an image."""

    loss_class = TALRLoss
    activation = "tanh"
