"""Labels that features correct: by prototypes of each class, in a bank."""

import keras
import numpy as np
from keras import ops

from keras_hash import heads
from keras_hash.methods import _bank

# Images of a class that prototypes are chosen from, and how many of them.
_MOST, _COUNT = 1000, 8


def prototypes(features, count=_COUNT, spread=0.7):
    """Up to so many dense rows of `[m, d]`, few of them in one place."""
    rows = np.asarray(features, "float64")
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1)[:, None], 1e-12)
    near = rows @ rows.T
    near = (near + near.T) / 2
    median = np.sort(near, axis=1)[:, len(rows) // 2]
    density = np.sign(near - median).sum(axis=1)
    denser = density[:, None] < density
    eta = np.where(
        density < density.max(), (denser * near).max(axis=1), near.min(axis=1)
    )
    kept = eta < eta.min() + spread * (eta.max() - eta.min())
    ranked = np.sort(density * kept)[::-1]
    found = np.array([], int)
    if len(rows) > count:
        found = np.flatnonzero(kept & (density > ranked[count]))
    return found if len(found) else np.arange(len(rows))


def labels_of(features, labels):
    """One-hot rows: the class whose prototypes are nearest to each image."""
    rows = features / np.maximum(
        np.linalg.norm(features, axis=1)[:, None], 1e-12
    )
    nearness = np.full(labels.shape, -np.inf)
    for place, members in enumerate(labels.T):
        own = np.flatnonzero(members)
        if len(own) > _MOST:
            some = np.random.RandomState(place).permutation(len(own))[:_MOST]
            own = own[np.sort(some)]
        if len(own):
            chosen = rows[own[prototypes(rows[own])]]
            nearness[:, place] = rows @ chosen.mean(axis=0)
    return np.eye(labels.shape[1], dtype="uint8")[nearness.argmax(axis=1)]


@keras.saving.register_keras_serializable(package="keras_hash")
class CorrectedBank(_bank.MemoryBank):
    """A memory bank with corrected labels beside those that were given."""

    def __init__(self, size, bits, num_classes, **kwargs):
        super().__init__(size, bits, num_classes, **kwargs)
        heads.constant(self, "corrected", (size, num_classes), "uint8")

    def update(self, index, labels, codes):
        given = labels[:, : self.labels.shape[1]]
        refs = super().update(index, given, codes)
        beside = [refs["ref_labels"], ops.cast(self.corrected, "float32")]
        return {**refs, "ref_labels": ops.concatenate(beside, axis=1)}

    def correct(self, backbone, batches):
        """Chooses the corrected labels of all images that are read."""
        features, places = [], []
        for images, index in batches:
            shown = backbone(images, training=False)
            features.append(ops.convert_to_numpy(shown).astype("float32"))
            places.append(index)
        places = np.concatenate(places)
        given = ops.convert_to_numpy(self.labels)[places]
        rows = ops.convert_to_numpy(self.corrected).copy()
        rows[places] = labels_of(np.concatenate(features), given)
        self.corrected.assign(rows)
