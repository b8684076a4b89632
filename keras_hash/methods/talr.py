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

import keras
from keras import ops

from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def talr(labels, codes, objective="ap", bins=None):
    """One minus the tie-aware AP or NDCG of a batch, relaxed.

    Args:
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        codes: float `[n, bits]` in -1..1.
        objective: `"ap"`, or `"ndcg"` with gains `2^shared - 1`.
        bins: int, bins of the histogram; `bits // 2` by default.

    Returns:
        float32 `[n]`, whose mean is the loss; rows without a similar image do
        not count.
    """
    codes = ops.cast(codes, "float32")
    bits = codes.shape[-1]
    bins = max(1, bits // 2) if bins is None else bins
    width = bits / bins
    others = 1 - ops.eye(ops.shape(codes)[0], dtype="float32")
    shared = others * similarity.pairs(labels, labels, similarity.shared_count)
    centres = ops.arange(bins + 1, dtype="float32") * width
    distance = _losses.distances(codes, codes)[:, :, None]
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
        ranks = ops.arange(2, ops.shape(gain)[1] + 2, dtype="float32")
        ideal = ops.sum(-ops.sort(-gain, axis=1) / ops.log(ranks), axis=1)
        place = upto - count + (count + 1) / 2 + 1
        score = ops.sum(counts(gain) / ops.log(place), axis=1)
    valid = ops.cast(ideal > 0, "float32")
    score = score / ops.where(ideal > 0, ideal, 1.0)
    return _losses.weighted_mean(1 - score, valid)


@keras.saving.register_keras_serializable(package="keras_hash")
class TALRLoss(_losses.CodeLoss):
    """The loss of TALR on codes in -1..1.

    Args:
        bits: int, code length.
        objective: `"ap"` or `"ndcg"`.
        bins: int, bins of the histogram; `None` for `bits // 2`.
        name: str.
        **kwargs: see `_losses.CodeLoss`.

    Raises:
        ValueError: `objective` is something else.

    Reference: He et al. 2018.
    """

    function = staticmethod(talr)

    def __init__(self, bits, objective="ap", bins=None, name="talr", **kwargs):
        if objective not in ("ap", "ndcg"):
            raise ValueError(
                "`objective` should be 'ap' or 'ndcg'. "
                f"Received: objective={objective!r}"
            )
        settings = {"objective": objective, "bins": bins}
        super().__init__(bits, settings, name, **kwargs)


@keras.saving.register_keras_serializable(package="keras_hash")
class TALR(HashModel):
    """Tie-aware learning to rank, with one or several labels an image.

    Args:
        bits: int, code length.
        num_classes: int, number of classes or labels.
        objective: `"ap"`, or `"ndcg"` for several labels an image.
        bins: int, see `losses.TALR`.
        **kwargs: see `HashModel`.

    Reference: He et al., CVPR 2018.
    """

    loss_class = TALRLoss

    def __init__(self, bits, num_classes, objective="ap", bins=None, **kwargs):
        super().__init__(bits, num_classes, **kwargs)
        self.settings = {"objective": objective, "bins": bins}
        self.head = heads.dense(bits, "tanh")
        self.finish()
