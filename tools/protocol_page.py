"""Writes `docs/protocols.md`, a table of all protocols.

python tools/protocol_page.py
"""

import pathlib
import sys

from keras_hash.data import protocols

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "protocols.md"
HEAD = """<!-- Written by tools/protocol_page.py. -->
# Protocols

How each dataset is split into queries, training images and a database:
`keras_hash.data.load("cifar10", "dshc")`, and `keras-hash info cifar10:dshc`
prints one. A split depends on labels, ids and the publisher's splits alone;
`benchmark.checksum` pins it. Most papers drew their lists at random; many were
never published, and the package contains none. Where a note says so, counts are
theirs and lists ours, with one fixed seed: results are comparable with each
other, and nearly so with the papers. Where you have a published list,
`keras_hash.data.protocols.listed` makes the split of it.

`k` is where the papers cut the ranking for mAP. "Disjoint" protocols train on
half of the classes and retrieve among the others;
`keras_hash.data.disjoint_classes` makes one of any benchmark with one label an
image.

`corel5k` and `mirflickr20k` are read from folders in `KERAS_HASH_DATA`,
`digits` and `multidigits` from scikit-learn, all others from where TensorFlow
Datasets prepared them (`TFDS_DATA_DIR`); NUS-WIDE and MIRFLICKR-25K have
builders in `keras_hash.data.builders`. Photos keep their own sizes.
Sets with missing photos give a warning with their counts.
"""


def page():
    """The page as text."""
    lines = [HEAD]
    for dataset in protocols.sets():
        lines += [
            f"## {dataset}\n",
            "| name | queries | training | database | labels | k | papers |",
            "|---|---|---|---|---|---|---|",
        ]
        notes = []
        for p in protocols.of(dataset).values():
            parts = [
                f"{p.counts[part]:,}: {text}"
                for part, text in (
                    ("query", p.query),
                    ("train", p.train),
                    ("database", p.database),
                )
            ]
            k = f"{p.k:,}" if p.k else "all"
            papers = ", ".join(p.papers)
            cells = [f"`{p.name}`", *parts, p.labels, k, papers]
            lines.append("| " + " | ".join(cells) + " |")
            if p.notes:
                notes.append(f"- `{p.name}`: {p.notes}")
        lines += ["", *notes, ""]
    return "\n".join(lines).rstrip() + "\n"


def main():
    """Writes the page."""
    PAGE.write_text(page())
    print(f"Wrote {PAGE}.")


if __name__ == "__main__":
    sys.exit(main())
