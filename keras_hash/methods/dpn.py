"""DPN: deep polarized network.

Every class has a random target code, and every real number of a code should lie
beyond a margin on the side of its target: a hinge that bounds the Hamming
distance without a quantisation term.

    loss = mean_i sum over its classes c, sum_k max(0, m - u_ik t_ck),  m = 1

When to use: classes are known; as CSQ, with unbounded codes.
Cost: O(n classes bits) a step for several labels, O(n bits) for one.
Other code: with several labels the authors' sums the hinges of all of them, and
so does this; DeepHash-pytorch takes the majority vote of CSQ instead.
Reference: Fan et al., "Deep Polarized Network for Supervised Learning of
Accurate Binary Hashing Codes", IJCAI 2020.
"""

from keras import ops

from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _targets


def dpn(labels, codes, centres, margin=1.0):
    """Polarisation loss: a hinge for every bit and class of an image.

    Args:
        margin: float, how far beyond 0 every real number should lie.
    """
    codes = ops.cast(codes, "float32")
    hot = similarity.multi_hot(labels, centres.shape[0])
    # How many of the classes of an image want +1, and -1, for each bit.
    up = hot @ ((1 + centres) / 2)
    down = hot @ ((1 - centres) / 2)
    hinges = up * ops.relu(margin - codes) + down * ops.relu(margin + codes)
    return ops.sum(hinges, axis=1)


class DPNLoss(_targets.TargetLoss):
    """The loss of DPN on real codes.

    The paper has the code books `"random"` and `"max_min"`.
    """

    function = staticmethod(dpn)


class DPN(_targets.TargetModel):
    """Deep polarized network, with one or several labels an image."""

    loss_class = DPNLoss

    def add_head(self):
        self.head = heads.dense(self.bits, use_bias=False)
