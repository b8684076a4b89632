"""DTSH: deep supervised hashing with triplet labels.

An image should be more similar to a similar image than to a dissimilar one, by
a margin that follows the code length: the likelihood of _losses.

    t_ij = <u_i, u_j> / 2
    loss = mean_(i,p,n) log(1 + e^-(t_ip - t_in - bits / 2))
           + lambda mean_i ||sgn u_i - u_i||^2

When to use: relative supervision; a slow but thorough use of each batch.
Cost: n^3 triplets a step (batches of 128: 2 million), which bounds the batch;
so no memory bank.
Other code: the authors draw 50 x 50 triplets an image from the training set,
here all of the batch are taken. DeepHash-pytorch leaves out the factor 1/2,
fixes the margin at 5 and counts the image as its own positive.
Reference: Wang, Shi and Kitani, "Deep Supervised Hashing with Triplet Labels",
ACCV 2016.
"""

from keras import ops

from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dtsh(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    margin=None,
    quantization=0.004,
):
    """Likelihood of triplets, and distance of codes from their signs.

    Args:
        margin: float, of the logit; `None` for `bits / 2`.
        quantization: float, weight of the distance from the signs, a sum over
            bits.
    """
    codes, ref_labels, ref_codes, other = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    bits = codes.shape[-1]
    margin = bits / 2 if margin is None else margin
    rows = _losses.triplet_mean(
        lambda p, n: ops.softplus(margin - (p - n)),
        codes @ ops.transpose(ref_codes) / 2,
        labels,
        ref_labels,
        other,
    )
    return rows + quantization * bits * _losses.to_sign(codes)


class DTSHLoss(_losses.PairLoss):
    """The loss of DTSH on real codes."""

    function = staticmethod(dtsh)
    takes_bank = False


class DTSH(HashModel):
    """Hashing with triplet labels, with one or several labels an image."""

    loss_class = DTSHLoss
