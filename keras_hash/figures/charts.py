"""Charts and maps of codes and metrics, with matplotlib."""

import io

import numpy as np

from keras_hash import files

# Axes and letters of SVG panels: to be replaced by a colour that can be read on
# the background at hand.
INK = "#5a6b7c"
# Classes on a map differ by colour and by shape; the last one is for the rest.
SHAPES = (
    *zip(
        "osDv^*PX<>",
        "●■◆▼▲★✚✖◀▶",
        (
            *("#4477dd", "#e08214", "#2a9d3a", "#d0342c", "#8e5bd0"),
            *("#8c6d31", "#e0609f", "#00a0b0", "#a0a000", "#5a7ca8"),
        ),
    ),
    (".", "·", "#999999"),
)


def radius_curves(curves, caption, path, bits=None):
    """Draws precision and recall by Hamming radius, and PR, of several codes.

    `curves` is a dict from names, which a legend shows where there are several.
    """
    import textwrap

    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), dpi=110, layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for number, (name, values) in enumerate(curves.items()):
        style = {"marker": ".", "markersize": 4, "linewidth": 1, "label": name}
        # Curves that coincide stay visible.
        style["linestyle"] = ("-", "--", ":", "-.")[number % 4]
        left.plot(values["radius"], values["precision"], **style)
        middle.plot(values["radius"], values["recall"], **style)
        right.plot(values["recall"], values["precision"], **style)
    radius = f"Hamming radius ({bits} bits)" if bits else "Hamming radius"
    left.set(xlabel=radius, ylabel="precision", xlim=(0, bits))
    middle.set(xlabel=radius, ylabel="recall", xlim=(0, bits))
    right.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02))
    for axis in (left, middle, right):
        axis.set(ylim=(0, 1.02))
        axis.grid(alpha=0.3)
    if len(curves) > 1:
        left.legend(fontsize=8)
    figure.supxlabel(textwrap.fill(caption, 150), fontsize=8)
    save(figure, path)


def code_bits(balance, correlation, path):
    """Draws how often each bit is 1, and the correlation of bits."""
    from matplotlib.figure import Figure

    # Places are given: finding them takes as long as drawing.
    figure = Figure(figsize=(10, 4), dpi=110)
    left = figure.add_axes((0.06, 0.13, 0.42, 0.77))
    right = figure.add_axes((0.55, 0.13, 0.34, 0.77))
    left.bar(range(len(balance)), balance, color=SHAPES[0][2])
    left.axhline(0.5, color="black", linewidth=0.8)
    left.set(xlabel="bit", ylabel="share of ones", ylim=(0, 1))
    left.set(title="balance: even bits reach the line")
    image = right.imshow(correlation, vmin=-1, vmax=1, cmap="RdBu")
    right.set(xlabel="bit", ylabel="bit")
    right.set(title="correlation: independent bits are white")
    figure.colorbar(image, cax=figure.add_axes((0.91, 0.13, 0.02, 0.77)))
    save(figure, path)


def line_panel(x, lines, xlabel, ylabel, limit):
    """Draws curves with values in 0..1 for a page."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6, 2.9), layout="constrained")
    axis = figure.subplots()
    styles = zip(("-", "--", ":"), [color for _, _, color in SHAPES])
    for (name, values), (style, color) in zip(lines.items(), styles):
        axis.plot(x, values, style, marker=".", color=color, label=name)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.set(xlim=(0, limit), ylim=(0, 1.02))
    axis.grid(color=INK, alpha=0.25)
    if len(lines) > 1:
        axis.legend(frameon=False, labelcolor=INK, fontsize=8)
    return _svg(figure)


def share_panel(shares):
    """Draws how often each bit is 1 for a page."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6, 2.9), layout="constrained")
    axis = figure.subplots()
    axis.bar(range(len(shares)), shares, color=SHAPES[0][2])
    axis.axhline(0.5, color=INK, linewidth=0.8, linestyle="--")
    axis.set(xlabel="bit", ylabel="share of ones", ylim=(0, 1))
    return _svg(figure)


def correlation_panel(correlation):
    """Draws the correlation of bits for a page."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6, 2.9), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(correlation, vmin=-1, vmax=1, cmap="RdBu")
    axis.set(xlabel="bit", ylabel="bit")
    bar = figure.colorbar(image, ax=axis)
    bar.outline.set_edgecolor(INK)
    return _svg(figure)


def points(places, classes, path):
    """Draws a map of points, by colour and shape, without a background."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), dpi=110)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    for number in reversed(range(len(SHAPES))):
        marker, _, color = SHAPES[number]
        x, y = np.asarray(places)[np.asarray(classes) == number].T
        axis.scatter(
            *(x, y), s=16, marker=marker, color=color, linewidths=0, alpha=0.8
        )
    save(figure, path, transparent=True)


def code_places(codes, bits, seed=0):
    """Places of codes on a t-SNE map; equal codes lie around one place.

    The distinct codes are embedded (their squared Euclidean distances are
    Hamming distances times four), and the images of a code are strewn over a
    disc whose area grows with their number.
    """
    import threadpoolctl
    from sklearn import manifold

    from keras_hash import codes as codes_lib

    first, inverse, counts = codes_lib.group(codes)
    if len(first) > 3:
        embedding = manifold.TSNE(
            perplexity=min(30, (len(first) - 1) / 3),
            init="pca",
            random_state=seed,
        )
        # Its threads wait for each other after every few points: several are
        # slower than one as soon as the machine does anything else.
        with threadpoolctl.threadpool_limits(1):
            places = embedding.fit_transform(
                codes_lib.unpack(codes[first], bits)
            )
    else:
        # Too few for an embedding: side by side.
        places = np.stack([np.arange(len(first)), 0 * first], axis=1)
    # As large as discs of all images together may be on the map.
    extent = np.ptp(places, axis=0).mean() or 1.0
    scale = 0.25 * extent / np.sqrt(len(codes))
    random = np.random.RandomState(seed)
    angle = 2 * np.pi * random.rand(len(codes))
    radius = scale * np.sqrt(counts[inverse] * random.rand(len(codes)))
    strewn = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return places[inverse] + radius[:, None] * strewn


def _svg(figure):
    """A figure as SVG text, the same at every run."""
    import matplotlib

    for axis in figure.axes:
        axis.tick_params(color=INK, labelcolor=INK, which="both")
        axis.xaxis.label.set_color(INK)
        axis.yaxis.label.set_color(INK)
        for side in axis.spines.values():
            side.set_color(INK)
    content = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "keras_hash"}):
        figure.savefig(
            content, format="svg", transparent=True, metadata={"Date": None}
        )
    return content.getvalue()


def save(figure, path, transparent=False):
    """Writes a figure as PNG, to a path or into an open binary file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", transparent=transparent)
    write(content, path)


def write(content, path):
    """Writes what was drawn to a path or into an open binary file."""
    if hasattr(path, "write"):
        path.write(content.getvalue())
    else:
        files.write(path, content.getvalue())
