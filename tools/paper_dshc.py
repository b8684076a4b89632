"""Re-makes the tables and figures of the DSHC paper, printed values beside.

    python tools/paper_dshc.py --part codebooks accuracy zoo ... [--again]
    python tools/paper_dshc.py --page

Luo et al., "Deep Supervised Hashing by Classification for Image Retrieval",
ICONIP 2021. The parts: `codebooks` (what a perfect classifier scores),
`accuracy` (Tables 2 to 4, Figure 3, recall at distance 0 and the sweep over K,
on the frozen features and by the rule of `tools/compare_methods.py`), `zoo`
(the same of the zoo's entries for CIFAR-10, trained end to end), `table2` and
`length` (times, as ratios within one process), `labels` (section 5, labels from
similarity alone), `disjoint` (classes never trained on), `figure2` and
`figure3` (pictures of what `accuracy` and `zoo` left).

Every part keeps its rows in `docs/reports/paper_dshc/<part>.json`; rows in it
are skipped unless `--again`. `--page` renews the tables in
`docs/reports/paper_dshc.md`; the prose around them is written by hand.
"""

import argparse

from paper_dshc import accuracy
from paper_dshc import disjoint
from paper_dshc import labels
from paper_dshc import page
from paper_dshc import pictures
from paper_dshc import store
from paper_dshc import times

from keras_hash import files

PARTS = {
    "codebooks": accuracy.measure_codebooks,
    "accuracy": accuracy.measure_accuracy,
    "zoo": accuracy.measure_zoo,
    "table2": times.measure_table2,
    "length": times.measure_length,
    "labels": labels.measure_labels,
    "disjoint": disjoint.measure_disjoint,
    "figure2": pictures.draw_figure2,
    "figure3": pictures.draw_figure3,
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--part", nargs="+", choices=PARTS, default=[])
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--page", action="store_true")
    arguments = parser.parse_args()
    for part in arguments.part:
        PARTS[part](arguments.again)
    if arguments.page:
        files.write(store.PAGE, page.page())


if __name__ == "__main__":
    main()
