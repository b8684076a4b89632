"""GreedyHashUnsupervised: the sign itself in the forward pass, without labels.

As GreedyHash, but the cosines of codes follow those of the features of a
trained backbone, in place of a classifier.

    loss = mean_i (cos(b_i, b_(i + n/2)) - cos(x_i, x_(i + n/2)))^2
           + alpha mean_ik ||u_ik| - 1|^3,   b = sgn u

When to use: as a published baseline: SDC and CIBHash were above it in every
trial (CIFAR-10, 25,000 images in 128 dimensions: .227, ITQ .261).
Cost: O(n bits) a step.
Other code: as the authors'. In a batch of odd size one image comes twice.
Reference: Su et al., "Greedy Hash: Towards Fast Optimization for Accurate Hash
Coding in CNN", NeurIPS 2018; constants from the authors' code.
"""

from keras import ops

from keras_hash import heads
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def greedyhash_unsupervised(outputs, quantization=0.1):
    """Difference of the cosines of signs from those of features, and a pull.

    Args:
        quantization: float, weight of the cubic pull to the signs.
    """
    codes = ops.cast(outputs["code"], "float32")
    binary = heads.through_sign(codes, codes)
    gaps = _losses.cosine_gaps(binary, outputs["features"])
    return gaps + quantization * _losses.to_sign(codes, 3)


class GreedyHashUnsupervisedLoss(_losses.UnlabelledLoss):
    """The loss of GreedyHash without labels on `{"code", "features"}`."""

    function = staticmethod(greedyhash_unsupervised)
    shown = ("features",)
    least, even = 2, True


class GreedyHashUnsupervised(HashModel):
    """Hashing through the sign, without labels."""

    loss_class = GreedyHashUnsupervisedLoss
    augmentation = ()
