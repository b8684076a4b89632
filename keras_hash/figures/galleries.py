"""Pictures of what a search found."""

import io

import numpy as np

from keras_hash import files
from keras_hash.figures import charts

RIGHT, WRONG = "#2a9d3a", "#d0342c"


def gallery(queries, neighbours, distances, relevant, path, title=None):
    """Draws queries with their nearest images, framed green or red.

    Args:
        queries: `q` images `uint8 [h, w, 3]`, an array or a list.
        neighbours: for each query `k` images, nearest first.
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
    shape, counts = distances.shape, sorted({len(row) for row in neighbours})
    if (len(queries), len(neighbours), counts) != (*shape[:1] * 2, [shape[1]]):
        raise ValueError(
            "Queries, neighbours and distances should agree. Received: "
            f"{len(queries)} queries, neighbours of {len(neighbours)}, "
            f"{counts} each, distances {shape}"
        )
    # Drawn with Pillow: matplotlib takes a second for a hundred axes, and the
    # gallery is drawn after every epoch of a training.
    side, frame, gap, line = 84, 3, 6, 18
    rows, columns = shape
    cell = side + 2 * (frame + gap)
    title_font, font = _font(16), _font(12)
    title = title and _line(title)
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
    charts.write(content, path)


def _font(size):
    """The letters of matplotlib's pictures, for Pillow."""
    import pathlib

    import matplotlib
    from PIL import ImageFont

    folder = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf")
    return ImageFont.truetype(str(folder / "DejaVuSans.ttf"), size)


def _line(text):
    """Text, names of files in it, as it can be drawn on one line."""
    return " ".join(files.shown(text).split())


def found_files(queries, found, path, title=None, side=160):
    """Draws query files with the files that a search found for them."""
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
            _line(title),
            **{"x": 0.01, "y": 1 - 0.05 / height, "ha": "left", "va": "top"},
            **{"fontsize": 10, "parse_math": False},
        )
    for row, (query, pairs) in enumerate(zip(queries, found)):
        for axis in axes[row]:
            axis.set_axis_off()
        _draw_file(axes[row, 0], query, "query", side)
        for axis, (one, distance) in zip(axes[row, 2:], pairs):
            _draw_file(axis, one, str(distance), side)
        if not pairs:
            axes[row, 2].text(0, 0.5, "nothing found", fontsize=8)
    charts.save(figure, path)


def _draw_file(axis, path, text, side):
    """One image file with a text above and its name below."""
    import pathlib

    from keras_hash.data import images

    axis.set_title(text, fontsize=8, pad=2)
    # With its folder, which often is its class.
    name = _line("/".join(pathlib.Path(path).parts[-2:]))
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
