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

import keras
from keras import ops

from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _targets


def dpn(labels, codes, centres, margin=1.0):
    """Polarisation loss: a hinge for every bit and class of an image.

    Args:
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        codes: float `[n, bits]`, any real numbers.
        centres: float `[num_classes, bits]` of +1 and -1.
        margin: float.

    Returns:
        float32 `[n]`.
    """
    codes = ops.cast(codes, "float32")
    hot = similarity.multi_hot(labels, centres.shape[0])
    # How many of the classes of an image want +1, and -1, for each bit.
    up = hot @ ((1 + centres) / 2)
    down = hot @ ((1 - centres) / 2)
    hinges = up * ops.relu(margin - codes) + down * ops.relu(margin + codes)
    return ops.sum(hinges, axis=1)


@keras.saving.register_keras_serializable(package="keras_hash")
class DPNLoss(_targets.TargetLoss):
    """The loss of DPN on real codes.

    Args:
        bits: int, code length.
        num_classes: int.
        codebook: target codes, or the name of a construction, see
            `_targets.TargetLoss`. The paper has `"random"` and `"max_min"`.
        seed: int, of the construction.
        margin: float.
        name: str.
        **kwargs: see `_losses.CodeLoss`.

    Reference: Fan et al. 2020.
    """

    function = staticmethod(dpn)

    def __init__(
        self,
        bits,
        num_classes,
        codebook="random",
        seed=0,
        margin=1.0,
        name="dpn",
        **kwargs,
    ):
        super().__init__(
            bits,
            num_classes,
            codebook,
            seed,
            {"margin": margin},
            name,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="keras_hash")
class DPN(_targets.TargetModel):
    """Deep polarized network, with one or several labels an image.

    Args:
        bits: int, code length.
        num_classes: int, number of classes or labels.
        codebook: see `losses.DPN`.
        seed: int, see `losses.DPN`.
        margin: float, see `losses.DPN`.
        **kwargs: see `HashModel`.

    Reference: Fan et al., IJCAI 2020.
    """

    loss_class = DPNLoss

    def __init__(
        self,
        bits,
        num_classes,
        codebook="random",
        seed=0,
        margin=1.0,
        **kwargs,
    ):
        super().__init__(bits, num_classes, **kwargs)
        self.set_targets(codebook, seed, {"margin": margin})
        self.head = heads.dense(bits, use_bias=False)
        self.finish()
