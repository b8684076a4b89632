"""CollaborativeHashing: codes of the rows and columns of a matrix at once.

For a matrix of numbers of at least 0, such as images by visual words or users
by products, codes of rows and of columns should predict its entries.

    min 1/n |H - R_h U_h|^2 + 1/m |G - R_g U_g|^2
        + lambda / nm |sigma (1/2 + H'G / 2 bits) - U|^2
    U_h, U_g: principal components of rows and columns; R rotations

When to use: words by images, users by items, where columns need codes too
(`column_codes`). On features of networks ITQ is as good or better.
Cost: O(n d^2 + d^3), then 20 rounds of O(n d bits).
Other code: none is published. Features are divided by their largest value;
signs are soft below twice the spread while the rotations are sought, and weak
directions count less, so that rounding decides nothing: with hard ones up to
40 % of the bits moved, and retrieval was the same (mAP .630 and .632 at 32 bits
of MIRFLICKR, where ITQ has .638 and a random rotation .631).
Reference: Liu, He, Deng and Lang, "Collaborative Hashing", CVPR 2014.
"""

import numpy as np

from keras_hash import codes
from keras_hash import heads
from keras_hash.codes import check_int
from keras_hash.methods import _solved
from keras_hash.methods import itq

# Signs are soft below this share of the spread, and directions count less and
# less below this share of the largest.
_SOFT, _SOFT_DIRECTIONS = 2.0, 0.1


def alternate(matrix, rows, columns, turn, weight, rounds, soft=True):
    """Codes `[bits, n]` and `[bits, m]` and their rotations.

    `soft` keeps rounding from deciding where signs or directions are near 0.
    """
    (count, width), bits = matrix.shape, len(turn)
    sign = _soft_signs if soft else codes.sign
    polar = _soft_polar if soft else _solved.nearest_rotation
    nearest = itq.next_rotation if soft else _nearest
    turn_rows = turn_columns = turn
    h, g = sign(turn @ rows), sign(turn @ columns)
    for _ in range(rounds):
        predicted = 0.5 + h.T @ g / (2 * bits)
        sigma = np.sum(predicted * matrix) / np.sum(predicted**2)
        pull = weight * sigma / (2 * bits * count * width)
        centred = matrix - sigma / 2
        h = turn_rows @ rows / count + pull * g @ centred.T
        h = sign(polar(h))
        g = sign(polar(turn_columns @ columns / width + pull * h @ centred))
        turn_rows = nearest(h @ rows.T, turn_rows)
        turn_columns = nearest(g @ columns.T, turn_columns)
    return h, g, turn_rows, turn_columns


def _soft_signs(real):
    return _solved.soft_signs(real, _SOFT)


def _nearest(pull, turn):
    return _solved.nearest_rotation(pull)


def _soft_polar(matrix):
    """The orthonormal factor, without directions that hold nearly nothing."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    share = values / np.hypot(values, _SOFT_DIRECTIONS * values[0])
    return left * share @ right


class Collaborative(itq.Projection):
    """A linear head, and the codes of the columns."""

    def build(self, input_shape):
        super().build(input_shape)
        heads.constant(self, "columns", (input_shape[-1], self.bits), "int8")


class CollaborativeHashing(_solved.SolvedHash):
    """Codes of images and of the features that describe them, without labels.

    Args:
        bits: int, code length, at most the number of features.

    Raises:
        ValueError: more bits than features, or as `HashModel`; `adapt` refuses
            features below 0.
    """

    bits_are_directions = True
    nests = False

    def add_head(self, weight=1000.0, rounds=20, seed=0):
        """A linear head, and the constants of its solution.

        Args:
            weight: float, at least 0, of the entries that codes should predict.
            rounds: int, of the alternation.
            seed: int, of the rotations at the start.
        """
        self.settings["rounds"] = check_int(rounds, "rounds", 1)
        self.head = Collaborative(self.bits)

    @property
    def column_codes(self):
        """Packed codes of the features, `uint8 [d, ceil(bits / 8)]`.

        An image and a feature whose codes are near go together.
        """
        self.check_ready()
        return codes.pack(np.array(self.head.columns))

    def solve(self, features, labels):
        if features.min() < 0:
            raise ValueError(
                "CollaborativeHashing takes features of at least 0, such as "
                "counts, or what a ReLU gives. Received: a feature of "
                f"{features.min():g}"
            )
        scale = float(features.max())
        matrix = features.astype("float64") / scale
        mean = matrix.mean(axis=0)
        found = itq.principal(features, self.bits)
        rows = ((matrix - mean) @ found).T
        # Components of the columns, whose means are those of the rows.
        centred = matrix - matrix.mean(axis=1, keepdims=True)
        values, vectors = _solved.leading_directions(
            centred.T @ centred, self.bits
        )
        columns = (vectors * np.sqrt(np.maximum(values, 0))).T
        random = np.random.RandomState(self.settings["seed"])
        start = random.standard_normal((self.bits, self.bits))
        with _solved.one_thread():
            _, g, turn, _ = alternate(
                matrix,
                rows,
                columns,
                _solved.nearest_rotation(start),
                self.settings["weight"],
                self.settings["rounds"],
            )
        weights = {
            "mean": mean * scale,
            "projection": found @ turn.T,
            "columns": codes.sign(g.T),
        }
        return weights, np.sum(~found.any(axis=0))
