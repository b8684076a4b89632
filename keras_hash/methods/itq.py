"""ITQ and CCA-ITQ: iterative quantization.

Features are projected on their principal directions, then rotated so that they
lie as near as possible to the corners of a cube, which are the codes. CCA-ITQ
starts from the directions that correlate most with the labels.

    V = (F - mean) P,   R = argmin_R min_B ||B - V R||^2,   code = sgn(V R)

When to use: ITQ where there are no labels; CCA-ITQ as the first thing to try
with labels on a trained backbone, in seconds.
Cost: the covariance of d features, O(n d^2 + d^3), then O(n bits^2) a round.
Other code: the ridge of CCA-ITQ, 1e-4 of the mean variance, is this library's
choice, so that it does not depend on the scale of the features. So are signs
that are soft below a tenth of the spread while R is sought: with hard ones,
features that differ in the sixth digit gave up to 8 % other bits.
Reference: Gong and Lazebnik, "Iterative Quantization: A Procrustean Approach to
Learning Binary Codes", CVPR 2011; with Gordo and Perronnin, TPAMI 2013.
"""

import numpy as np

from keras_hash import heads
from keras_hash.codes import check_int
from keras_hash.methods import _solved

# How much of the last rotation stays where the signs ask for none.
_HOLD = 1e-3


def rotation(projected, iterations, seed):
    """The rotation `float64 [bits, bits]` of `[n, bits]` towards corners."""
    width = projected.shape[1]
    start = np.random.RandomState(seed).standard_normal((width, width))
    turn = _solved.nearest_rotation(start)
    with _solved.one_thread():
        for _ in range(iterations):
            pull = projected.T @ _solved.soft_signs(projected @ turn)
            turn = next_rotation(pull, turn)
    return turn


def next_rotation(pull, turn):
    """The rotation nearest to a square matrix; as it was where that is 0."""
    hold = _HOLD * np.linalg.norm(pull) / np.sqrt(len(turn))
    return _solved.nearest_rotation(pull + hold * turn)


def principal(features, bits):
    """Directions of the largest variance, `float64 [d, bits]`."""
    covariance = _solved.covariance(features, features)
    return _solved.leading_directions(covariance, bits)[1]


def canonical(features, labels, bits, ridge=1e-4):
    """Directions that correlate most with multi-hot labels, `[d, bits]`.

    Each times its correlation, which is above 0 for as many as there are labels
    at most: the rotation spreads these over all bits. As the authors' `cca.m`.
    """
    values, basis = _solved.spectrum(_solved.covariance(features, features))
    whiten = basis / np.sqrt(values + ridge * values.sum() / len(basis))
    cross = whiten.T @ _solved.covariance(features, labels)
    inner = _solved.covariance(labels, labels)
    inner += ridge * np.trace(inner) / len(inner) * np.eye(len(inner))
    between = np.linalg.solve(inner, cross.T)
    squares, vectors = _solved.leading_directions(cross @ between, bits, basis)
    return whiten @ vectors * np.sqrt(np.maximum(squares, 0))


class Projection(heads.Head):
    """`(features - mean) @ projection`."""

    def __init__(self, bits):
        super().__init__()
        self.bits = bits

    def build(self, input_shape):
        heads.constant(self, "mean", input_shape[-1:])
        heads.constant(self, "projection", (input_shape[-1], self.bits))

    def call(self, features):
        return (features - self.mean) @ self.projection


class ITQ(_solved.SolvedHash):
    """Iterative quantization of principal components, without labels.

    Args:
        bits: int, code length, at most the number of features.

    Raises:
        ValueError: more bits than features, `iterations` is negative, or as
            `HashModel`.

    Example:

    >>> model = keras_hash.models.ITQ(
    ...     32, backbone="mobilenet_v2", backbone_weights="imagenet"
    ... )
    >>> model.adapt(images)
    >>> codes = model.encode(images)
    """

    bits_are_directions = True

    def add_head(self, iterations=50, seed=0):
        """A projection, and the constants of its solution.

        Args:
            iterations: int, rounds of the rotation.
            seed: int, of the rotation at the start.
        """
        self.settings["iterations"] = check_int(iterations, "iterations", 0)
        self.head = Projection(self.bits)

    def directions(self, features, labels):
        """Where the features are projected before the rotation."""
        return principal(features, self.bits)

    def solve(self, features, labels):
        mean = features.mean(axis=0, dtype="float64")
        found = self.directions(features, labels)
        # Bits between two nested lengths are the last of the longer one: those
        # of directions that no shorter code looks at are much worse.
        parts = []
        for low, high in zip((0, *self.nested), self.lengths):
            part = found[:, :high]
            projected = _solved.projected(features, mean, part)
            turn = rotation(projected, **self.settings)
            parts.append(part @ turn[:, low:])
        weights = {"mean": mean, "projection": np.concatenate(parts, axis=1)}
        return weights, np.sum(~found.any(axis=0))


class CCAITQ(ITQ):
    """Iterative quantization of canonical directions, with labels.

    Args:
        bits: int, code length, at most the number of features.
    """

    supervised = True

    def directions(self, features, labels):
        if labels.ndim == 1:
            labels = np.eye(self.num_classes)[labels]
        return canonical(features, labels, self.bits)
