"""DSRH: deep semantic ranking hashing.

Images of a list should be ranked by how many labels they share with a query:
every pair of the list in the wrong order, or within a margin, costs what the
swap would cost in NDCG. Both fully connected layers feed the hash layer.

    d = (bits - <u, u'>) / 2,  Z = ideal DCG of the list
    loss = mean_(q,a,b: r_a > r_b) (2^r_a - 2^r_b) / Z
               max(0, 5 + d(q,a) - d(q,b)) + alpha / 2 ||mean_q u_q||^2

When to use: several labels an image, ranked by the number of shared ones.
Cost: n^3 triplets a step with the whole batch as list (`list_size=None`);
n * list_size^2 with short lists, see `keras_hash.data.ListSampler`.
Other code: the authors' draws lists of three (most, fewer and no shared
labels), `list_size=3` here, sums over triplets with alpha = 1, and multiplies
the balance by the weights too; here alpha is 1 / n on a mean.
Reference: Zhao et al., "Deep Semantic Ranking Based Hashing for Multi-Label
Image Retrieval", CVPR 2015; constants from the authors' code.
"""

from keras import ops

from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dsrh(labels, codes, margin=5.0, balance=None, list_size=None):
    """Ranking loss weighted by NDCG, and balance of the bits.

    Args:
        margin: float, in bits.
        balance: float, weight of the squared mean code; `None` for one over
            the batch size.
        list_size: int: rows come in groups of `1 + list_size`, a query and its
            list (the last one may be shorter), and each query has a loss.
            `None`: every row is a query, all others are its list.
    """
    codes = ops.cast(codes, "float32")
    count = ops.shape(codes)[0]
    distance = _losses.hamming(codes, codes)
    shared = similarity.pairs(labels, labels, similarity.shared_count)
    listed = 1 - ops.eye(count, dtype="float32")
    queries = codes
    if list_size is not None:
        # Query i is row i * step; its list the rows up to the next query.
        step = 1 + list_size
        first = ops.arange(0, count, step, "int32")
        place = first[:, None] + ops.arange(1, step, dtype="int32")[None, :]
        # A batch may end in a shorter list.
        there = ops.cast(place < count, "float32")
        place = ops.minimum(place, count - 1)
        distance, shared = (
            ops.take_along_axis(ops.take(x, first, axis=0), place, axis=1)
            for x in (distance, shared)
        )
        listed = there
        queries = ops.take(codes, first, axis=0)
    gain = (2**shared - 1) * listed
    ideal = _losses.ideal_gain(gain)
    gain = gain / ops.where(ideal > 0, ideal, 1.0)[:, None]
    better = ops.cast(shared[:, :, None] > shared[:, None, :], "float32")
    valid = better * listed[:, :, None] * listed[:, None, :]
    weight = gain[:, :, None] - gain[:, None, :]
    hinge = ops.relu(margin + distance[:, :, None] - distance[:, None, :])
    rows = _losses.weighted_mean(weight * hinge, valid)
    if balance is None:
        balance = 1 / ops.cast(count, "float32")
    mean = ops.mean(queries, axis=0)
    rows = rows + balance / 2 * ops.sum(ops.square(mean))
    if list_size is None:
        return rows
    # A value each row, whose mean is that of the queries.
    share = ops.cast(count, "float32") / ops.cast(ops.shape(rows)[0], "float32")
    place = ops.arange(count, dtype="int32")
    of_query = ops.take(rows, place // step, axis=0) * share
    return ops.where(place % step == 0, of_query, 0 * of_query)


class DSRHLoss(_losses.CodeLoss):
    """The loss of DSRH on codes in -1..1."""

    function = staticmethod(dsrh)


class DSRH(HashModel):
    """Deep semantic ranking hashing, for several labels an image."""

    loss_class = DSRHLoss

    def add_head(self, units=512, dropout=0.5):
        """Two fully connected layers that both feed the hash layer.

        Args:
            units: int, width of both fully connected layers. The paper has the
                4,096 of AlexNet.
            dropout: float in [0, 1), after each.
        """
        self.head = heads.TwoLayers(self.bits, units, dropout)
