"""Measures the zoo's entries again and compares them with their cards.

    python tools/verify_zoo.py [NAME ...] [--write]

Prints one line an entry; exits with 1 if a figure differs by more than 5e-5.
With `--write`, the cards take the metrics measured now (after a metric was
added, say); the weights and everything else stay as they are.
"""

import argparse
import json
import sys

import keras_hash
from keras_hash import files
from keras_hash import zoo
from keras_hash.evaluation import measure

TOLERANCE = 5e-5


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="all entries by default")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    wrong = 0
    for name in arguments.names or keras_hash.list_models():
        card = zoo.card(name)
        benchmark = keras_hash.data.load(card["dataset"], card["protocol"])
        report, _ = measure(keras_hash.load(name), benchmark)
        differing = {
            key: (value, report.metrics.get(key))
            for key, value in card["metrics"].items()
            if not abs(report.metrics.get(key, float("nan")) - value)
            <= TOLERANCE * max(1, abs(value))
        }
        print(
            f"{name}: mAP {report.metrics['map']:.6f}, on the card "
            f"{card['metrics']['map']:.6f}"
            + (f"; differing: {differing}" if differing else "")
        )
        wrong += bool(differing)
        if arguments.write:
            card |= {"metrics": report.metrics, "conventions": report.settings}
            path = zoo.entry_folder(name) / "card.json"
            files.write(path, json.dumps(card, indent=1) + "\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
