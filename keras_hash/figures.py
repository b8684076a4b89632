"""Pictures of retrieval, with matplotlib."""

import io

import numpy as np

from keras_hash import files

RIGHT, WRONG = "#2a9d3a", "#d0342c"
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
    from PIL import Image
    from PIL import ImageDraw
    from PIL import ImageOps

    distances = np.asarray(distances)
    shape = np.shape(neighbours)[:2]
    if not (len(queries) == shape[0] and distances.shape == shape):
        raise ValueError(
            "Queries, neighbours and distances should agree. Received: "
            f"{len(queries)} queries, neighbours {shape}, "
            f"distances {distances.shape}"
        )
    # Drawn with Pillow: matplotlib takes a second for a hundred axes, and the
    # gallery is drawn after every epoch of a training.
    side, frame, gap, line = 84, 3, 6, 18
    rows, columns = shape
    cell = side + 2 * (frame + gap)
    title_font, font = _font(16), _font(12)
    top = line + 8 if title else 0
    # Between the query and the nearest images.
    apart = cell // 4
    width = (columns + 1) * cell + apart
    if title:
        width = max(width, gap + int(title_font.getlength(title)) + gap)
    sheet = Image.new("RGB", (width, rows * (cell + line) + top), "white")
    pen = ImageDraw.Draw(sheet)

    def put(pixels, row, left, text, color):
        upper = top + row * (cell + line) + line
        middle = left + cell // 2
        pen.text((middle, upper), text, "black", font, anchor="ms")
        if color:
            edge = [left + gap, upper + gap, left + cell - gap - 1]
            pen.rectangle([*edge, upper + cell - gap - 1], color)
        picture = Image.fromarray(np.asarray(pixels, "uint8"))
        picture = ImageOps.contain(picture, (side, side))
        corner = (
            middle - picture.width // 2,
            upper + cell // 2 - picture.height // 2,
        )
        sheet.paste(picture, corner)

    if title:
        pen.text((gap, gap), title, "black", title_font)
    for row in range(rows):
        put(queries[row], row, 0, "" if row else "query", None)
        for column in range(columns):
            color = RIGHT if relevant[row][column] else WRONG
            left = (column + 1) * cell + apart
            text = str(distances[row, column])
            put(neighbours[row][column], row, left, text, color)
    content = io.BytesIO()
    sheet.save(content, "png", compress_level=3)
    _write(content, path)


def _font(size):
    """The letters of matplotlib's pictures, for Pillow."""
    import pathlib

    import matplotlib
    from PIL import ImageFont

    folder = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf")
    return ImageFont.truetype(str(folder / "DejaVuSans.ttf"), size)


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


def compared_curves(curves, caption, path):
    """Draws precision and recall by Hamming radius, and PR, of several codes.

    Args:
        curves: dict from name to dict with `radius`, `precision` and `recall`,
            lists.
        caption: str under the picture: what was measured and how.
        path: str or path of the PNG file to write.
    """
    import textwrap

    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.1), dpi=80, layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for number, (name, values) in enumerate(curves.items()):
        style = {"marker": ".", "markersize": 4, "linewidth": 1, "label": name}
        # Curves that coincide stay visible.
        style["linestyle"] = ("-", "--", ":", "-.")[number % 4]
        left.plot(values["radius"], values["precision"], **style)
        middle.plot(values["radius"], values["recall"], **style)
        right.plot(values["recall"], values["precision"], **style)
    left.set(xlabel="Hamming radius", ylabel="precision")
    middle.set(xlabel="Hamming radius", ylabel="recall")
    right.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02))
    for axis in (left, middle, right):
        axis.set(ylim=(0, 1.02))
        axis.grid(alpha=0.3)
    left.legend(fontsize=8)
    figure.supxlabel(textwrap.fill(caption, 150), fontsize=8)
    _save(figure, path)


def code_map(panels, names, path):
    """Draws images as points at the places of their codes, coloured by class.

    Args:
        panels: dict from title to a pair: places float `[n, 2]`, and classes
            int `[n]` in `0 .. len(names) - 1`.
        names: list of str, names of the classes.
        path: str or path of the PNG file to write.
    """
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(4.2 * len(panels), 4.6), dpi=80, layout="constrained"
    )
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    colors = matplotlib.colormaps["tab10" if len(names) <= 10 else "hsv"]
    for axis, (title, (places, classes)) in zip(axes, panels.items()):
        for number, name in enumerate(names):
            x, y = np.asarray(places)[np.asarray(classes) == number].T
            color = colors(number if len(names) <= 10 else number / len(names))
            axis.scatter(x, y, s=3, color=color, linewidths=0, label=name)
        axis.set(xticks=[], yticks=[], title=title)
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=10,
        markerscale=4,
        fontsize=8,
    )
    _save(figure, path)


def code_bits(balance, correlation, path):
    """Draws how often each bit is 1, and how bits hang together.

    Args:
        balance: float `[bits]`, share of ones of each bit.
        correlation: float `[bits, bits]`, correlation between two bits.
        path: str or path of the PNG file to write, or an open binary file.
    """
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
    _save(figure, path)


def line_panel(x, lines, xlabel, ylabel, limit):
    """Draws curves with values in 0..1 for a page.

    Args:
        x: floats `[n]`.
        lines: dict from name to floats `[n]`; named where there are several.
        xlabel: str.
        ylabel: str.
        limit: float, the right end of the axis.

    Returns:
        str, an SVG without background; axes and letters are `INK`.
    """
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
    """Draws how often each bit is 1 for a page.

    Args:
        shares: floats `[bits]` in 0..1.

    Returns:
        str, an SVG as that of `line_panel`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6, 2.9), layout="constrained")
    axis = figure.subplots()
    axis.bar(range(len(shares)), shares, color=SHAPES[0][2])
    axis.axhline(0.5, color=INK, linewidth=0.8, linestyle="--")
    axis.set(xlabel="bit", ylabel="share of ones", ylim=(0, 1))
    return _svg(figure)


def correlation_panel(correlation):
    """Draws how bits hang together for a page.

    Args:
        correlation: floats `[bits, bits]` in -1..1.

    Returns:
        str, an SVG as that of `line_panel`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6, 2.9), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(correlation, vmin=-1, vmax=1, cmap="RdBu")
    axis.set(xlabel="bit", ylabel="bit")
    bar = figure.colorbar(image, ax=axis)
    bar.outline.set_edgecolor(INK)
    return _svg(figure)


def points(places, classes, path):
    """Draws a map of points, by colour and shape, without a background.

    Args:
        places: floats `[n, 2]`.
        classes: ints `[n]`, places in `SHAPES`; the rest lies below.
        path: str or path of the PNG file to write, or an open binary file.
    """
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
    _save(figure, path, transparent=True)


def code_places(codes, bits, seed=0):
    """Places of codes on a t-SNE map; equal codes lie around one place.

    The distinct codes are embedded (their squared Euclidean distances are
    Hamming distances times four), and the images of a code are strewn over a
    disc whose area grows with their number.

    Args:
        codes: packed codes `uint8 [n, ceil(bits / 8)]`.
        bits: int, code length.
        seed: int.

    Returns:
        float `[n, 2]`.
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


def found_files(queries, found, path, title=None, side=160):
    """Draws query files with the files that a search found for them.

    Args:
        queries: list of paths of image files.
        found: for each query a list of `(path, distance)`, nearest first.
        path: str or path of the PNG file to write.
        title: optional str above the picture.
        side: int, pixels that an image is drawn with at most.

    Raises:
        ValueError: the numbers of queries and of results do not agree.
    """
    from matplotlib.figure import Figure

    if len(queries) != len(found) or not len(queries):
        raise ValueError(
            "`queries` and `found` should agree, and not be empty. Received: "
            f"{len(queries)} queries, {len(found)} results"
        )
    rows, columns = len(queries), max(1, *map(len, found))
    top = 0.35 if title else 0.05
    height = rows * 1.45 + top
    # Wide enough for the title.
    width = max((columns + 1.2) * 1.15, len(title or "") * 0.085)
    figure = Figure(figsize=(width, height), dpi=110)
    used = (columns + 1.2) * 1.15 / width
    axes = figure.subplots(
        rows,
        columns + 2,
        squeeze=False,
        gridspec_kw={
            "width_ratios": [1, 0.15, *[1] * columns],
            "left": 0.01,
            "right": 0.01 + 0.98 * used,
            "bottom": 0.15 / height,
            "top": 1 - (top + 0.2) / height,
            "hspace": 0.4,
            "wspace": 0.08,
        },
    )
    if title:
        figure.suptitle(
            title, x=0.01, y=1 - 0.05 / height, ha="left", va="top", fontsize=10
        )
    for row, (query, pairs) in enumerate(zip(queries, found)):
        for axis in axes[row]:
            axis.set_axis_off()
        _draw_file(axes[row, 0], query, "query", side)
        for axis, (one, distance) in zip(axes[row, 2:], pairs):
            _draw_file(axis, one, str(distance), side)
        if not pairs:
            axes[row, 2].text(0, 0.5, "nothing found", fontsize=8)
    _save(figure, path)


def _draw_file(axis, path, text, side):
    """One image file with a text above and its name below."""
    import pathlib

    from keras_hash.data import images

    axis.set_title(text, fontsize=8, pad=2)
    # With its folder, which often is its class.
    name = "/".join(pathlib.Path(path).parts[-2:])
    name = name if len(name) <= 20 else f"{name[:10]}...{name[-7:]}"
    axis.text(
        *(0.5, -0.03, name),
        transform=axis.transAxes,
        **{"ha": "center", "va": "top", "fontsize": 6, "parse_math": False},
    )
    try:
        pixels = images.thumbnail(path, side)
    except ValueError:
        # Moved or removed since it was indexed; the others are still drawn.
        axis.text(
            *(0.5, 0.5, "not here"),
            transform=axis.transAxes,
            **{"ha": "center", "va": "center", "fontsize": 8},
        )
        return
    axis.imshow(pixels)
    # A square for every image, so that all titles are at one height.
    height, width = pixels.shape[:2]
    longest = max(height, width)
    axis.set_xlim((width - longest) / 2 - 0.5, (width + longest) / 2 - 0.5)
    axis.set_ylim((height + longest) / 2 - 0.5, (height - longest) / 2 - 0.5)


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


def _save(figure, path, transparent=False):
    """Writes a figure as PNG, to a path or into an open binary file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", transparent=transparent)
    _write(content, path)


def _write(content, path):
    if hasattr(path, "write"):
        path.write(content.getvalue())
    else:
        files.write(path, content.getvalue())
