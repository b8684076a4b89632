"""SH: spectral hashing.

If features were uniform in a box along their principal directions, the
smoothest balanced codes would be the signs of standing waves along its sides;
the waves of the lowest frequencies are taken, the long sides get several.

    u_b = cos(pi k_b (x_i - min_i) / r_i),   i = i(b),  r_i = max_i - min_i

When to use: as the classical baseline without labels. Long codes of few
directions repeat themselves: ITQ is usually better.
Cost: the covariance of d features, O(n d^2 + d^3).
Other code: as the authors', whose product of sines has one factor that is not
1 for each bit.
Reference: Weiss, Torralba and Fergus, "Spectral Hashing", NIPS 2008.
"""

import numpy as np
from keras import ops

from keras_hash import heads
from keras_hash.methods import _solved
from keras_hash.methods import itq


def modes(ranges, bits):
    """The side and the half waves of the lowest standing waves in a box.

    Sides of length 0 have none; waves of nearly equal frequency are in the
    order of their sides.
    """
    counts = np.ceil((bits + 1) * ranges / ranges.max()).astype(int) - 1
    counts = np.maximum(counts, 0)
    sides = np.repeat(np.arange(len(ranges)), counts)
    halves = np.concatenate([np.arange(1, count + 1) for count in counts])
    frequencies = halves / ranges[sides]
    order = np.argsort(frequencies, kind="stable")
    groups = _solved.tied(frequencies[order])
    order = order[np.lexsort((sides[order], groups))][:bits]
    return sides[order], halves[order]


class Waves(itq.Projection):
    """`cos((features - mean) @ projection + phase)`."""

    def build(self, input_shape):
        super().build(input_shape)
        heads.constant(self, "phase", (self.bits,))

    def call(self, features):
        return ops.cos(super().call(features) + self.phase)


class SH(_solved.SolvedHash):
    """Spectral hashing, without labels."""

    def add_head(self):
        self.head = Waves(self.bits)

    def solve(self, features, labels):
        mean = features.mean(axis=0, dtype="float64")
        count = min(self.bits, features.shape[1])
        directions = itq.principal(features, count)
        projected = _solved.projected(features, mean, directions)
        lowest = projected.min(axis=0)
        ranges = projected.max(axis=0) - lowest
        sides, halves = modes(ranges, self.bits)
        frequencies = np.pi * halves / ranges[sides]
        weights = {
            "mean": mean,
            "projection": directions[:, sides] * frequencies,
            "phase": -lowest[sides] * frequencies,
        }
        return weights, np.sum(~directions.any(axis=0))
