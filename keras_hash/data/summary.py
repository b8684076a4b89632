"""What a benchmark holds, as text."""

import numpy as np


def text(benchmark, top=10):
    """Counts, frequent labels, chance level and what was left out.

    Args:
        benchmark: a `Benchmark`.
        top: int, labels and names of files that are listed.

    Returns:
        str of several lines.
    """
    parts, targets = benchmark.parts, benchmark.targets
    used = np.unique(np.concatenate([*parts.values()]).astype(int))
    counts = label_counts(targets[used], benchmark.num_classes)
    order = np.argsort(-counts, kind="stable")[:top]
    frequent = [f"{benchmark.labels[i]} {counts[i]}" for i in order]
    more = f", and {len(counts) - top} more" if len(counts) > top else ""
    rows = [
        ("images", f"{len(used)} of {_size(benchmark.images)}"),
        *((name, str(len(indices))) for name, indices in parts.items()),
        ("labels", str(benchmark.num_classes)),
        ("images of each", ", ".join(frequent) + more),
    ]
    if benchmark.multi_label:
        sizes = targets[used].sum(axis=1, dtype="int64")
        mean = sizes.mean() if len(sizes) else 0.0
        rows.append(
            ("labels an image", f"{mean:.2f}; none: {(sizes == 0).sum()}")
        )
    query = parts["query"] if len(parts["query"]) else parts["database"]
    # Of very many queries an even sample, so that it takes seconds.
    query = query[:: -(-len(query) // 10_000) or 1]
    share = chance(targets[query], targets[parts["database"]])
    rows.append(
        ("chance", f"{share:.4f}, that a query shares a label with an image")
    )
    for kind, names in benchmark.notes.items():
        if names:
            rows.append((f"{kind} ({len(names)})", listing(names, top)))
    title = f"{benchmark.name} ({benchmark.protocol})"
    return "\n".join([title, *(f"{key:>16}  {value}" for key, value in rows)])


def listing(names, top=10):
    """Names with reasons in one line.

    Args:
        names: dict from name to reason.
        top: int, how many are named.

    Returns:
        str.
    """
    named = [f"{name}: {reason}" for name, reason in list(names.items())[:top]]
    rest = len(names) - len(named)
    return "; ".join(named) + (f"; and {rest} more" if rest else "")


def label_counts(targets, num_classes):
    """Images of each label.

    Args:
        targets: int `[n]`, or multi-hot `[n, num_classes]`.
        num_classes: int.

    Returns:
        int `[num_classes]`.
    """
    if targets.ndim == 1:
        return np.bincount(targets, minlength=num_classes)
    return targets.sum(axis=0, dtype="int64")


def chance(query, database):
    """The probability that a query and an image share a label.

    It is the precision of random results.

    Args:
        query: int `[n]`, or multi-hot `[n, num_classes]`.
        database: the same for the images that are searched.

    Returns:
        float; 0 where a side is empty.
    """
    if not len(query) or not len(database):
        return 0.0
    # Equal rows once: there are far fewer of them than images.
    (a, na), (b, nb) = (
        np.unique(side, axis=0, return_counts=True)
        for side in (query, database)
    )
    total = 0
    for low in range(0, len(a), 256):
        rows = a[low : low + 256]
        if a.ndim == 1:
            shared = rows[:, None] == b
        else:
            shared = rows.astype("float32") @ b.T.astype("float32") > 0
        total += int(na[low : low + 256] @ (shared @ nb))
    return total / (len(query) * len(database))


def _size(images):
    height, width = images.shape[1:3]
    return f"{height}x{width} pixels"
