"""MIRFLICKR at a small size: 19,665 photos with some of 24 labels, 128x128.

The photos with a label among the first 20,000 of MIRFLICKR-25K (Huiskes and Lew
2008), in the folder `mirflickr20k`, which is looked for in `KERAS_HASH_DATA`
and in `../shared/data`, and is only read. Its file `labels.csv` has the columns
`file`, `labels` (with `|` between them) and `split`. The full set is
`mirflickr25k`.
"""

import csv

import numpy as np

from keras_hash.data import draws
from keras_hash.data import label_sets
from keras_hash.data import places
from keras_hash.data import protocols
from keras_hash.data.benchmark import Benchmark
from keras_hash.data.images import ImageFiles

_COLUMNS = ("file", "labels", "split")
_PARTS = ("train", "query", "database")


def _listed(targets, splits):
    """The parts that the file names."""
    return draws.parts(*(np.flatnonzero(splits == part) for part in _PARTS))


PROTOCOLS = (
    protocols.Protocol(
        dataset="mirflickr20k",
        name="official",
        query="as listed in `labels.csv`",
        train="as listed",
        database="as listed: neither queries nor training images",
        counts=dict(query=2000, train=5000, database=12_665),
        labels="24 potential labels",
        draw=_listed,
        label_names=label_sets.MIR24,
        papers=("DSRH, DMSSPH and ISDH on the full set",),
        notes="Photos of 128x128, so figures are not those of the full set. A "
        "query and an image of the database share a label 56 % of the time: a "
        "random order has a mAP of .56. The lists are ours.",
    ),
)


def load(plan):
    """The photos in the order of `labels.csv`."""
    folder = places.required(
        "mirflickr20k",
        "The small MIRFLICKR is not here. Put `images/` and `labels.csv` into "
        "a folder `mirflickr20k` and set KERAS_HASH_DATA to the folder around "
        "it; the full set is `mirflickr25k`.",
    )
    names = list(label_sets.MIR24)
    rows = list(_rows(folder / "labels.csv", names))
    targets = np.zeros((len(rows), len(names)), "uint8")
    for target, (_, labels, _) in zip(targets, rows):
        target[[names.index(label) for label in labels]] = 1
    files, _, splits = zip(*rows)
    return Benchmark(
        name=plan.dataset,
        protocol=plan.name,
        images=ImageFiles([folder / file for file in files]),
        targets=targets,
        ids=np.array(files),
        parts=plan.draw(targets, np.array(splits)),
        labels=names,
        licence="research use (MIRFLICKR, Huiskes and Lew 2008)",
    )


def _rows(path, names):
    """Each photo's file, labels and part, as the file lists them."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"The small MIRFLICKR lacks the file {path}."
        ) from None
    seen = set()
    for number, row in enumerate(csv.DictReader(text.splitlines()), 2):
        file, labels, split = (row.get(column) or "" for column in _COLUMNS)
        labels = labels.split("|") if labels else []
        if (
            not file
            or file in seen
            or split not in _PARTS
            or not set(labels) <= set(names)
        ):
            raise ValueError(
                f"{path}, line {number}: a line should hold a file that no "
                f"other line has, labels among the 24 with `|` between them, "
                f"and a split among {_PARTS}. Received: {row}"
            )
        seen.add(file)
        yield file, labels, split
