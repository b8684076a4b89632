"""DPSH: deep pairwise-supervised hashing.

The inner product of two codes is the logit of "these images are similar". Its
log-likelihood is maximised over all pairs, while codes are drawn to their own
signs.

    t_ij = <u_i, u_j> / 2
    loss = mean_ij [log(1 + e^t_ij) - s_ij t_ij]
           + eta mean_i ||sgn u_i - u_i||^2

When to use: a plain, strong start for similar-or-not supervision, with one or
several labels an image.
Cost: one product of codes a step, O(n^2 bits) in a batch and O(n N bits) with a
memory bank of N images.
Other code: the authors compare a batch with the whole training set
(`bank_size`); their weight, 50 on sums over 5,000 images, is 0.01 here.
DeepHash-pytorch averages the second term over bits, 4.8 times weaker at 48.
Reference: Li, Wang and Kang, "Feature Learning Based Deep Supervised Hashing
with Pairwise Labels", IJCAI 2016.
"""

from keras import ops

from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dpsh(labels, codes, ref_labels=None, ref_codes=None, quantization=0.01):
    """Likelihood of pairs, and distance of codes from their signs.

    Args:
        quantization: float, weight of the distance from the signs, a sum over
            bits.
    """
    codes, ref_labels, ref_codes, _ = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    similar = similarity.pairs(labels, ref_labels)
    product = codes @ ops.transpose(ref_codes) / 2
    likelihood = ops.mean(_losses.nll(product, similar), axis=1)
    gap = codes.shape[-1] * _losses.to_sign(codes)
    return likelihood + quantization * gap


class DPSHLoss(_losses.PairLoss):
    """The loss of DPSH on real codes."""

    function = staticmethod(dpsh)


class DPSH(HashModel):
    """Deep pairwise-supervised hashing, with one or several labels an image."""

    loss_class = DPSHLoss
    augmentation = ()
