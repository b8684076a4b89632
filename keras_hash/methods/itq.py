"""ITQ and CCA-ITQ: iterative quantization.

Features are projected on their principal directions, then rotated so that they
lie as near as possible to the corners of a cube, which are the codes. CCA-ITQ
starts from the directions that correlate most with the labels.

    V = (F - mean) P,   R = argmin_R min_B ||B - V R||^2,   code = sgn(V R)

When to use: ITQ where there are no labels; CCA-ITQ as the first thing to try
with labels on a trained backbone, in seconds.
Cost: the covariance of d features, O(n d^2 + d^3), then O(n bits^2) a round.
Other code: the ridge of CCA-ITQ, 1e-4 of the mean variance, is this library's
choice, so that it does not depend on the scale of the features.
Reference: Gong and Lazebnik, "Iterative Quantization: A Procrustean Approach to
Learning Binary Codes", CVPR 2011; with Gordo and Perronnin, TPAMI 2013.
"""

import keras
import numpy as np

from keras_hash import codes as codes_lib
from keras_hash.methods import _solved


def rotation(projected, iterations=50, seed=0):
    """Rotates points towards the corners of a cube.

    The quantization loss `||sgn(V R) - V R||^2` never rises from one round to
    the next.

    Args:
        projected: float `[n, bits]`, centred at 0.
        iterations: int, rounds.
        seed: int, of the random rotation at the start.

    Returns:
        An orthogonal `float64 [bits, bits]`, to be multiplied from the right.

    Reference: Gong and Lazebnik 2011.
    """
    width = projected.shape[1]
    start = np.random.RandomState(seed).standard_normal((width, width))
    turn = np.linalg.svd(start)[0]
    with _solved.one_thread():
        for _ in range(iterations):
            signs = codes_lib.sign(projected @ turn)
            left, _, right = np.linalg.svd(signs.T @ projected)
            turn = right.T @ left.T
    return turn


def principal(features, bits):
    """Principal directions.

    Args:
        features: float `[n, d]`.
        bits: int, how many, at most `d`.

    Returns:
        `float64 [d, bits]`, orthonormal, largest variance first.
    """
    return _solved.top(_solved.covariance(features, features), bits)[1]


def canonical(features, labels, bits, ridge=1e-4):
    """Directions that correlate most with the labels, times the correlation.

    There are at most as many with a correlation above 0 as there are labels;
    the rotation spreads them over all bits.

    Args:
        features: float `[n, d]`.
        labels: multi-hot float `[n, num_classes]`.
        bits: int, how many, at most `d`.
        ridge: float, added to both variances, as a share of their mean.

    Returns:
        `float64 [d, bits]`, largest correlation first.

    Reference: Gong et al. 2013; the authors' `cca.m`.
    """

    def ridged(covariance):
        size = len(covariance)
        level = np.trace(covariance) / size
        return covariance + ridge * level * np.eye(size)

    inner = ridged(_solved.covariance(features, features))
    cross = _solved.covariance(features, labels)
    between = np.linalg.solve(
        ridged(_solved.covariance(labels, labels)), cross.T
    )
    squares, vectors = _solved.top(cross @ between, bits, inner)
    return vectors * np.sqrt(np.maximum(squares, 0))


class Projection(_solved.FixedHead):
    """`(features - mean) @ projection`.

    Args:
        bits: int, code length.
    """

    def __init__(self, bits):
        super().__init__(name="head")
        self.bits = bits

    def build(self, input_shape):
        self.constant("mean", input_shape[-1])
        self.constant("projection", input_shape[-1], self.bits)

    def call(self, features):
        return (features - self.mean) @ self.projection


@keras.saving.register_keras_serializable(package="keras_hash")
class ITQ(_solved.ShallowHash):
    """Iterative quantization of principal components, without labels.

    Args:
        bits: int, code length, at most the number of features.
        num_classes: int or `None`, not needed.
        iterations: int, rounds of the rotation.
        seed: int, of the rotation at the start.
        **kwargs: see `HashModel`.

    Raises:
        ValueError: more bits than features, or `iterations` is negative.

    Reference: Gong and Lazebnik, CVPR 2011.

    Example:

    >>> model = keras_hash.models.ITQ(
    ...     32, backbone="mobilenet_v2", backbone_weights="imagenet"
    ... )
    >>> model.adapt(images)
    >>> codes = model.encode(images)
    """

    bits_are_directions = True

    def __init__(self, bits, num_classes=None, iterations=50, seed=0, **kwargs):
        super().__init__(bits, num_classes, **kwargs)
        if iterations < 0:
            raise ValueError(
                "`iterations` should be at least 0. "
                f"Received: iterations={iterations}"
            )
        self.settings = {"iterations": iterations, "seed": seed}
        self.head = Projection(bits)
        self.finish()

    def directions(self, features, labels):
        """Where the features are projected before the rotation.

        Args:
            features: `float32 [n, d]`.
            labels: as for `solve`.

        Returns:
            `float64 [d, bits]`.
        """
        return principal(features, self.bits)

    def solve(self, features, labels):
        mean = features.mean(axis=0, dtype="float64")
        found = self.directions(features, labels)
        projected = np.concatenate(
            [part @ found for part in _solved.chunks(features, mean)]
        )
        turn = rotation(projected, **self.settings)
        return {"mean": mean, "projection": found @ turn}


@keras.saving.register_keras_serializable(package="keras_hash")
class CCAITQ(ITQ):
    """Iterative quantization of canonical directions, with labels.

    Args:
        bits: int, code length, at most the number of features.
        num_classes: int, number of classes or labels.
        iterations: int, rounds of the rotation.
        seed: int, of the rotation at the start.
        **kwargs: see `HashModel`.

    Raises:
        ValueError: as `ITQ`.

    Reference: Gong et al., TPAMI 2013.
    """

    supervised = True

    def directions(self, features, labels):
        if labels.ndim == 1:
            labels = np.eye(self.num_classes)[labels]
        return canonical(features, labels, self.bits)
