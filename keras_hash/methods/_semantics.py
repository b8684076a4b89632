"""What features of two views say of pairs of images: who is similar, and how
sure that is; kept for all training images, for CIMON."""

import math

import keras
import numpy as np
from keras import ops

from keras_hash import heads
from keras_hash.codes import check_int
from keras_hash.methods import _solved

# Most directions of the features that are kept.
_WIDTH = 256
# Most images whose pairs are counted.
_SAMPLE = 5000


@keras.saving.register_keras_serializable(package="keras_hash")
class PairStore(keras.layers.Layer):
    """Features and clusters of both views of all images, by sample index, and
    for each view the threshold, mode and spreads of their distances."""

    def __init__(self, size, width, **kwargs):
        super().__init__(trainable=False, dtype="float32", **kwargs)
        self.size = check_int(size, "bank_size")
        width = min(width, _WIDTH)
        heads.constant(self, "features", (self.size, 2, width))
        heads.constant(self, "clusters", (self.size, 2), "int32")
        heads.constant(self, "scalars", (2, 4))
        self.built = True

    def update(self, index, labels, codes):
        """Nothing changes in training, and the loss takes no references."""
        return {}

    def filled(self):
        """Whether features are known."""
        return bool(np.any(ops.convert_to_numpy(self.scalars)))

    def fill(self, features, clusters, threshold, quantile):
        """Finds what is stored from `float32 [size, 2, d]`."""
        if len(features) < clusters:
            raise ValueError(
                "There should be at least as many images as clusters. "
                f"Received: {len(features)} images, clusters={clusters}"
            )
        found = [_kept(_unit(features[:, view])) for view in (0, 1)]
        groups = [_clusters(rows, clusters) for rows in found]
        self.features.assign(np.stack(found, axis=1))
        self.clusters.assign(np.stack(groups, axis=1))
        self.scalars.assign([statistics(x, threshold, quantile) for x in found])

    def pairs(self, index):
        """Similarities +1 and -1 of the images of a batch, and confidences in
        0..1, `[2, n, n]` each, as the loss takes them."""
        index = ops.cast(index, "int32")
        features = ops.take(self.features, index, axis=0)
        clusters = ops.take(self.clusters, index, axis=0)
        found = [
            targets(features[:, view], clusters[:, view], self.scalars[view])
            for view in (0, 1)
        ]
        similar, confidence = map(ops.stack, zip(*found))
        return {"similar": similar, "confidence": confidence}


def targets(features, clusters, scalars):
    """Similarity of pairs of one view, and how far it is to be trusted: not at
    all where the clusters say otherwise."""
    threshold, mode, *spreads = [scalars[i] for i in range(4)]
    itself = ops.eye(ops.shape(features)[0], dtype="float32")
    distance = (1 - features @ ops.transpose(features)) * (1 - itself)
    near = distance <= threshold
    low, high = (_normal(distance, mode, spread) for spread in spreads)
    least, most = (_normal(threshold, mode, spread) for spread in spreads)
    sure = ops.where(
        near,
        (least - low) / ops.maximum(least, 1e-7),
        (high - most) / ops.maximum(1 - most, 1e-7),
    )
    agree = ops.equal(clusters[:, None] == clusters, near)
    confidence = ops.clip(sure, 0.0, 1.0) * ops.cast(agree, "float32")
    return ops.where(near, 1.0, -1.0), confidence


def statistics(features, threshold=0.1, quantile=None):
    """Threshold, mode and both spreads of the distances of unit features.

    The mode is the lower edge of the fullest of 100 bins in 0..1; a spread is
    that of the distances on one side of it, and of their mirror images.
    """
    random = np.random.RandomState(0)
    if len(features) > _SAMPLE:
        features = features[random.permutation(len(features))[:_SAMPLE]]
    distance = np.maximum(1 - features @ features.T, 0)
    np.fill_diagonal(distance, 0)
    if quantile is not None:
        rows, columns = np.triu_indices(len(features), 1)
        threshold = np.quantile(distance[rows, columns], quantile)
    bins = np.floor(100 * distance)
    inside = (100 * distance > bins) & (bins < 100)
    counts = np.bincount(bins[inside].astype(int), minlength=100)
    mode = np.argmax(counts) / 100
    gap = distance - mode
    halves = gap[gap <= 0], gap[gap > 0]
    spreads = [
        math.sqrt(np.mean(half**2, dtype="float64")) if len(half) else 0.0
        for half in halves
    ]
    return [threshold, mode, *(max(spread, 1e-6) for spread in spreads)]


def _normal(value, mean, spread):
    """The distribution function of the normal distribution."""
    return (1 + ops.erf((value - mean) / (spread * math.sqrt(2)))) / 2


def _unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def _kept(rows):
    """Unit features on their leading directions about 0, of length 1 again."""
    if rows.shape[1] <= _WIDTH:
        return rows
    squares = sum(x.T @ x for x in _solved.chunks(rows, 0.0))
    _, directions = _solved.leading_directions(squares, _WIDTH)
    return _unit(rows @ directions.astype("float32"))


def _clusters(rows, count):
    """The cluster of each image, `int32 [n]`, the same every time."""
    from sklearn import cluster

    with _solved.one_thread():
        means = cluster.KMeans(count, n_init=1, random_state=0)
        return means.fit_predict(rows).astype("int32")
