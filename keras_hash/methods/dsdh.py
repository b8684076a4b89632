"""DSDH: deep supervised discrete hashing.

As DPSH, and the binary codes themselves should predict the labels linearly.
They are solved bit by bit (discrete cyclic coordinate descent), and the network
follows them.

    loss = mean_ij [log(1 + e^t_ij) - s_ij t_ij] + eta mean_i ||b_i - u_i||^2
    B = argmin over binary B of ||Y - B W||^2 + nu ||W||^2 + eta' ||B - U||^2

When to use: classes are known and codes should classify as well as retrieve.
Cost: DPSH's, and `sweeps * bits` small products a step for B, O(sweeps n
bits^2).
Other code: in DeepHash-pytorch B and W never reach the network (its extra terms
are constants); here the gradient runs through ||b - u||^2. As in the authors'
code, B is solved for the images of a batch; their weight, 55 on sums over 5,000
images, is 0.011 here.
Reference: Li et al., "Deep Supervised Discrete Hashing", NeurIPS 2017;
constants from the authors' code.
"""

from keras import ops

from keras_hash import similarity
from keras_hash.codes import sign
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dcc(targets, codes, eta, ridge, sweeps):
    """Binary codes, +1 and -1, that predict multi-hot targets linearly and stay
    near real codes, bit by bit (discrete cyclic coordinate descent)."""
    bits = codes.shape[-1]
    start = sign(codes)
    gram = ops.transpose(start) @ start + ridge * ops.eye(bits, dtype="float32")
    linear = ops.solve(gram, ops.transpose(start) @ targets)
    wanted = eta * codes + targets @ ops.transpose(linear)
    # Products of the rows of W; a bit is not compared with itself.
    product = (
        linear @ ops.transpose(linear) * (1 - ops.eye(bits, dtype="float32"))
    )

    def improve(step, binary):
        bit = step % bits
        row = ops.take(product, bit, axis=0)
        column = ops.take(wanted, bit, axis=1) - ops.matmul(binary, row)
        chosen = ops.one_hot(bit, bits, dtype="float32")
        return ops.where(chosen > 0, sign(column)[:, None], binary)

    return ops.fori_loop(0, sweeps * bits, improve, ops.zeros_like(codes))


def dsdh(
    labels,
    codes,
    ref_labels=None,
    ref_codes=None,
    num_classes=None,
    quantization=0.011,
    eta=55.0,
    ridge=0.1,
    sweeps=10,
):
    """Likelihood of pairs, and distance from codes that predict the labels.

    Args:
        num_classes: int, needed for int labels.
        quantization: float, weight of the distance from the binary codes, a
            sum over bits.
        eta: float, how near the binary codes stay to the real ones, against
            the fit of the labels.
        ridge: float, weight decay of the linear map to labels.
        sweeps: int, rounds over all bits.
    """
    codes, ref_labels, ref_codes, _ = _losses.sides(
        labels, codes, ref_labels, ref_codes
    )
    similar = similarity.pairs(labels, ref_labels)
    product = codes @ ops.transpose(ref_codes) / 2
    likelihood = ops.mean(_losses.nll(product, similar), axis=1)
    if num_classes is None:
        if len(labels.shape) != 2 or labels.shape[-1] == 1:
            raise ValueError(
                "DSDH needs `num_classes` for class numbers. "
                f"Received: labels.shape={tuple(labels.shape)}"
            )
        num_classes = labels.shape[-1]
    targets = similarity.multi_hot(labels, num_classes)
    binary = ops.stop_gradient(
        dcc(targets, ops.stop_gradient(codes), eta, ridge, sweeps)
    )
    gap = ops.sum(ops.square(binary - codes), axis=1)
    return likelihood + quantization * gap


class DSDHLoss(_losses.PairLoss):
    """The loss of DSDH on real codes."""

    function = staticmethod(dsdh)
    positive = ("ridge",)


class DSDH(HashModel):
    """Deep supervised discrete hashing, with one or several labels an image."""

    loss_class = DSDHLoss
