"""MutualHash: two hash layers that learn pairs, and from each other.

Each of two peers on one backbone fits the similarity of all pairs. Each also
follows the other: how near the other images of the batch are to an image, as
its peer has it, is a soft target.

    t_ij = <u_i, u_j> / 2,  p_i = softmax over j other than i of t_ij
    loss = sum over both peers mean_ij [log(1 + e^t) - s t]
           + lambda mean_i ||u_i - sgn u_i||^2 + omega mean_i KL(q_i || p_i)

q is the p of the peer, without gradient. Both start differently, which is all
that they differ in. The first one makes the codes.

When to use: to compare with; with `robust` where some of the labels are wrong.
On MIRFLICKR (frozen features, 32 bits, one seed) it had a mAP of .723, without
the divergence .725, DPSH .720: the peers gained nothing from each other there,
and with a weight of 1 they lost much, .589.
Cost: two products of codes a step, O(n^2 bits); an encoder as that of DPSH.
Other code: this is a reconstruction. It stands in the place of "robust mutual
learning hashing" (RMLH, ICIP 2019), a row in the table of Luo et al. 2021, of
which nothing is public but its title: no text, no code. What is here follows
from that title and from deep mutual learning, with the pairs of DPSH; figures
of RMLH are not its own. `robust` is co-teaching: each peer learns from the
images that have the smallest losses in the other.
Reference: Zhang et al., "Deep Mutual Learning", CVPR 2018; Han et al.,
"Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy
Labels", NeurIPS 2018.
"""

from keras import ops

from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def mutualhash(labels, outputs, quantization=0.1, mutual=0.1, robust=0.0):
    """Likelihood of pairs in both peers, and what each learns of the other.

    Args:
        quantization: float, weight of the distance from the signs, a sum over
            bits.
        mutual: float, weight of the divergence from the peer.
        robust: float in 0..1, the share of images with the largest losses that
            the peer leaves out of a batch.
    """
    codes = [ops.cast(outputs[k], "float32") for k in ("code", "peer")]
    similar = similarity.pairs(labels, labels)
    products = [u @ ops.transpose(u) / 2 for u in codes]
    near = [others(product) for product in products]
    fits = [
        ops.mean(_losses.nll(product, similar), axis=1)
        + quantization * u.shape[-1] * _losses.to_sign(u)
        for product, u in zip(products, codes)
    ]
    values = 0.0
    for one, peer in ((0, 1), (1, 0)):
        target = ops.stop_gradient(near[peer])
        gap = ops.exp(target) * (target - near[one])
        kept = small(ops.stop_gradient(fits[peer]), robust)
        values += kept * fits[one] + mutual * ops.sum(gap, axis=1)
    return values


def others(products):
    """Log-probabilities of the other images of a batch, `[n, n]`."""
    itself = ops.eye(ops.shape(products)[0], dtype="float32")
    return ops.log_softmax(products - 1e9 * itself, axis=1)


def small(losses, robust):
    """Weights of mean 1 on the smallest losses; of equal ones the first."""
    if not 0 <= robust < 1:
        raise ValueError(
            "`robust` should be a share of the images, at least 0 and below 1. "
            f"Received: robust={robust}"
        )
    if not robust:
        return ops.ones_like(losses)
    total = ops.cast(ops.shape(losses)[0], "float32")
    kept = ops.maximum(ops.ceil((1 - robust) * total), 1.0)
    ranks = ops.cast(ops.argsort(ops.argsort(losses)), "float32")
    return ops.where(ranks < kept, total / kept, 0.0)


class MutualHashLoss(_losses.CodeLoss):
    """The loss of MutualHash on `{"code", "peer"}`, real codes of both."""

    function = staticmethod(mutualhash)
    largest = {"robust": 1}


class Peers(heads.Head):
    """Two hash layers: `{"code", "peer"}`."""

    def __init__(self, bits):
        super().__init__()
        self.hash = heads.dense(bits)
        self.peer = heads.dense(bits, name="peer")

    def build(self, input_shape):
        self.hash.build(input_shape)
        self.peer.build(input_shape)

    def call(self, features):
        return {"code": self.hash(features), "peer": self.peer(features)}


class MutualHash(HashModel):
    """Mutual learning of two hash layers, one or several labels an image."""

    loss_class = MutualHashLoss

    def add_head(self):
        self.head = Peers(self.bits)
