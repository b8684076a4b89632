"""BiHalf: every bit is one half of a batch against the other.

Each bit of a code carries most information if it is +1 for half of the images:
the upper half of a batch by its real number is +1, the lower -1. The cosines of
codes then follow those of the features.

    b_ik = 1 for the upper half of the u_ik of bit k, else -1
    loss = mean_i (cos(b_i, b_(i + n/2)) - cos(x_i, x_(i + n/2)))^2
    gradient of u: that of b, and gamma / (n bits) (u - b)

When to use: as a published baseline, with many images: trained on 25,000 of
CIFAR-10 in 128 dimensions it had a mAP of .271 (ITQ .261), on 5,000 in 1,280
dimensions .146, below its untrained head.
Cost: sorting each bit of a batch, O(n bits log n) a step.
Other code: the release splits a batch in two halves, image i with image
i + n / 2, and so does this. Images with equal numbers count in their order. In
a batch of odd size one image comes twice.
Reference: Li and van Gemert, "Deep Unsupervised Image Hashing by Maximizing Bit
Entropy", AAAI 2021; constants from the authors' code.
"""

from keras import ops

from keras_hash import heads
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def bihalf(outputs, gamma=6.0):
    """Difference of the cosines of codes from those of features.

    Args:
        gamma: float, how hard real codes are pulled to their bits. This pull
            has a gradient, but no part in the value of the loss.
    """
    codes = ops.cast(outputs["code"], "float32")
    count, bits = ops.shape(codes)[0], codes.shape[-1]
    # What only rounding tells apart, such as two of one image, stays in order.
    spread = ops.mean(ops.abs(codes), axis=0)
    steps = ops.round(codes / (1e-4 * ops.maximum(spread, 1e-30)))
    rank = ops.argsort(ops.argsort(steps, axis=0), axis=0)
    halved = 2 * ops.cast(rank >= count // 2, "float32") - 1
    binary = heads.through_sign(halved, codes)
    gaps = _losses.cosine_gaps(binary, outputs["features"])
    # A row's loss is averaged over the batch afterwards.
    pull = gamma / (2 * bits) * ops.sum(ops.square(codes - halved), axis=1)
    return gaps + pull - ops.stop_gradient(pull)


class BiHalfLoss(_losses.UnlabelledLoss):
    """The loss of BiHalf on `{"code", "features"}`."""

    function = staticmethod(bihalf)
    shown = ("features",)
    least, even = 2, True


class BiHalf(HashModel):
    """Codes whose bits halve a batch, without labels."""

    loss_class = BiHalfLoss
    augmentation = ()
