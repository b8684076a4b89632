"""KSH: supervised hashing with kernels.

Each bit is a linear function of the kernels between an image and some anchors.
Bits are found one after the other, each to correct the inner products of the
codes so far, which should be `bits` for similar pairs and `-bits` for others.

    min sum_ij (<b_i, b_j> - bits s_ij)^2,  u = sum_a p_a (k(x, x_a) - mean_a)
    k(x, x_a) = exp(-||x - x_a||^2 / (2 w)),  w = mean ||x - x_a||^2

When to use: a few thousand labelled images, one or several labels an image,
and a trained backbone.
Cost: kernels, O(n d anchors); up to 500 gradient steps for each bit, each
O(labelled anchors). Encoding needs all anchors.
Other code: the authors solve each spectral step on all directions of the
kernels; those below 1e-5 of the largest, which only rounding errors tell apart,
are left out here. So that rounding errors decide nothing, signs are soft below
a tenth of the spread while the next bit is sought, each refinement starts a
little beside the spectral solution in a fixed direction, takes all its steps
and keeps its real codes small by a ridge. That costs retrieval where there are
many labels: a mAP of .408 on Corel-5K at 32 bits in place of .450.
Reference: Liu, Wang, Ji, Jiang and Chang, "Supervised Hashing with Kernels",
CVPR 2012.
"""

import numpy as np
from keras import ops

from keras_hash import heads
from keras_hash.codes import check_int
from keras_hash.methods import _solved

# How far beside the spectral solution its refinement starts.
_NUDGE = 1e-2
# Ridge on the real codes of a refinement, as a share of the wanted products.
_RIDGE = 1e-2


def kernel(features, anchors, width, xp=np):
    """Gaussian kernels `[n, m]`; `xp` is `keras.ops` for tensors."""
    squares = (
        xp.sum(features**2, axis=1)[:, None]
        + xp.sum(anchors**2, axis=1)
        - 2 * features @ xp.transpose(anchors)
    )
    return xp.exp(-xp.maximum(squares, 0) / (2 * width))


class Residue:
    """What the bits so far leave of `bits * s_ij`, as a matrix to multiply by.

    It is kept by distinct label sets, not by pairs of images.
    """

    def __init__(self, labels, bits):
        sets, self._member = np.unique(labels, axis=0, return_inverse=True)
        alike = sets @ sets.T > 0 if sets.ndim == 2 else np.eye(len(sets)) > 0
        self._member = self._member.reshape(-1)
        self._wanted = bits * np.where(alike, 1.0, -1.0)
        self._done = np.zeros((len(labels), 0))

    def remove(self, code):
        """Subtracts the inner products of one more bit, +1 and -1."""
        self._done = np.column_stack([self._done, code])

    def __matmul__(self, vector):
        sums = np.bincount(self._member, vector, len(self._wanted))
        wanted = (self._wanted @ sums)[self._member]
        return wanted - self._done @ (self._done.T @ vector)


def refine(kernels, residue, start, steps=500, ridge=0.0):
    """Minimises `-phi(K p)' R phi(K p) + ridge ||K p||^2`, with `phi(x) =
    tanh(x / 2)`, by accelerated gradient descent with the authors' line search.
    """
    here = before = start
    at_here = at_before = kernels @ start
    momentum, weight, curvature = 0.0, 1.0, 1.0
    for _ in range(steps):
        push = (momentum - 1) / weight
        probe = here + push * (here - before)
        at_probe = at_here + push * (at_here - at_before)
        smooth = np.tanh(at_probe / 2)
        pull = residue @ smooth
        slope = 2 * ridge * at_probe - pull * (1 - smooth**2)
        gradient = kernels.T @ slope
        along = kernels @ gradient
        bound = ridge * at_probe @ at_probe - smooth @ pull
        fall = gradient @ gradient / 2
        for _ in range(51):
            at_next = at_probe - along / curvature
            moved = np.tanh(at_next / 2)
            lower = ridge * at_next @ at_next - moved @ (residue @ moved)
            if lower <= bound - fall / curvature:
                break
            curvature *= 2
        else:
            break
        before, here = here, probe - gradient / curvature
        at_before, at_here = at_here, at_next
        momentum, weight = weight, (1 + np.sqrt(1 + 4 * weight**2)) / 2
    return here


def greedy(kernels, labels, bits, steps=500):
    """Finds one bit after the other, on centred kernels `[n, m]`: the matrix
    `[m, bits]` to multiply them by, and the number of empty directions.

    Without `steps` of refinement each bit is the spectral solution alone.
    """
    values, basis = _solved.spectrum(kernels.T @ kernels)
    whiten = np.sqrt(len(kernels) / values) * basis
    white = kernels @ whiten
    beside = basis.T @ _solved.fixed_directions(len(basis), 1)[:, 0]
    beside *= _NUDGE / np.linalg.norm(beside)
    ridge = _RIDGE * bits * len(kernels)
    residue = Residue(labels, bits)
    inner = white.T @ np.column_stack([residue @ c for c in white.T])

    def rated(column):
        """The code of a column, and how well it serves the residue."""
        code = _solved.soft_signs(kernels @ column)
        return code, code @ (residue @ code)

    columns = []
    for _ in range(bits):
        leading = _solved.leading_directions(inner, 1, basis)[1][:, 0]
        column = whiten @ leading
        code, score = rated(column)
        if steps:
            start = whiten @ (leading + beside)
            refined = refine(kernels, residue, start, steps, ridge)
            other, better = rated(refined)
            # Of two that are as good as each other, always the spectral one.
            if better > score + _solved.TIE * abs(score):
                column, code = refined, other
        columns.append(column)
        residue.remove(code)
        inner = inner - np.outer(white.T @ code, code @ white)
    return np.column_stack(columns), len(kernels.T) - len(values)


class Kernels(heads.Head):
    """`(kernel(features - mean, anchors) - centre) @ projection`."""

    def __init__(self, bits, anchors):
        super().__init__()
        self.bits, self.count = bits, anchors

    def build(self, input_shape):
        heads.constant(self, "mean", input_shape[-1:])
        heads.constant(self, "anchors", (self.count, input_shape[-1]))
        heads.constant(self, "width", ())
        heads.constant(self, "centre", (self.count,))
        heads.constant(self, "projection", (self.count, self.bits))

    def call(self, features):
        found = kernel(features - self.mean, self.anchors, self.width, ops)
        return (found - self.centre) @ self.projection


class KSH(_solved.SolvedHash):
    """Supervised hashing with kernels, one or several labels an image.

    Images that share a label are similar.

    Raises:
        ValueError: `anchors` or `labelled` is below 2, or as `HashModel`.
    """

    supervised = True

    def add_head(self, anchors=300, labelled=2000, seed=0):
        """Kernels, and the constants of their solution.

        Args:
            anchors: int, images that all others are compared with, drawn at
                random; all of them where there are fewer.
            labelled: int, images whose labels are used, drawn at random; all
                of them where there are fewer.
            seed: int, of both draws.
        """
        self.settings["anchors"] = check_int(anchors, "anchors", 2)
        self.settings["labelled"] = check_int(labelled, "labelled", 2)
        self.head = Kernels(self.bits, self.settings["anchors"])

    def solve(self, features, labels):
        random = np.random.RandomState(self.settings["seed"])
        size = self.settings["anchors"]
        drawn = random.permutation(len(features))[:size]
        taught = random.permutation(len(features))[: self.settings["labelled"]]
        mean = features.mean(axis=0, dtype="float64")
        anchors = features[drawn] - mean
        parts = _solved.chunks(features, mean)
        spread = sum((part**2).sum() for part in parts) / len(features)
        width = spread + (anchors**2).sum() / len(anchors)
        parts = _solved.chunks(features, mean)
        total = sum(kernel(part, anchors, width).sum(axis=0) for part in parts)
        centre = total / len(features)
        kernels = kernel(features[taught] - mean, anchors, width) - centre
        with _solved.one_thread():
            found, empty = greedy(kernels, labels[taught], self.bits)
        # Weights have a fixed shape: anchors that are missing count nothing.
        missing = (0, size - len(anchors))
        weights = {
            "mean": mean,
            "anchors": np.pad(anchors, (missing, (0, 0))),
            "width": width,
            "centre": np.pad(centre, missing),
            "projection": np.pad(found, (missing, (0, 0))),
        }
        return weights, empty
