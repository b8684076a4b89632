"""MDSHC: minimal-distance-separated hash centres.

Every class has a centre, and no two centres are nearer than d, which the
Gilbert-Varshamov bound sets; on average they are as far apart as can be. Codes
classify by their cosines with the centres, and meet those of their class.

    v = tanh(a), P = softmax over classes of sqrt(bits) cos(v, h)
    loss = mean_i -sum_c [y log P + (1 - y) log(1 - P)]
           + pairs * mean over similar pairs log(1 + exp((1 - cos_ij) / 2))
           + quantization * mean_ik (|v_ik| - 1)^2
    d = smallest one with sum over i < d of C(bits, i) >= 2^bits / classes

When to use: many classes in few bits, where Hadamard centres do not suffice.
Cost: O(n classes bits + n^2 bits) a step, with a bank O(n bank bits).
Other code: the authors solve for centres by an optimisation of hours, and
average the first term over classes; here a search finds them in seconds
(`codebook="separated"`, for CSQ, DPN and OrthoHash as well), and the term is
summed, as in the paper. Their pairs are those with a memory bank from the tenth
epoch on; here those of the batch, or of `bank_size`, from the first one.
Reference: Wang et al., "Deep Hashing with Minimal-Distance-Separated Hash
Centers", CVPR 2023; constants from the authors' code.
"""

from keras import ops

from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods import _targets


def mdshc(
    labels,
    codes,
    centres,
    ref_labels=None,
    ref_codes=None,
    pairs=1.0,
    quantization=1e-4,
):
    """Cross-entropy of each class, similar pairs, and distance from signs.

    Args:
        pairs: float, weight of the similar pairs.
        quantization: float, weight of the distance from the signs.
    """
    codes, ref_labels, ref_codes, _ = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    hot = similarity.multi_hot(labels, centres.shape[0])
    logits = codes.shape[-1] ** 0.5 * heads.cosines(codes, centres)
    log_right = ops.log_softmax(logits, axis=1)
    right = ops.minimum(ops.exp(log_right), 1 - 1e-6)
    terms = hot * log_right + (1 - hot) * ops.log1p(-right)
    similar = similarity.pairs(labels, ref_labels)
    apart = ops.softplus((1 - heads.cosines(codes, ref_codes)) / 2)
    return (
        -ops.sum(terms, axis=1)
        + pairs * _losses.weighted_mean(apart, similar)
        + quantization * _losses.to_sign(codes)
    )


class MDSHCLoss(_targets.TargetLoss, _losses.PairLoss):
    """The loss of MDSHC on codes in -1..1."""

    function = staticmethod(mdshc)

    def prepare(self, num_classes, codebook="separated", seed=0):
        return super().prepare(num_classes, codebook, seed)


class MDSHC(_targets.TargetModel):
    """Centres with a minimal distance, with one or several labels an image."""

    loss_class = MDSHCLoss
    activation = "tanh"
