"""Labels: what they may be, and how alike two label sets are.

Labels are int `[n]` or `[n, 1]`, or multi-hot `[n, num_classes]`. The four
measures take the number of shared labels and the sizes of both sets:
arrays that broadcast, or tensors with `xp=keras.ops`. Sets without labels are
guarded: two empty sets have similarity 0. `pairs` computes a measure for all
pairs of two batches of labels, inside a graph as well.
"""

import numpy as np
from keras import ops


def any_shared(shared, a_size, b_size, xp=np):
    """Whether there is a label in common, 0 or 1."""
    return xp.minimum(shared, 1)


def shared_count(shared, a_size, b_size, xp=np):
    """The number of labels in common, in the shape of the sizes."""
    return shared + 0.0 * (a_size + b_size)


def jaccard(shared, a_size, b_size, xp=np):
    """Jaccard coefficient: labels in common over labels in either set."""
    return shared / xp.maximum(a_size + b_size - shared, 1)


def cosine(shared, a_size, b_size, xp=np):
    """Cosine of the multi-hot label vectors."""
    return shared / xp.sqrt(xp.maximum(1.0 * a_size * b_size, 1))


# What the names of graded metrics start with.
GRADES = {"": shared_count, "jaccard_": jaccard, "cosine_": cosine}


def pairs(labels, ref_labels, measure=any_shared):
    """A measure for every pair of two batches, a float32 tensor `[n, m]`.

    One side may hold class numbers and the other multi-hot rows.
    """
    a, b = (ops.convert_to_tensor(side) for side in (labels, ref_labels))
    width = max(
        side.shape[-1] if len(side.shape) == 2 else 1 for side in (a, b)
    )
    if width == 1:
        a, b = (ops.reshape(ops.cast(side, "int32"), (-1,)) for side in (a, b))
        shared, one = ops.cast(a[:, None] == b, "float32"), ops.ones(())
        return measure(shared, one, one, ops)
    a, b = multi_hot(a, width), multi_hot(b, width)
    shared = a @ ops.transpose(b)
    return measure(shared, ops.sum(a, axis=1)[:, None], ops.sum(b, axis=1), ops)


def multi_hot(labels, num_classes):
    """Labels as multi-hot rows, float32 `[n, num_classes]`."""
    if len(labels.shape) == 2 and labels.shape[-1] == num_classes:
        return ops.cast(labels, "float32")
    labels = ops.reshape(ops.cast(labels, "int32"), (-1,))
    return ops.one_hot(labels, num_classes, dtype="float32")


def check_labels(labels, num_classes):
    """Refuses labels that a model of so many classes cannot have."""
    wrong_width = labels.ndim == 2 and labels.shape[1] not in (1, num_classes)
    if labels.ndim not in (1, 2) or wrong_width:
        raise ValueError(
            f"Labels should be ints [n] or multi-hot [n, {num_classes}]. "
            f"Received: labels.shape={labels.shape}"
        )
    numbers = labels.ndim == 1 or labels.shape[1] == 1
    top = num_classes - 1 if numbers else 1
    if len(labels) and not (labels.min() >= 0 and labels.max() <= top):
        raise ValueError(
            f"Labels should lie in 0 .. {top} for num_classes={num_classes}. "
            f"Received: values from {labels.min()} to {labels.max()}"
        )
