"""CollaborativeHashing: codes of the rows and columns of a matrix at once.

For a matrix of numbers of at least 0, such as images by visual words or users
by products, codes of rows and of columns should predict its entries.

    min 1/n |H - R_h U_h|^2 + 1/m |G - R_g U_g|^2
        + lambda / nm |sigma (1/2 + H'G / 2 bits) - U|^2
    U_h, U_g: principal components of rows and columns; R rotations

When to use: words by images, users by items, where columns need codes too
(`column_codes`). On features of networks ITQ is as good or better.
Cost: O(n d^2 + d^3), then 20 rounds of O(n d bits).
Other code: none is published. Features are divided by their largest value. So
that rounding decides nothing, signs are soft below twice the spread while the
rotations are sought, and weak directions count less: retrieval is the same (mAP
.630, hard ones .632, ITQ .638, at 32 bits of MIRFLICKR).
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
_SIGNS, _DIRECTIONS = 2.0, 0.1


def alternate(matrix, rows, columns, turn, weight, rounds, soft=1.0):
    """Codes `[bits, n]` and `[bits, m]`, and their rotations; hard ones where
    `soft` is nearly 0."""
    (count, width), bits = matrix.shape, len(turn)

    def signs(real):
        return _solved.soft_signs(real, soft * _SIGNS)

    def polar(matrix):
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        tiny = np.finfo("float64").tiny
        least = max(soft * _DIRECTIONS * values[0], tiny)
        return left * (values / np.hypot(values, least)) @ right

    turn_rows = turn_columns = turn
    h, g = signs(turn @ rows), signs(turn @ columns)
    for _ in range(rounds):
        predicted = 0.5 + h.T @ g / (2 * bits)
        sigma = np.sum(predicted * matrix) / np.sum(predicted**2)
        pull = weight * sigma / (2 * bits * count * width)
        centred = matrix - sigma / 2
        h = signs(polar(turn_rows @ rows / count + pull * g @ centred.T))
        g = signs(polar(turn_columns @ columns / width + pull * h @ centred))
        turn_rows = itq.next_rotation(h @ rows.T, turn_rows)
        turn_columns = itq.next_rotation(g @ columns.T, turn_columns)
    return h, g, turn_rows, turn_columns


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
        """Packed codes of the features, `uint8 [d, ceil(bits / 8)]`, near those
        of images that have them."""
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
            start = _solved.nearest_rotation(start)
            rule = self.settings["weight"], self.settings["rounds"]
            _, g, turn, _ = alternate(matrix, rows, columns, start, *rule)
        weights = {
            "mean": mean * scale,
            "projection": found @ turn.T,
            "columns": codes.sign(g.T),
        }
        return weights, np.sum(~found.any(axis=0))
