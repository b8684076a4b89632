"""IDHN: improved deep hashing network, the successor of ISDH.

As ISDH: the cosine of the label vectors says how similar two images are. Pairs
between the ends are fitted by the squared error of the code similarity itself.

    t_ij = scale <u_i, u_j> / bits,  c_ij = cosine of the labels
    loss = mean_ij [log(1 + e^t) - c t if c is 0 or 1, else
                    gamma bits ((<u_i, u_j> + bits) / (2 bits) - c)^2]
           + lambda mean_ik ||u_ik| - 1|

When to use: several labels an image, where the degree of similarity matters.
Cost: one product of codes and one of labels a step, O(n^2 (bits + classes)).
Other code: DeepHash-pytorch puts the already halved product into the squared
error, whose target it then cannot reach, with about 190 times the weight.
Reference: Zhang et al., "Improved Deep Hashing with Soft Pairwise Similarity
for Multi-Label Image Retrieval", TMM 2020 (arXiv 1803.02987v3); constants from
the authors' code.
"""

import keras
from keras import ops

from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel
from keras_hash.methods.isdh import ends


def idhn(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    gamma=0.1,
    scale=5.0,
    quantization=0.1,
):
    """Likelihood of wholly similar or dissimilar pairs, regression of others.

    Args:
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        codes: float `[n, bits]` in -1..1.
        ref_labels: labels of the other side of the pairs; the batch by default.
        ref_codes: float `[m, bits]`, its codes.
        gamma: float, weight of the regression, for each bit.
        scale: float, the largest logit.
        quantization: float, weight of the distance from the signs.

    Returns:
        float32 `[n]`.
    """
    codes, ref_labels, ref_codes, _ = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    bits = codes.shape[-1]
    cosine = similarity.pairs(labels, ref_labels, similarity.cosine)
    product = codes @ ops.transpose(ref_codes) / bits
    hard = ends(cosine)
    soft = gamma * bits * ops.square((product + 1) / 2 - cosine)
    values = hard * _losses.nll(scale * product, cosine) + (1 - hard) * soft
    return ops.mean(values, axis=1) + quantization * _losses.to_sign(codes, 1)


@keras.saving.register_keras_serializable(package="keras_hash")
class IDHNLoss(_losses.PairLoss):
    """The loss of IDHN on codes in -1..1.

    Args:
        bits: int, code length.
        gamma: float, weight of pairs that share some labels, for each bit.
        scale: float, the largest logit.
        quantization: float, weight of the distance from the signs.
        name: str.
        **kwargs: see `_losses.CodeLoss`.

    Reference: Zhang et al. 2020
    """

    function = staticmethod(idhn)

    def __init__(
        self,
        bits,
        gamma=0.1,
        scale=5.0,
        quantization=0.1,
        name="idhn",
        **kwargs,
    ):
        settings = {
            "gamma": gamma,
            "scale": scale,
            "quantization": quantization,
        }
        super().__init__(bits, settings, name, **kwargs)


@keras.saving.register_keras_serializable(package="keras_hash")
class IDHN(HashModel):
    """Improved deep hashing network, for several labels an image.

    Args:
        bits: int, code length.
        num_classes: int, number of classes or labels.
        gamma: float, see `losses.IDHN`.
        scale: float, see `losses.IDHN`.
        quantization: float, see `losses.IDHN`.
        **kwargs: see `HashModel`.

    Reference: Zhang et al., TMM 2020.
    """

    loss_class = IDHNLoss
    augmentation = ()

    def __init__(
        self,
        bits,
        num_classes,
        gamma=0.1,
        scale=5.0,
        quantization=0.1,
        **kwargs,
    ):
        super().__init__(bits, num_classes, **kwargs)
        self.settings = {
            "gamma": gamma,
            "scale": scale,
            "quantization": quantization,
        }
        self.head = heads.dense(bits, "softsign")
        self.finish()
