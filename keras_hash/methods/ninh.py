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

from keras import ops

from keras_hash import heads
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def ninh(labels, codes, ref_labels=None, ref_codes=None, margin=1.0):
    """Triplet hinge on squared distances of codes shown in 0..1.

    Args:
        margin: float, in bits.
    """
    codes, ref_labels, ref_codes, other = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    return _losses.triplet_mean(
        lambda p, n: ops.relu(margin + p - n),
        _losses.squared_distances(codes, ref_codes) / 4,
        labels,
        ref_labels,
        other,
    )


class NINHLoss(_losses.PairLoss):
    """The loss of NINH on codes in -1..1."""

    function = staticmethod(ninh)
    takes_bank = False
    # Of its head.
    positive, largest = ("epsilon",), {"epsilon": 0.5}


class NINH(HashModel):
    """Triplets and divide-and-encode, with one or several labels an image."""

    loss_class = NINHLoss

    def add_head(self, width=50, epsilon=0.5):
        """A wide layer with a slice for each bit.

        Args:
            width: int, features in the slice of a bit.
            epsilon: float in (0, 0.5], sigmoids further than this from 0.5 are
                flattened to 0 or 1, without gradient.
        """
        self.head = heads.DivideAndEncode(self.bits, width, epsilon)
