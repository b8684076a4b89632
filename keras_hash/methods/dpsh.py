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

import keras
from keras import ops

from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dpsh(labels, codes, ref_labels=None, ref_codes=None, quantization=0.01):
    """Likelihood of pairs, and distance of codes from their signs.

    Args:
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        codes: float `[n, bits]`, any real numbers.
        ref_labels: labels of the other side of the pairs; the batch by default.
        ref_codes: float `[m, bits]`, its codes.
        quantization: float, weight of the second term (a sum over bits).

    Returns:
        float32 `[n]`.
    """
    codes, ref_labels, ref_codes, _ = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    similar = similarity.pairs(labels, ref_labels)
    product = codes @ ops.transpose(ref_codes) / 2
    likelihood = ops.mean(_losses.nll(product, similar), axis=1)
    gap = codes.shape[-1] * _losses.to_sign(codes)
    return likelihood + quantization * gap


@keras.saving.register_keras_serializable(package="keras_hash")
class DPSHLoss(_losses.PairLoss):
    """The loss of DPSH on real codes.

    Args:
        bits: int, code length.
        quantization: float, weight of the distance from the signs.
        name: str.
        **kwargs: see `_losses.CodeLoss`.

    Reference: Li et al. 2016.
    """

    function = staticmethod(dpsh)

    def __init__(self, bits, quantization=0.01, name="dpsh", **kwargs):
        super().__init__(bits, {"quantization": quantization}, name, **kwargs)


@keras.saving.register_keras_serializable(package="keras_hash")
class DPSH(HashModel):
    """Deep pairwise-supervised hashing, with one or several labels an image.

    Args:
        bits: int, code length.
        num_classes: int, number of classes or labels.
        quantization: float, see `losses.DPSH`.
        **kwargs: see `HashModel`.

    Reference: Li et al., IJCAI 2016.
    """

    loss_class = DPSHLoss
    augmentation = ()

    def __init__(self, bits, num_classes, quantization=0.01, **kwargs):
        super().__init__(bits, num_classes, **kwargs)
        self.settings = {"quantization": quantization}
        self.head = heads.dense(bits)
        self.finish()
