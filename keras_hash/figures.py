"""Pictures of retrieval, with matplotlib."""

import io

import numpy as np

from keras_hash import files

RIGHT, WRONG = "#2a9d3a", "#d0342c"


def gallery(queries, neighbours, distances, relevant, path, title=None):
    """Draws queries with their nearest images, framed green or red.

    Args:
        queries: `uint8 [q, h, w, 3]`.
        neighbours: `uint8 [q, k, h, w, 3]`, nearest first.
        distances: int `[q, k]`, Hamming distances, written above each image.
        relevant: bool `[q, k]`: a green frame where true, else a red one.
        path: str or path of the PNG file to write, or an open binary file.
        title: optional str above the picture.

    Raises:
        ValueError: the numbers of queries or neighbours do not agree.
    """
    from matplotlib.figure import Figure

    distances = np.asarray(distances)
    shape = np.shape(neighbours)[:2]
    if not (len(queries) == shape[0] and distances.shape == shape):
        raise ValueError(
            "Queries, neighbours and distances should agree. Received: "
            f"{len(queries)} queries, neighbours {shape}, "
            f"distances {distances.shape}"
        )
    rows, columns = shape
    top = 0.65 if title else 0.3
    height = rows * 1.0 + top
    figure = Figure(figsize=((columns + 1.4) * 0.9, height), dpi=110)
    axes = figure.subplots(
        rows,
        columns + 2,
        squeeze=False,
        gridspec_kw={
            "width_ratios": [1, 0.25, *[1] * columns],
            "left": 0.01,
            "right": 0.99,
            "bottom": 0.01,
            "top": 1 - top / height,
            "hspace": 0.35,
            "wspace": 0.08,
        },
    )
    if title:
        figure.suptitle(title, x=0.01, y=0.99, ha="left", fontsize=11)
    for row in range(rows):
        for axis in axes[row]:
            axis.set_axis_off()
        axes[row, 0].imshow(queries[row])
        if row == 0:
            axes[row, 0].set_title("query", fontsize=8, pad=3)
        for column in range(columns):
            axis = axes[row, column + 2]
            axis.set_axis_on()
            axis.imshow(neighbours[row][column])
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_title(str(distances[row, column]), fontsize=8, pad=3)
            color = RIGHT if relevant[row][column] else WRONG
            for side in axis.spines.values():
                side.set(color=color, linewidth=2.5)
    _save(figure, path)


def radius_curves(curves, caption, path, bits):
    """Draws precision and recall by Hamming radius, and the PR curve.

    Args:
        curves: dict with `radius`, `precision` and `recall`, lists.
        caption: str under the picture: what was measured and how.
        path: str or path of the PNG file to write.
        bits: int, code length.
    """
    import textwrap

    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.9), dpi=110, layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for axis, name in ((left, "precision"), (middle, "recall")):
        axis.plot(curves["radius"], curves[name], marker=".")
        axis.set(xlabel=f"Hamming radius ({bits} bits)", ylabel=name)
        axis.set(xlim=(0, bits), ylim=(0, 1.02))
    right.plot(curves["recall"], curves["precision"], marker=".")
    right.set(xlabel="recall", ylabel="precision")
    right.set(xlim=(0, 1.02), ylim=(0, 1.02))
    for axis in (left, middle, right):
        axis.grid(alpha=0.3)
    figure.supxlabel(textwrap.fill(caption, 150), fontsize=8)
    _save(figure, path)


def code_bits(balance, correlation, path):
    """Draws how often each bit is 1, and how bits hang together.

    Args:
        balance: float `[bits]`, share of ones of each bit.
        correlation: float `[bits, bits]`, correlation between two bits.
        path: str or path of the PNG file to write, or an open binary file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.bar(range(len(balance)), balance)
    left.axhline(0.5, color="black", linewidth=0.8)
    left.set(xlabel="bit", ylabel="share of ones", ylim=(0, 1))
    image = right.imshow(correlation, vmin=-1, vmax=1, cmap="RdBu")
    right.set(xlabel="bit", ylabel="bit", title="correlation")
    figure.colorbar(image, ax=right)
    _save(figure, path)


def nearest(
    benchmark,
    parts,
    bits,
    path,
    name,
    queries=10,
    k=10,
    similarity="hamming",
):
    """Searches some queries, of different classes first, and draws the result.

    Args:
        benchmark: a `Benchmark`.
        parts: dict with the codes of `query` and `database`.
        bits: int, code length.
        path: path of the PNG file to write.
        name: str, the encoder's name, for the title.
        queries: int, queries to draw.
        k: int, neighbours of each.
        similarity: `"hamming"` or `"and"`.
    """
    from keras_hash.search import Index

    query, database = benchmark.parts["query"], benchmark.parts["database"]
    order = np.random.RandomState(0).permutation(len(query))
    labels = benchmark.targets[query[order]]
    _, first = np.unique(labels, axis=0, return_index=True)
    chosen = order[first][:queries]
    index = Index(bits, parts["database"], similarity=similarity)
    distances, ids = index.search(parts["query"][chosen], k=k)
    found = database[ids]
    labels, other = benchmark.targets[query[chosen]], benchmark.targets[found]
    if benchmark.multi_label:
        relevant = (labels[:, None] & other).any(axis=-1)
    else:
        relevant = labels[:, None] == other
    neighbours = benchmark.images[found.ravel()]
    gallery(
        benchmark.images[query[chosen]],
        neighbours.reshape(*found.shape, *neighbours.shape[1:]),
        distances,
        relevant,
        path,
        title=f"{name}: nearest of {len(database)} images, Hamming distance "
        f"of {bits} bits",
    )


def _save(figure, path):
    """Writes a figure as PNG, to a path or into an open binary file."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    if hasattr(path, "write"):
        path.write(content.getvalue())
    else:
        files.write(path, content.getvalue())
