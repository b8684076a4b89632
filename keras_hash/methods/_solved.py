"""Methods that are solved on the features of a backbone, not trained on them.

The backbone is used as it is, so it should be a trained one: with
`backbone_weights="imagenet"`, from another model, or `"features"` where the
features are computed already.
"""

import sys

import keras
import numpy as np
from keras import ops

from keras_hash import forks
from keras_hash import progress
from keras_hash import similarity
from keras_hash.data import reading
from keras_hash.methods.base import HashModel

# Eigenvalues below this share of the largest hold nothing.
_EMPTY = 1e-5
# Values that differ by less than this share are taken for equal.
TIE = 1e-3
# Signs are soft where values are below this share of their spread.
_SOFT = 0.1


class SolvedHash(HashModel):
    """Base of models whose head is solved in closed form or by iteration.

    `fit` and `adapt` are the same here, and `compile` is not needed. In a
    subclass `add_head` sets a head of `heads.constant` weights, one of them
    `projection`, which `solve` finds.
    """

    supervised = False
    trained = False
    augmentation = ()
    # Whether bits are directions of the features, at most as many as features.
    bits_are_directions = False

    def finish(self):
        if self.hidden is not None:
            raise ValueError(
                f"{type(self).__name__} is solved on the features of the "
                "backbone: there is no hidden layer to train. Received: "
                f"hidden={self.hidden.dense.units}"
            )
        super().finish()
        size = self.backbone.output_shape[-1]
        if self.bits_are_directions and self.bits > size:
            raise ValueError(
                f"{type(self).__name__} has at most as many bits as the "
                f"backbone has features, {size}; take fewer bits, a wider "
                f"backbone, or SH or KSH. Received: bits={self.bits}"
            )

    def solve(self, features, labels):
        """Weights of the head by name, and how many directions are empty.

        Of `float32 [n, d]`. Ties are broken in a fixed way, as by
        `leading_directions`.
        """
        raise NotImplementedError

    def adapt(self, images, labels=None, batch_size=256, verbose="auto"):
        """Solves the head on the features of images; the backbone stays.

        Patches are not whitened either: load a trained `"cifar"` backbone.
        Features that differ by 1e-6 of their values give the same codes, so
        these depend neither on the batch size nor on the processor. Directions
        of the features whose share is below 1e-5 of the largest are empty: they
        count nothing, and a line on stderr says how many there are.

        Args:
            images: as for `encode`; a dataset should yield `(image, label)`, or
                dicts with `image` and `label`, where labels are needed.
            labels: int `[n]` or multi-hot `[n, num_classes]`, of an array of
                images. Methods without supervision do not look at them.
            batch_size: int, images whose features are computed at once, for
                arrays and unbatched datasets.
            verbose: as for `encode`; `False` is silent.

        Raises:
            ValueError: labels that are missing, wrong or all the same, fewer
                images than bits, or features that are not finite or all the
                same.
        """
        forks.check()
        self._check_runtime()
        spec = getattr(images, "element_spec", None)
        if isinstance(spec, tuple) and len(spec) > 2:
            raise ValueError(
                f"{type(self).__name__} takes no weights of images. "
                f"Received: element_spec={spec}"
            )
        if not self.supervised:
            labels = None
        batches, steps = reading.read(
            images, labels, batch_size, self.image_shape
        )
        forward = self._features_of_batch()
        features, found = [], []
        for batch, label in progress.track(batches, steps, "Features", verbose):
            batch = ops.convert_to_numpy(forward(batch)).astype("float32")
            features.append(batch)
            if self.supervised:
                label = similarity.check_labels(label, self.num_classes)
            found.append(label)
        features = self._check_features(features)
        targets = self._check_targets(found) if self.supervised else None
        weights, empty = self.solve(features, targets)
        for name, value in weights.items():
            getattr(self.head, name).assign(value)
        if empty and verbose:
            print(
                f"{type(self).__name__}: {empty} directions are empty, below "
                f"{_EMPTY:g} of the largest, and count nothing",
                file=sys.stderr,
            )

    def fit(self, x=None, y=None, **kwargs):
        """Solves the head: `adapt` under the usual name.

        Args:
            x: images or a dataset, see `adapt`.
            y: labels of an image array.
            **kwargs: `batch_size` and `verbose`, see `adapt`.

        Returns:
            A `keras.callbacks.History` without epochs.

        Raises:
            ValueError: as `adapt`, and other arguments of
                `keras.Model.fit`, which would do nothing.
        """
        unknown = sorted(set(kwargs) - {"batch_size", "verbose"})
        if unknown:
            raise ValueError(
                f"{type(self).__name__} is solved, not trained: `fit` takes "
                "x, y, batch_size and verbose only. "
                f"Received: {', '.join(unknown)}"
            )
        self.adapt(x, y, **kwargs)
        history = keras.callbacks.History()
        history.set_model(self)
        history.on_train_begin()
        return history

    def default_loss(self):
        raise ValueError(
            f"{type(self).__name__} is solved, not trained: call `adapt` or "
            "`fit` with the images, without `compile`."
        )

    def check_ready(self):
        if not np.any(ops.convert_to_numpy(self.head.projection)):
            raise ValueError(
                f"This {type(self).__name__} has not seen any data: call "
                "`adapt` first, with the training images."
            )

    def _check_features(self, features):
        count, least = sum(map(len, features)), max(self.bits, 2)
        if count < least:
            raise ValueError(
                f"{type(self).__name__} with {self.bits} bits needs at least "
                f"{least} images. Received: {count}"
            )
        features = np.concatenate(features)
        if features.ndim != 2:
            raise ValueError(
                "The backbone should give [n, features]; end it with a "
                f"pooling layer. Received: features.shape={features.shape}"
            )
        bad = ~np.isfinite(features).all(axis=1)
        if bad.any():
            raise ValueError(
                "Features should be finite. Received: NaN or infinity for "
                f"{bad.sum()} of {len(bad)} images, first for image "
                f"{np.flatnonzero(bad)[0]}"
            )
        if (features == features[0]).all():
            raise ValueError(
                f"The features of all images are the same. Received: "
                f"{len(features)} images"
            )
        return features

    def _check_targets(self, found):
        labels = np.concatenate(found)
        if (labels == labels[0]).all():
            raise ValueError(
                "All images have the same labels: nothing tells them apart. "
                f"Received: {labels[0]} for all {len(labels)} images"
            )
        return labels.astype("int64")


def one_thread():
    """Keeps many small products from threads that wait for each other, which
    takes many times longer where other programs run too; for a `with`."""
    import threadpoolctl

    return threadpoolctl.threadpool_limits(1, "blas")


def chunks(features, mean, rows=4096):
    """Features about their mean in float64, a part at a time."""
    for start in range(0, len(features), rows):
        yield features[start : start + rows].astype("float64") - mean


def projected(features, mean, directions):
    """Features about their mean along directions, `float64 [n, bits]`."""
    parts = chunks(features, mean)
    return np.concatenate([part @ directions for part in parts])


def covariance(left, right, rows=4096):
    """Covariance between the columns of two arrays, divided by their length."""
    sides = [
        chunks(side, side.mean(axis=0, dtype="float64"), rows)
        for side in (left, right)
    ]
    return sum(a.T @ b for a, b in zip(*sides)) / len(left)


def spectrum(matrix):
    """Eigenvalues of a symmetric matrix and vectors, largest first, without
    those below `_EMPTY` of the largest, which noise of float32 makes."""
    values, vectors = np.linalg.eigh(matrix)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = max(1, np.sum(values > _EMPTY * np.abs(values).max()))
    return values[:kept], vectors[:, :kept]


def tied(values, least=0.0):
    """Numbers the groups of nearly equal values, in order: 0, 0, 1 ..."""
    level = np.maximum(np.abs(values[:-1]), least)
    return np.append(0, np.cumsum(np.abs(np.diff(values)) > TIE * level))


def leading_directions(matrix, count, basis=None):
    """Leading eigenvalues and vectors, of which noise picks neither sign nor
    order; 0 where the spectrum has ended.

    Of eigenvalues that are nearly equal only the common space is certain. Its
    basis here is the one nearest to fixed random directions, which also gives
    a single vector its sign. With a `basis` `[e, d]` of eigenvectors, in whose
    terms the matrix is, these are fixed in the space outside.
    """
    values, vectors = spectrum(matrix)
    groups = tied(values, least=TIE * np.abs(values).max())
    shown = vectors if basis is None else basis @ vectors
    for number in range(groups[-1] + 1):
        group = groups == number
        fixed = fixed_directions(len(shown), np.sum(group))
        turn = nearest_rotation(shown[:, group].T @ fixed)
        vectors[:, group] = vectors[:, group] @ turn
    missing = (0, max(0, count - len(values)))
    return (
        np.pad(values, missing)[:count],
        np.pad(vectors, ((0, 0), missing))[:, :count],
    )


def soft_signs(real, share=_SOFT):
    """+1 and -1, and in between below a share of the spread, so that noise
    moves them little."""
    spread = np.sqrt(np.mean(real**2))
    # Of nothing but zeros, all are in between.
    return np.clip(real / max(share * spread, np.finfo("float64").tiny), -1, 1)


def fixed_directions(size, count):
    """The same random directions every time, `float64 [size, count]`."""
    return np.random.RandomState(0).standard_normal((count, size)).T


def nearest_rotation(matrix):
    """The nearest matrix to another whose rows, or columns, are orthonormal."""
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    return left @ right
