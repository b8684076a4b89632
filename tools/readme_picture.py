"""Draws the picture on top of README: photos, their codes, what is nearest.

    python tools/readme_picture.py

Test images of CIFAR-10 search among the other test images by the codes of an
entry of the zoo; no image was seen in training. Bits that differ from the
query's stand out. It needs CIFAR-10, as TensorFlow Datasets prepares it.
"""

import pathlib

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

import keras_hash

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATH = ROOT / "docs" / "readme.webp"
NAME = "greedyhash_cifar10_32"
# Positions among the test images, one of a class each.
QUERIES = (7019, 8006, 5001)
NEAREST = 5
# Rank of the last column, as a share of the database.
FAR = 0.8

# One dark card, for light and for dark pages; a bar of a code is 4 pixels wide.
WIDTH, SIDE, GAP, MARGIN, HEAD = 1200, 128, 18, 36, 52
CARD, INK, QUIET = "#0f1b2d", "#f2f6fb", "#8ea3bd"
ONE, ZERO, OTHER = "#5cc8ff", "#24405f", "#ff8a4c"


def found(codes, query):
    """Positions of the nearest images and of a far one, and all distances."""
    distances = keras_hash.codes.hamming(codes[query][None], codes)[0]
    # In random order among equals: the set is sorted by class.
    order = np.random.RandomState(0).permutation(len(codes))
    order = order[np.argsort(distances[order], kind="stable")]
    order = order[order != query]
    chosen = [*order[:NEAREST], order[int(FAR * len(order))]]
    return chosen, distances


def bars(pen, left, top, signs, query):
    """A code as a row of bars; those unlike the query's in another colour."""
    step = SIDE // len(signs)
    for place, sign in enumerate(signs):
        x = left + place * step
        same = ONE if sign > 0 else ZERO
        color = same if sign == query[place] else OTHER
        pen.rectangle((x, top, x + step - 2, top + 15), fill=color)


def arrow(pen, left, right, y):
    pen.line((left, y, right - 8, y), QUIET, 3)
    pen.polygon([(right - 12, y - 8), (right, y), (right - 12, y + 8)], QUIET)


def said(count):
    """A distance in words."""
    if count == 0:
        return "same code"
    return "1 bit differs" if count == 1 else f"{count} bits differ"


def draw(images, codes, bits):
    """The picture, as a Pillow image."""
    signs = keras_hash.codes.unpack(codes, bits)
    large, small = (ImageFont.load_default(size) for size in (24, 19))
    row = SIDE + 72
    height = MARGIN + HEAD + row * len(QUERIES)
    image = Image.new("RGBA", (WIDTH, height))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((0, 0, WIDTH - 1, height - 1), 24, CARD)
    first = MARGIN + SIDE + 74
    lefts = [first + (SIDE + GAP) * i for i in range(NEAREST)]
    lefts.append(WIDTH - MARGIN - SIDE)
    for x, text in (
        (MARGIN, "A photo"),
        (lefts[0], f"its nearest of {len(codes):,} by a code of {bits} bits"),
        (lefts[-1], "far away"),
    ):
        pen.text((x, MARGIN - 6), text, INK, large)

    for number, query in enumerate(QUERIES):
        top = MARGIN + HEAD + number * row
        chosen, distances = found(codes, query)
        texts = ["its code", *(said(distances[i]) for i in chosen)]
        for x, position, text in zip([MARGIN, *lefts], [query, *chosen], texts):
            photo = Image.fromarray(images[position])
            photo = photo.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            image.paste(photo, (x, top))
            below = top + SIDE + 8
            bars(pen, x, below, signs[position], signs[query])
            pen.text((x, below + 20), text, QUIET, small)
        arrow(pen, MARGIN + SIDE + 16, first - 16, top + SIDE // 2)
    return image


def main():
    benchmark = keras_hash.data.load("cifar10")
    images, _ = benchmark.arrays("query")
    encoder = keras_hash.load(NAME)
    image = draw(images, encoder.encode(images), encoder.bits)
    image.save(PATH, quality=90, method=6)
    print(f"Wrote {PATH}, {PATH.stat().st_size / 1024:.0f} KiB.")


if __name__ == "__main__":
    main()
