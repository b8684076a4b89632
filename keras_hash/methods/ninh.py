"""NINH: simultaneous feature learning and hash coding, also called DNNH.

Triplets with a hinge on squared distances, and a divide-and-encode head that
computes every bit from its own slice of a wide layer.

    F = (u + 1) / 2 in [0, 1]
    loss = mean_(i,p,n) max(0, margin + ||F_i - F_p||^2 - ||F_i - F_n||^2)

When to use: as a reference; bits that depend little on each other.
Cost: n^3 triplets a step, and a layer of 50 features a bit.
Other code: the width of the linear part of the threshold is not known for
certain: `epsilon`, whose default of 0.5 means no threshold while training.
Reference: Lai et al., "Simultaneous Feature Learning and Hash Coding with Deep
Neural Networks", CVPR 2015.
"""

import keras
from keras import ops

from keras_hash import heads
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def ninh(labels, codes, ref_labels=None, ref_codes=None, margin=1.0):
    """Triplet hinge on squared distances of codes shown in 0..1.

    Args:
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        codes: float `[n, bits]` in -1..1.
        ref_labels: labels of the other images; the batch by default.
        ref_codes: float `[m, bits]`, their codes.
        margin: float, in bits.

    Returns:
        float32 `[n]`.
    """
    codes, ref_labels, ref_codes, other = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    distance = _losses.squared_distances(codes, ref_codes) / 4
    return _losses.triplet_mean(
        lambda p, n: ops.relu(margin + p - n),
        distance,
        labels,
        ref_labels,
        other,
    )


@keras.saving.register_keras_serializable(package="keras_hash")
class NINHLoss(_losses.PairLoss):
    """The loss of NINH on codes in -1..1.

    Args:
        bits: int, code length.
        margin: float, in bits.
        name: str.
        **kwargs: see `_losses.CodeLoss`.

    Reference: Lai et al. 2015.
    """

    function = staticmethod(ninh)
    takes_bank = False

    def __init__(self, bits, margin=1.0, name="ninh", **kwargs):
        super().__init__(bits, {"margin": margin}, name, **kwargs)


@keras.saving.register_keras_serializable(package="keras_hash")
class NINH(HashModel):
    """Triplets and divide-and-encode, with one or several labels an image.

    Args:
        bits: int, code length.
        num_classes: int, number of classes or labels.
        margin: float, see `losses.NINH`.
        width: int, features in the slice of a bit.
        epsilon: float in (0, 0.5], sigmoids further than this from 0.5 are
            flattened to 0 or 1, without gradient.
        **kwargs: see `HashModel`.

    Reference: Lai et al., CVPR 2015.
    """

    loss_class = NINHLoss

    def __init__(
        self,
        bits,
        num_classes,
        margin=1.0,
        width=50,
        epsilon=0.5,
        **kwargs,
    ):
        super().__init__(bits, num_classes, **kwargs)
        self.settings = {"margin": margin, "width": width, "epsilon": epsilon}
        self.head = heads.DivideAndEncode(bits, width, epsilon)
        self.finish()

    def default_loss(self):
        return NINHLoss(self.bits, self.settings["margin"])
