"""Corel-5K (Duygulu et al. 2002): photos with up to five words, from a folder.

The folder `corel5k` is looked for in `KERAS_HASH_DATA` and in `../shared/data`,
and is only read. It holds `train_jpeg/<id>.jpeg`, `test_jpeg/<id>.jpeg` and, in
`labels/`, the list `words` and the files `training_label` and `test_label` with
lines `id word word ...`, where words are numbers that count from 1. The labels
are the words that occur in both splits, in the order of the list.
"""

import numpy as np

from keras_hash.data import places
from keras_hash.data import protocols
from keras_hash.data.benchmark import Benchmark
from keras_hash.data.images import ImageFiles

# Part of the protocol: folder of the photos and file of their words.
_SPLITS = {
    "train": ("train_jpeg", "training_label"),
    "test": ("test_jpeg", "test_label"),
}

PROTOCOLS = (
    protocols.published(
        dataset="corel5k",
        counts=dict(query=499, train=4500, database=4500),
        labels="260 words that occur in both splits",
        papers=("Duygulu et al. 2002",),
        notes="The published lists. Images may have no label.",
    ),
)


def load(plan):
    """The photos, each split in the order of its label file."""
    folder = places.required(
        "corel5k",
        "Corel-5K is not here. Get its official split (Duygulu et al. 2002; "
        "4,500 training and 499 test photos), put `train_jpeg/`, `test_jpeg/` "
        "and `labels/` into a folder `corel5k` and set KERAS_HASH_DATA to the "
        "folder around it.",
    )
    words = _words(folder / "labels" / "words")
    paths, ids, rows, splits = [], [], [], []
    for split, (photos, listed) in _SPLITS.items():
        entries = _entries(folder / photos, folder / "labels" / listed, words)
        paths += [folder / photos / f"{name}.jpeg" for name in entries]
        ids += [f"{split}/{name}" for name in entries]
        splits += [split] * len(entries)
        targets = np.zeros((len(entries), len(words)), "uint8")
        for row, numbers in zip(targets, entries.values()):
            row[numbers] = 1
        rows.append(targets)
    common = rows[0].any(axis=0) & rows[1].any(axis=0)
    targets = np.concatenate(rows)[:, common]
    return Benchmark(
        name=plan.dataset,
        protocol=plan.name,
        images=ImageFiles(paths),
        targets=targets,
        ids=np.array(ids),
        parts=plan.draw(targets, np.array(splits)),
        labels=[words[i] for i in np.flatnonzero(common)],
        licence="research use (Corel photos, Duygulu et al. 2002)",
    )


def _lines(path):
    """The lines of a text file, less the empty ones at its end."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"Corel-5K should have the file {path}, which is missing."
        ) from None
    return text.rstrip().splitlines()


def _words(path):
    words = [line.strip() for line in _lines(path)]
    # An empty line cannot be left out: the numbers count lines.
    for number, word in enumerate(words, 1):
        if not word:
            raise ValueError(
                f"{path}, line {number}: every line should hold a word. "
                "Received: an empty line"
            )
    return words


def _entries(photos, path, words):
    """Dict from the images of a label file to their words, from 0."""
    present = {image.name for image in photos.glob("*.jpeg")}
    entries = {}
    for number, line in enumerate(_lines(path), 1):
        name, *fields = line.split() or [""]
        numbers = [int(f) if f.isdecimal() else 0 for f in fields]
        valid = all(1 <= n <= len(words) for n in numbers)
        if not name or name in entries or not valid:
            raise ValueError(
                f"{path}, line {number}: a line should hold an id that no "
                f"other line has and word numbers from 1 to {len(words)}. "
                f"Received: {line!r}"
            )
        if f"{name}.jpeg" not in present:
            raise FileNotFoundError(
                f"{path}, line {number}: the image {photos / name}.jpeg is "
                "missing."
            )
        entries[name] = np.array(numbers, int) - 1
    return entries
