"""Views of an image in a batch: `[n, views, ...]` as they are fed, `[views * n,
...]` in the model and its loss, the rows of the first view first."""

import keras
import numpy as np
from keras import ops

from keras_hash.data import feed
from keras_hash.data import reading


def folded(batch):
    """Rows of all views, of a batch that has them side by side."""
    rest = ops.shape(batch)[2:]
    return ops.reshape(ops.swapaxes(batch, 0, 1), (-1, *rest))


def apart(outputs, views):
    """Outputs `[n, views, ...]`, whose rows several devices can gather."""

    def side_by_side(rows):
        rows = ops.reshape(rows, (views, -1, *ops.shape(rows)[1:]))
        return ops.swapaxes(rows, 0, 1)

    return keras.tree.map_structure(side_by_side, outputs)


def for_loss(loss, views, outputs, index, labels, weights):
    """A batch as its loss takes it, from outputs `[n, views, ...]`.

    To a loss that compares no views, each is an image of its own. A last batch
    that is too short, or odd where halves are compared, repeats an image.
    """
    if loss.views > 1:
        reading.check_views(views, loss.views)
    batch = (outputs, index, labels, weights)
    count = ops.shape(keras.tree.flatten(outputs)[0])[0]
    missing = missing_rows(loss, count)
    if not isinstance(missing, int) or missing:
        # Slices, as devices exchange no sparse gradients.
        batch = keras.tree.map_structure(
            lambda rows: (
                None
                if rows is None
                else ops.concatenate([rows] * loss.least)[: count + missing]
            ),
            batch,
        )
    outputs, *others = batch
    outputs = keras.tree.map_structure(folded, outputs)
    if views > loss.views == 1:
        others = [
            None if rows is None else ops.concatenate([rows] * views)
            for rows in others
        ]
    return outputs, *others


def missing_rows(loss, count):
    """How many images a batch of so many lacks, an int or a tensor."""
    if loss.least == 1:
        return 0
    if loss.even:
        return count % 2
    short = count < loss.least
    return int(short) if isinstance(short, bool) else ops.cast(short, "int32")


def features_of(model, data, batch_size):
    """Features `float32 [size, 2, d]` of two views of all training images, an
    array of them or batches with the index."""
    name, size = type(model).__name__, model.bank.size
    found = feed.feature_views(model.backbone, data, batch_size)
    reading.check_views(found.shape[1], 2)
    if len(found) != size:
        raise ValueError(
            "`bank_size` should be the number of training images, all of which "
            f"`adapt` should see. Received: bank_size={size}, {len(found)} "
            "images"
        )
    alike = (found == found[0]).all(axis=(0, 2))
    if not np.isfinite(found).all() or alike.any():
        raise ValueError(
            f"{name} needs features that are finite and not all the same. "
            f"Received: features of {size} images from {found.min()} to "
            f"{found.max()}"
        )
    return found
