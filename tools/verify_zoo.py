"""Measures the zoo's entries again and compares them with their cards.

    python tools/verify_zoo.py [NAME ...] [--runtimes]

Prints a table; exits with 1 if a figure differs, or an entry's files or data
are not right or not here (see `keras_hash.zoo.verify`). Where figures should
change, `tools/train_zoo.py --measure-again` writes them. `--runtimes` counts
the codes that other runtimes make otherwise instead, of 2,000 images, and
writes that on the cards.
"""

import argparse
import dataclasses
import sys

import keras_hash
from keras_hash.cli import inputs
from keras_hash.cli import outputs
from keras_hash.export import runtimes
from keras_hash.zoo import entries
from keras_hash.zoo import verify
from keras_hash.zoo.card import machine


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="all entries by default")
    parser.add_argument("--runtimes", action="store_true")
    arguments = parser.parse_args(arguments)
    if arguments.runtimes:
        return write_runtimes(arguments.names or keras_hash.list_models())
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
    outputs.show(verify.table(results))
    for name, text in wrong.items():
        print(f"{name}: {text}", file=sys.stderr)
    return 1 if wrong else 0


def write_runtimes(names):
    for name in names:
        found = verify.compare_runtimes(
            name, sorted(runtimes.formats()), inputs.benchmark_of_card, 2000
        )
        known = {}
        for runtime, one in found.items():
            print(f"{name} on {runtime}: {one}", flush=True)
            known[runtime] = {
                "images": one.images,
                "bits_differing": one.bits_differing,
                "codes_differing": one.codes_differing,
                "measured_on": machine(),
            }
        folder = entries.entry_folder(name)
        dataclasses.replace(entries.card(name), runtimes=known).write(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
