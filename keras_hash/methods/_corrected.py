"""Labels that features correct: by prototypes of each class, in a bank."""

import keras
import numpy as np
from keras import ops

from keras_hash import heads
from keras_hash.methods import _bank


def prototypes(features, count=8, spread=0.7):
    """Up to so many dense rows of `[m, d]`, few of them in one place."""
    rows = np.asarray(features, "float64")
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1)[:, None], 1e-12)
    # Rounded: equal images are equally near on every machine.
    near = np.round(rows @ rows.T, 5)
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


def labels_of(features, labels, most=1000):
    """One-hot rows: the class whose prototypes, chosen from so many images of
    it at most, are nearest to each image."""
    rows = features / np.maximum(
        np.linalg.norm(features, axis=1)[:, None], 1e-12
    )
    nearness = np.full(labels.shape, -np.inf)
    for place, members in enumerate(labels.T):
        own = np.flatnonzero(members)
        if len(own) > most:
            some = np.random.RandomState(place).permutation(len(own))[:most]
            own = own[np.sort(some)]
        if len(own):
            chosen = rows[own[prototypes(rows[own])]]
            nearness[:, place] = np.round(rows @ chosen.mean(axis=0), 5)
    return np.eye(labels.shape[1], dtype="uint8")[nearness.argmax(axis=1)]


@keras.saving.register_keras_serializable(package="keras_hash")
class CorrectedBank(_bank.MemoryBank):
    """A memory bank with corrected labels beside those that were given."""

    def __init__(self, size, bits, num_classes, **kwargs):
        super().__init__(size, bits, num_classes, **kwargs)
        heads.constant(self, "corrected", (size, num_classes), "uint8")

    def update(self, index, labels, codes):
        given, corrected = ops.split(labels, 2, axis=1)
        refs = super().update(index, given, codes)
        both = [refs["ref_labels"], self.shown(self.corrected, corrected)]
        return {**refs, "ref_labels": ops.concatenate(both, axis=1)}

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
