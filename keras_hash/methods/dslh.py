"""DSLH: deep self-learning hashing.

Labels may be noisy or coarse. Codes learn the similarities of the given labels,
and those of corrected ones, which the features choose after every epoch: the
class to whose prototypes, dense and diverse images of it, an image is nearest.

    T_ij = 1 if i and j share a label, else -P / M, for P similar and M other
           pairs of the batch and the bank;  r = tanh b
    loss = (1 - lambda) mean_ij (q T1_ij - <r_i, r_j>)^2 / 2
           + lambda mean_ij (q T2_ij - <r_i, r_j>)^2 / 2
           + (200 / N) mean_i ||b_i - sgn b_i||^2
           + (50 / N) sum_k (mean_i b_ik)^2

T1 is of the given labels, T2 of the corrected ones, all 0 in the first epoch; q
is the code length, N the number of training images, which `bank_size` has to
be: without a memory bank there is no DSLH.

When to use: as a published baseline where labels are wrong: with half of those
of digits wrong it had a mAP of .821 (.831 without correction), CSQ .885.
Cost: O(n N bits) a step; after each epoch features of all images and cosines
with up to 8 prototypes a class, of up to 1,000 of its images.
Other code: the authors' last term is linear, (50 / N) mean_i sum_k b_ik, and
pushes all bits to -1 (`balance="linear"`). Their prototypes come from the last
minibatch of a class and features of the running epoch; here from all its images
and features computed anew. They fail for fewer than 9 images and where none is
chosen; here all images of the class are prototypes then.
Reference: Zhan, Mo and Zhu, "Deep Self-Learning Hashing for Image Retrieval",
ICIP 2020; constants from the authors' code.
"""

from keras import ops

from keras_hash import similarity
from keras_hash.methods import _corrected
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dslh(
    labels,
    codes,
    num_classes,
    ref_labels=None,
    ref_codes=None,
    correction=0.4,
    quantization=200.0,
    evenness=50.0,
    balance="square",
):
    """Regression of similarities, given and corrected.

    Labels may have the corrected ones beside them, `[n, 2 num_classes]`.

    Args:
        num_classes: int, number of classes or labels.
        correction: float in 0..1, the share of corrected labels.
        quantization: float, weight of the distance from the signs, over the
            number of images.
        evenness: float, weight of the balance of bits, over the same.
        balance: str, `"square"` for bits that are 1 as often as 0, or
            `"linear"`, as the authors' code has it.
    """
    codes, ref_labels, ref_codes, _ = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    sides = [_both(side, num_classes) for side in (labels, ref_labels)]
    products = ops.tanh(codes) @ ops.transpose(ops.tanh(ref_codes))
    values = 0.0
    for share, one, other in zip((1 - correction, correction), *sides):
        gap = codes.shape[-1] * balanced(one, other) - products
        values += share * ops.mean(gap**2, axis=1) / 2
    size = ops.cast(ops.shape(ref_codes)[0], "float32")
    signs = codes.shape[-1] * _losses.to_sign(codes)
    if balance == "square":
        even = ops.sum(ops.mean(codes, axis=0) ** 2)
    else:
        even = ops.sum(codes, axis=1)
    return values + (quantization * signs + evenness * even) / size


def balanced(labels, ref_labels):
    """1 for similar pairs, and so little for others that the sum is 0."""
    similar = similarity.pairs(labels, ref_labels)
    total = ops.sum(similar)
    others = ops.maximum(ops.sum(1 - similar), 1.0)
    return ops.where(similar > 0, 1.0, -total / others)


def _both(labels, num_classes):
    """Given and corrected labels; the given ones where there are no others."""
    if len(labels.shape) == 2 and labels.shape[1] == 2 * num_classes:
        return labels[:, :num_classes], labels[:, num_classes:]
    hot = similarity.multi_hot(labels, num_classes)
    return hot, hot


class DSLHLoss(_losses.PairLoss):
    """The loss of DSLH on real codes, without an activation."""

    function = staticmethod(dslh)
    choices = {"balance": ("square", "linear")}
    largest = {"correction": 1}


class DSLH(HashModel):
    """Self-learning of labels, one an image, of which some may be wrong."""

    loss_class = DSLHLoss
    needs_bank = True
    bank_class = _corrected.CorrectedBank

    def targets(self, labels, index):
        if index is None:
            return labels
        hot = similarity.multi_hot(labels, self.num_classes)
        index = ops.cast(index, "int32")
        rows = ops.take(ops.convert_to_tensor(self.bank.corrected), index, 0)
        return ops.concatenate([hot, ops.cast(rows, "float32")], axis=1)

    def after_epoch(self, batches):
        """Corrects labels by features."""
        if self.bank is not None:
            self.bank.correct(self.backbone, batches)
