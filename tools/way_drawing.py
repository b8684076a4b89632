"""Draws the way from images to all that follows from their codes, as SVG.

    python tools/way_drawing.py

Each box names the part of the library where it lives.
"""

import pathlib
from xml.sax.saxutils import escape

from keras_hash import files

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATH = ROOT / "docs" / "way.svg"
WIDTH, HEIGHT = 1200, 500
# One dark card, for light and for dark pages, as README's picture has it.
CARD, BOX, EDGE = "#0f1b2d", "#182a44", "#33527a"
INK, QUIET, ONE, ZERO = "#f2f6fb", "#8ea3bd", "#5cc8ff", "#24405f"
W, H = 146, 104

# Title, what it is, where it lives; left and top edge.
BOXES = {
    "images": ("images", "any size", "data/", 36, 180),
    "backbone": ("backbone", "features", "backbones.py", 234, 180),
    "head": ("head", "real values", "heads.py", 432, 180),
    "code": ("code", "packed bits", "codes.py", 630, 180),
    "loss": ("loss", "labels, or none", "methods/", 432, 30),
    "counts": ("count table", "items by distance", "evaluation/", 842, 62),
    "metrics": ("metrics", "mAP, NDCG, ...", "evaluation/", 1024, 62),
    "index": ("index", "exact search", "search/", 842, 298),
    "nearest": ("nearest", "ids and distances", "search/", 1024, 298),
    "saved": ("SavedModel", "files in, codes out", "export/", 432, 366),
    "served": ("served", "TensorFlow Serving", "zoo/", 630, 366),
}


def text(x, y, words, size, color, weight=400):
    """Words around a middle."""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{color}" '
        f'font-weight="{weight}" text-anchor="middle">{escape(words)}</text>'
    )


def box(title, what, where, left, top):
    middle = left + W / 2
    return [
        f'<rect x="{left}" y="{top}" width="{W}" height="{H}" rx="12" '
        f'fill="{BOX}" stroke="{EDGE}" stroke-width="1.5"/>',
        text(middle, top + 34, title, 17, INK, 600),
        text(middle, top + 58, what, 13.5, QUIET),
        f'<text x="{middle}" y="{top + 84}" font-size="14" fill="{ONE}" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace" '
        f'text-anchor="middle">{escape(where)}</text>',
    ]


def path(commands, dashed=False):
    """A line with an arrow head at its end."""
    dash = ' stroke-dasharray="5 5"' if dashed else ""
    return (
        f'<path d="{commands}" fill="none" stroke="{QUIET}" '
        f'stroke-width="2.5" marker-end="url(#head)"{dash}/>'
    )


def across(first, second):
    """A level arrow between two boxes."""
    (*_, left, top), (*_, right, _) = BOXES[first], BOXES[second]
    y = top + H / 2
    return path(f"M{left + W + 6} {y}H{right - 8}")


def drawing():
    """The drawing as text."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
        f'height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="system-ui, -apple-system, Segoe UI, Roboto, '
        'Helvetica, Arial, sans-serif">',
        "<title>From images to codes, and what follows from codes</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="6" refY="4" '
        'markerWidth="5.5" markerHeight="5.5" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{QUIET}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="24" fill="{CARD}"/>',
        # What one `HashModel` holds.
        f'<rect x="212" y="150" width="586" height="158" rx="18" fill="none" '
        f'stroke="{EDGE}" stroke-width="1.5" stroke-dasharray="7 6"/>',
        text(310, 140, "HashModel, a keras.Model", 15, INK),
    ]
    for one in BOXES.values():
        parts += box(*one)
    # A code, as README's picture draws it.
    for place, bit in enumerate("1101001011100101"):
        color = ONE if bit == "1" else ZERO
        parts.append(
            f'<rect x="{640 + 8 * place}" y="290" width="6" height="12" '
            f'fill="{color}"/>'
        )
    for pair in (
        ("images", "backbone"),
        ("backbone", "head"),
        ("head", "code"),
        ("counts", "metrics"),
        ("index", "nearest"),
        ("saved", "served"),
    ):
        parts.append(across(*pair))
    parts += [
        path("M505 134V172", dashed=True),
        text(544, 168, "training", 14, QUIET),
        path("M776 222H808Q820 222 820 210V126Q820 114 826 114H834"),
        path("M776 242H808Q820 242 820 254V338Q820 350 826 350H834"),
        path("M505 308V358"),
        text(552, 340, "export", 14, QUIET),
    ]
    return "\n".join([*parts, "</svg>\n"])


def main():
    files.write(PATH, drawing())
    print(f"Wrote {PATH}.")


if __name__ == "__main__":
    main()
