"""Pictures of what a search found."""

import io
import pathlib

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

from keras_hash import files
from keras_hash.data import images
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
    distances = np.asarray(distances)
    shape, counts = distances.shape, sorted({len(row) for row in neighbours})
    if (len(queries), len(neighbours), counts) != (*shape[:1] * 2, [shape[1]]):
        raise ValueError(
            "Queries, neighbours and distances should agree. Received: "
            f"{len(queries)} queries, neighbours of {len(neighbours)}, "
            f"{counts} each, distances {shape}"
        )
    rows = []
    for number, query in enumerate(queries):
        cells = [(query, "" if number else "query", "", None)]
        for pixels, distance, right in zip(
            neighbours[number], distances[number], relevant[number]
        ):
            cells.append((pixels, str(distance), "", RIGHT if right else WRONG))
        rows.append(cells)
    _draw(rows, path, title, side=84)


def found_files(queries, found, path, title=None):
    """Draws query files with the files that a search found for them."""
    if len(queries) != len(found) or not len(queries):
        raise ValueError(
            "`queries` and `found` should agree, and not be empty. Received: "
            f"{len(queries)} queries, {len(found)} results"
        )
    side = 128

    def cell(path, text):
        # With its folder, which often is its class.
        name = "/".join(pathlib.Path(path).parts[-2:])
        name = name if len(name) <= 20 else f"{name[:10]}...{name[-7:]}"
        try:
            return images.thumbnail(path, side), text, name, None
        except ValueError:
            # Moved or removed since it was indexed; the others are still drawn.
            return "not here", text, name, None

    rows = [
        [
            cell(query, "query"),
            *(cell(one, str(distance)) for one, distance in pairs),
            *([] if pairs else [("nothing found", "", "", None)]),
        ]
        for query, pairs in zip(queries, found)
    ]
    _draw(rows, path, title, side, below=24)


def _draw(rows, path, title, side, below=0):
    """Draws rows of cells, of which the first one stands apart.

    A cell is its pixels, or a text in their place; the texts above and below
    it, where there is room; and the colour of its frame, or `None`.
    """
    # Drawn with Pillow: matplotlib takes a second for a hundred axes, and the
    # gallery is drawn after every epoch of a training.
    frame, gap, line = 3, 6, 18
    cell = side + 2 * (frame + gap)
    height = line + cell + below
    title_font, font = _font(16), _font(12)
    title = title and _line(title)
    top = line + 8 if title else 0
    # Between the query and the nearest images.
    apart = cell // 4
    width = max(map(len, rows)) * cell + apart
    if title:
        width = max(width, gap + int(title_font.getlength(title)) + gap)
    sheet = Image.new("RGB", (width, len(rows) * height + top), "white")
    pen = ImageDraw.Draw(sheet)
    if title:
        pen.text((gap, gap), title, "black", title_font)
    for row, cells in enumerate(rows):
        upper = top + row * height + line
        for column, (content, above, name, color) in enumerate(cells):
            left = column * cell + (apart if column else 0)
            middle, center = left + cell // 2, upper + cell // 2
            pen.text((middle, upper), above, "black", font, anchor="ms")
            under = middle, upper + cell
            pen.text(under, _line(name), "black", font, anchor="ma")
            if color:
                edge = [left + gap, upper + gap, left + cell - gap - 1]
                pen.rectangle([*edge, upper + cell - gap - 1], color)
            if isinstance(content, str):
                pen.text((middle, center), content, "black", font, anchor="mm")
                continue
            picture = Image.fromarray(np.asarray(content, "uint8"))
            picture = images.contained(picture, side)
            corner = middle - picture.width // 2, center - picture.height // 2
            sheet.paste(picture, corner)
    content = io.BytesIO()
    sheet.save(content, "png", compress_level=3)
    charts.write(content, path)


def _font(size):
    """The letters of matplotlib's pictures, for Pillow."""
    import matplotlib

    folder = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf")
    return ImageFont.truetype(str(folder / "DejaVuSans.ttf"), size)


def _line(text):
    """Text, names of files in it, as it can be drawn on one line."""
    return " ".join(files.shown(text).split())
