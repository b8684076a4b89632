"""CroVCA: cross-view code alignment.

The code of one view of an image is the target of the other view, bit by bit; a
coding rate keeps the codes of different images apart.

    t = [z > 0] without gradient
    loss = 1/2 [BCE(z, t') + BCE(z', t)] + lambda / 2 [R(z) + R(z')]
    R(z) = -1/2 logdet(I + q / (n eps) V'V) (q + n) / (q n),  V: unit rows of z

When to use: no labels, features of augmented photos from a strong trained
backbone, and a few epochs: a mAP of .659 on MIRFLICKR, where ITQ has .638 (32
bits).
Cost: a determinant of bits x bits a step, O(n bits^2 + bits^3).
Other code: the release computes the coding rate as above, the paper prints it
otherwise. The paper's best rows train the backbone too and compare real
queries; this is the frozen head with Hamming distance.
Reference: Moummad, Zaher, Goeau and Joly, "CroVCA", CVPR Workshops 2026, arXiv
2510.27584.
"""

from keras import initializers
from keras import ops

from keras_hash import heads
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def coding_rate(logits, distortion):
    """The negative coding rate of the rows of one view, a scalar."""
    bits = logits.shape[-1]
    count = ops.cast(ops.shape(logits)[0], "float32")
    rows = heads.unit(logits)
    gram = ops.transpose(rows) @ rows * (bits / (count * distortion))
    # Symmetric and positive: half of its log determinant.
    factor = ops.cholesky(ops.eye(bits, dtype="float32") + gram)
    half = ops.sum(ops.log(ops.diagonal(factor)))
    return -half * (bits + count) / (bits * count)


def crovca(codes, diversity=0.1, distortion=0.05):
    """Cross-entropy against the bits of the other view, and a coding rate.

    Args:
        diversity: float, weight of the coding rate.
        distortion: float, above 0: the distortion that the rate allows.
    """
    first, second = _losses.halves(ops.cast(codes, "float32"))
    align = 0.0
    for logits, other in ((first, second), (second, first)):
        bits = ops.cast(other > 0, "float32")
        align += ops.mean(_losses.nll(logits, bits), axis=1) / 2
    rate = coding_rate(first, distortion) + coding_rate(second, distortion)
    return align + diversity / 2 * rate


class CroVCALoss(_losses.UnlabelledLoss):
    """The loss of CroVCA on the codes of two views, `[2n, bits]`."""

    function = staticmethod(crovca)
    positive = ("distortion",)
    views, least = 2, 2


class CroVCA(HashModel):
    """Cross-view code alignment, without labels."""

    loss_class = CroVCALoss

    def add_head(self, width=None):
        """A hidden layer, the hash layer, and balanced bits.

        Args:
            width: int, of the hidden layer; `None` for as many as features.
        """
        self.head = heads.Hashing(
            self.bits,
            width,
            norm=True,
            initializer=initializers.TruncatedNormal(stddev=0.02),
        )
