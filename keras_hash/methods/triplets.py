"""All triplets of a batch: an image, a similar one and a dissimilar one."""

from keras import ops

from keras_hash import similarity
from keras_hash.methods import terms


def triplet_mean(function, measure, labels, ref_labels, other):
    """Rows whose mean is the mean over all valid triplets.

    Args:
        function: from the measure of an image with a similar and with a
            dissimilar one, two tensors that broadcast, to the loss.
        measure: float `[n, m]`, of all pairs.
        labels: labels of the batch, `n` anchors.
        ref_labels: labels of the `m` other images.
        other: float `[n, m]`, 1 where a pair joins different images.

    Returns:
        float32 `[n]`; zeros where no triplet is valid.
    """
    similar = similarity.pairs(labels, ref_labels)
    valid = (similar * other)[:, :, None] * (1 - similar)[:, None, :]
    losses = function(measure[:, :, None], measure[:, None, :])
    return terms.weighted_mean(losses, valid)


def distances(codes, ref_codes):
    """Hamming distances between real codes, relaxed.

    Args:
        codes: float `[n, bits]`.
        ref_codes: float `[m, bits]`.

    Returns:
        float `[n, m]`, in bits.
    """
    return (codes.shape[-1] - codes @ ops.transpose(ref_codes)) / 2
