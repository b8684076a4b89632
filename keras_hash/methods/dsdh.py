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

import keras
from keras import ops

from keras_hash import codes as codes_lib
from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dcc(targets, codes, eta=55.0, ridge=0.1, sweeps=10):
    """Binary codes that predict labels linearly and stay near real codes.

    Args:
        targets: float `[n, num_classes]`, multi-hot.
        codes: float `[n, bits]`, real codes.
        eta: float, weight of staying near, against the fit of the labels.
        ridge: float, weight decay of the linear map.
        sweeps: int, rounds over all bits.

    Returns:
        float32 `[n, bits]` of +1 and -1.
    """
    bits = codes.shape[-1]
    start = codes_lib.sign(codes)
    gram = ops.transpose(start) @ start + ridge * ops.eye(bits)
    linear = ops.solve(gram, ops.transpose(start) @ targets)
    wanted = eta * codes + targets @ ops.transpose(linear)
    # Products of the rows of W; a bit is not compared with itself.
    product = linear @ ops.transpose(linear) * (1 - ops.eye(bits))

    def improve(step, binary):
        bit = step % bits
        row = ops.take(product, bit, axis=0)
        column = ops.take(wanted, bit, axis=1) - ops.matmul(binary, row)
        chosen = ops.one_hot(bit, bits, dtype="float32")
        return ops.where(chosen > 0, codes_lib.sign(column)[:, None], binary)

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
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        codes: float `[n, bits]`, any real numbers.
        ref_labels: labels of the other side of the pairs; the batch by default.
        ref_codes: float `[m, bits]`, its codes.
        num_classes: int, needed for int labels.
        quantization: float, weight of the second term (a sum over bits).
        eta: float, see `dcc`.
        ridge: float, see `dcc`.
        sweeps: int, see `dcc`.

    Returns:
        float32 `[n]`.
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


@keras.saving.register_keras_serializable(package="keras_hash")
class DSDHLoss(_losses.PairLoss):
    """The loss of DSDH on real codes.

    Args:
        bits: int, code length.
        num_classes: int, needed for int labels.
        quantization: float, weight of the distance from the binary codes.
        eta: float, how near the binary codes stay to the real ones.
        ridge: float, weight decay of the linear map to labels.
        sweeps: int, rounds over all bits.
        name: str.
        **kwargs: see `_losses.CodeLoss`.

    Reference: Li et al. 2017.
    """

    function = staticmethod(dsdh)

    def __init__(
        self,
        bits,
        num_classes=None,
        quantization=0.011,
        eta=55.0,
        ridge=0.1,
        sweeps=10,
        name="dsdh",
        **kwargs,
    ):
        settings = {
            "num_classes": num_classes,
            "quantization": quantization,
            "eta": eta,
            "ridge": ridge,
            "sweeps": sweeps,
        }
        super().__init__(bits, settings, name, **kwargs)


@keras.saving.register_keras_serializable(package="keras_hash")
class DSDH(HashModel):
    """Deep supervised discrete hashing, with one or several labels an image.

    Args:
        bits: int, code length.
        num_classes: int, number of classes or labels.
        quantization: float, see `losses.DSDH`.
        eta: float, see `losses.DSDH`.
        ridge: float, see `losses.DSDH`.
        sweeps: int, see `losses.DSDH`.
        **kwargs: see `HashModel`.

    Reference: Li et al., NeurIPS 2017.
    """

    loss_class = DSDHLoss

    def __init__(
        self,
        bits,
        num_classes,
        quantization=0.011,
        eta=55.0,
        ridge=0.1,
        sweeps=10,
        **kwargs,
    ):
        super().__init__(bits, num_classes, **kwargs)
        self.settings = {
            "quantization": quantization,
            "eta": eta,
            "ridge": ridge,
            "sweeps": sweeps,
        }
        self.head = heads.dense(bits)
        self.finish()

    def default_loss(self):
        return DSDHLoss(self.bits, self.num_classes, **self.settings)
