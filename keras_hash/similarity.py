"""Labels: what they may be, and how alike two label sets are.

Labels are int `[n]` or `[n, 1]`, or multi-hot `[n, num_classes]`, in training
also rows of shares in 0..1: `check_labels` decides, for every way in. The four
measures take the number of shared labels and the sizes of both sets:
arrays that broadcast, or tensors with `xp=keras.ops`. Of rows of shares these
are inner products, of both rows and of each with itself, so that equal rows are
wholly alike. Sets without labels are guarded: two empty sets have similarity 0.
`pairs` computes a measure for all
pairs of two batches of labels, inside a graph as well.
"""

import contextlib

import numpy as np
from keras import ops


def any_shared(shared, a_size, b_size, xp=np):
    """Whether there is a label in common, 0 or 1."""
    return xp.sign(shared)


def shared_count(shared, a_size, b_size, xp=np):
    """The number of labels in common, in the shape of the sizes."""
    return shared + 0.0 * (a_size + b_size)


def jaccard(shared, a_size, b_size, xp=np):
    """Jaccard coefficient: labels in common over labels in either set."""
    either = a_size + b_size - shared
    return shared / xp.where(either > 0, either, 1)


def cosine(shared, a_size, b_size, xp=np):
    """Cosine of the multi-hot label vectors."""
    both = 1.0 * a_size * b_size
    return shared / xp.sqrt(xp.where(both > 0, both, 1))


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
    a_size, b_size = (ops.sum(ops.square(side), axis=1) for side in (a, b))
    return measure(shared, a_size[:, None], b_size, ops)


def multi_hot(labels, num_classes):
    """Labels as multi-hot rows, float32 `[n, num_classes]`."""
    if len(labels.shape) == 2 and labels.shape[-1] == num_classes:
        return ops.cast(labels, "float32")
    labels = ops.reshape(ops.cast(labels, "int32"), (-1,))
    return ops.one_hot(labels, num_classes, dtype="float32")


def columns(labels):
    """The names of the labels of a frame of multi-hot rows; None elsewhere."""
    # Arrow's `columns` are the values.
    names = getattr(labels, "column_names", getattr(labels, "columns", None))
    if names is None or len(names) < 2:
        return None
    return [str(name) for name in names]


def check_columns(*named):
    """Refuses the columns of frames unless they are the same labels."""
    named = [columns for columns in named if columns]
    for columns in named[1:]:
        if columns == named[0]:
            continue
        only = sorted(set(columns) ^ set(named[0]))
        raise ValueError(
            "Multi-hot frames should have the same columns in the same order, "
            "since each is a label; `frame.reindex(columns=..., fill_value=0)` "
            "makes them so. Received: "
            + (f"{only} in one of them" if only else f"{named[0]}, {columns}")
        )


def check_labels(
    labels,
    num_classes=None,
    name="labels",
    count=None,
    soft=False,
    unlabelled=False,
):
    """The one check of labels: class numbers `int64 [n]`, or rows as given.

    What is not known, `num_classes` or the `count` of items, is not checked.
    `soft` allows shares in 0..1, `unlabelled` the class number -1.
    """
    if labels is None:
        raise ValueError(
            "Labels are missing: pass images and labels, or a dataset of "
            f"(image, label). Received: {name}=None"
        )
    subject = "Labels" if name == "labels" else f"`{name}`"

    def refuse(expected, received):
        raise ValueError(f"{subject} {expected}. Received: {received}")

    items = "n" if count is None else count
    shapes = (
        f"should be ints [{items}] or multi-hot "
        f"[{items}, {num_classes or 'num_classes'}], one row an item"
    )
    if hasattr(labels, "nested_row_splits"):
        # Filled up with zeros they would be of other classes.
        refuse(shapes, "a ragged tensor")
    if np.ma.is_masked(labels):
        refuse("should be there for every item", "a masked array")
    try:
        # Keras converts tensors of any backend, which may lie on a device.
        tensor = ops.is_tensor(labels)
        given = labels
        labels = ops.convert_to_numpy(labels) if tensor else np.asarray(labels)
        if labels.dtype.kind == "V" and "float" in labels.dtype.name:
            # A kind that NumPy does not know, such as bfloat16.
            labels = labels.astype("float32")
    except ValueError:
        refuse(shapes, "rows of several lengths")
    if labels.dtype == object and hasattr(given, "iloc"):
        # Columns of pandas' own numbers, in which something may be missing.
        with contextlib.suppress(ValueError, TypeError):
            labels = given.to_numpy("float64")
    if hasattr(given, "toarray"):
        refuse("should be a dense array, `labels.toarray()`", "a sparse one")
    if labels.dtype.kind not in "biuf":
        refuse(
            "should hold numbers; `np.unique(all_names, return_inverse=True)"
            "[1]` makes them of the names of all sets together",
            f"{name}.dtype={labels.dtype}",
        )
    width = labels.shape[1] if labels.ndim == 2 else 1
    wrong = width not in (1, num_classes or width) or width == 0
    if labels.ndim not in (1, 2) or wrong or count not in (None, len(labels)):
        refuse(shapes, f"{name}.shape={labels.shape}")
    numbers = width == 1
    labels = labels.reshape(-1) if numbers else labels
    finite = np.isfinite(labels)
    if not finite.all():
        bad = f"NaN or infinity in {np.sum(~finite)} of {labels.size} values"
        refuse("should be finite", bad)
    if not labels.size:
        return labels.astype("int64") if numbers else labels
    least = -1 if numbers and unlabelled else 0
    top = (num_classes or 1 << 63) - 1 if numbers else 1
    low, high = labels.min().item(), labels.max().item()
    kind = "class numbers from 0 on" if numbers else "multi-hot, 0 and 1 only"
    kind = f"of rank {labels.ndim} should be {kind}"
    if least < 0:
        kind += ", or -1 for an item without a label"
    if not least <= low <= high <= top:
        if num_classes is not None:
            kind = f"should lie in 0 .. {top} for num_classes={num_classes}"
        refuse(kind, f"values from {low} to {high}")
    if (numbers or not soft) and (labels != np.floor(labels)).any():
        refuse(kind, f"{name}.dtype={labels.dtype} with fractions")
    return labels.astype("int64") if numbers else labels
