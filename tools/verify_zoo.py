"""Measures the zoo's entries again and compares them with their cards.

    python tools/verify_zoo.py [NAME ...]

Prints a table; exits with 1 if a figure differs, or an entry's files or data
are not right or not here (see `keras_hash.zoo.verify`). Where figures should
change, `tools/train_zoo.py --measure-again` writes them.
"""

import argparse
import sys

import keras_hash
from keras_hash.cli import inputs
from keras_hash.zoo import verify


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="all entries by default")
    arguments = parser.parse_args(arguments)
    results, wrong = [], {}
    for name in arguments.names or keras_hash.list_models():
        try:
            result = verify.verify(name, inputs.benchmark_of_card)
        except (ValueError, OSError) as error:
            wrong[name] = str(error)
            continue
        results.append(result)
        if not result.passed:
            wrong[name] = result.problems()
    inputs.show(verify.table(results))
    for name, text in wrong.items():
        print(f"{name}: {text}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
