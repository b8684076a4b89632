"""Writes on cards how near photos of different things come by chance.

    python tools/false_pairs.py photos_256 phash_64 phash_256

Each photo of Corel-5K is compared with 10,000 of MIRFLICKR: two sets that share
no photo, so that each of the fifty million pairs is a false one. A card gets
how many of them there are at each distance, up to one pair in a thousand, at
every length of its codes. `Card.radius` and `keras-hash duplicates` take their
radius from that.
"""

import argparse
import dataclasses
import pathlib

import numpy as np

import keras_hash
from keras_hash import codes
from keras_hash.zoo import entries

ROOT = pathlib.Path(__file__).resolve().parent.parent
SETS = (("corel5k", None), ("mirflickr20k", 10_000))
RATES = (1e-3, 1e-4, 1e-5, 1e-6)
ROWS = 200


def counts(one, other, bits):
    """How many pairs there are at each distance, up to one in a thousand."""
    found = np.zeros(bits + 1, "int64")
    a, b = (codes.words(codes.pack(side[:, :bits])).T for side in (one, other))
    for start in range(0, a.shape[1], ROWS):
        part = a[:, start : start + ROWS, None]
        far = codes.ones_of_words(part, b[:, None], "xor")
        found += np.bincount(far.ravel(), minlength=bits + 1)
    end = np.searchsorted(np.cumsum(found), RATES[0] * found.sum(), "right")
    return found[: end + 1].tolist()


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="+", metavar="NAME")
    for name in parser.parse_args(arguments).names:
        folder = ROOT / "zoo" / name
        card, model = entries.card(folder), keras_hash.load(folder)
        sides = [
            model.real_codes(keras_hash.data.load(source).images[:count])
            for source, count in SETS
        ]
        found = {
            "photos": " against ".join(source for source, _ in SETS),
            "pairs": len(sides[0]) * len(sides[1]),
            "counts": {
                str(bits): counts(*sides, bits) for bits in model.lengths
            },
        }
        dataclasses.replace(card, false_pairs=found).write(folder)
        card = entries.card(folder)
        print(name, *(f"{rate:.0e}: {card.radius(rate)}" for rate in RATES))


if __name__ == "__main__":
    main()
