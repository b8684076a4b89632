"""Rankings as groups of equal rank, with their graded relevance."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Groups:
    """One ranking a query, nearest group first.

    Attributes:
        counts: `int64 [q, groups]`, items in each group.
        relevant: `int64 [q, groups]`, those with relevance above 0.
        relevance: `float64 [q, groups]`, sums of relevance.
        gains: `float64 [q, groups]`, sums of the gain `2**relevance - 1`.
        ideal: a pair `[q, runs]` of counts and gain sums in the best order of
            all items, whatever their distance.
    """

    counts: np.ndarray
    relevant: np.ndarray
    relevance: np.ndarray
    gains: np.ndarray
    ideal: tuple


def expected(planes, values):
    """Groups of equal distance, in which any order is equally likely.

    Args:
        planes: `int64 [q, planes, distances]`, items by kind and distance.
        values: `float64 [q, planes]`, relevance of an item of each kind.

    Returns:
        `Groups` of one group a distance.
    """
    return Groups(
        counts=planes.sum(axis=1),
        relevant=np.einsum("qpg,qp->qg", planes, (values > 0).astype("int64")),
        relevance=np.einsum("qpg,qp->qg", planes, values),
        gains=np.einsum("qpg,qp->qg", planes, _gain(values)),
        ideal=_ideal(planes, values),
    )


def extreme(planes, values, best):
    """The best or the worst order inside each distance.

    Args:
        planes: `int64 [q, planes, distances]`.
        values: `float64 [q, planes]`.
        best: bool, whether higher relevance comes first.

    Returns:
        `Groups` of one group for each distance and kind: no order is left
        open, since the items of a kind are alike.
    """
    order = np.argsort(-values if best else values, axis=1, kind="stable")
    values = np.take_along_axis(values, order, axis=1)
    planes = np.take_along_axis(planes, order[:, :, None], axis=1)
    counts = planes.transpose(0, 2, 1).reshape(len(planes), -1)
    repeated = np.tile(values, planes.shape[2])
    return Groups(
        counts=counts,
        relevant=counts * (repeated > 0),
        relevance=counts * repeated,
        gains=counts * _gain(repeated),
        ideal=_ideal(planes, values),
    )


def ranking(values):
    """Groups of one item: a ranking whose order is known.

    Args:
        values: `float64 [q, items]`, relevance in the order of the ranking.

    Returns:
        `Groups`.
    """
    ones = np.ones(values.shape, "int64")
    return Groups(
        counts=ones,
        relevant=(values > 0).astype("int64"),
        relevance=values,
        gains=_gain(values),
        ideal=(ones, -np.sort(-_gain(values), axis=1)),
    )


def _gain(values):
    return np.exp2(values) - 1


def _ideal(planes, values):
    order = np.argsort(-values, axis=1, kind="stable")
    counts = np.take_along_axis(planes.sum(axis=2), order, axis=1)
    gains = np.take_along_axis(_gain(values), order, axis=1)
    return counts, counts * gains
