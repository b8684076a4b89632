"""One clear error for what cannot be labels."""


def check_labels(labels, num_classes):
    """Refuses labels that a model of so many classes cannot have.

    Args:
        labels: array, int `[n]` or `[n, 1]`, or multi-hot `[n, num_classes]`.
        num_classes: int.

    Raises:
        ValueError: another shape, or values out of range.
    """
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
