"""Encoders in other runtimes: size, codes, mAP and speed against Keras.

    python tools/bench/runtimes.py [NAME ...] [--database 5000] [--write]

For each entry and format, on real images:

- MiB of the file;
- on 1,000 images, the share of bits and of codes that differ from the model's;
- the mAP of some queries in some images of the database, all encoded by the
  runtime, less that of the model on the same images;
- images a second as a ratio to `model.predict`, batches of 64, all taken in
  turns, the median.

With `--write`, the table of docs/runtimes.md is replaced. A runtime that is not
installed is left out and named.
"""

import argparse
import pathlib
import re
import tempfile

import numpy as np
from _timing import rates

import keras_hash
from keras_hash import files
from keras_hash.export import runtimes
from keras_hash.zoo import verify

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "runtimes.md"
NAMES = (
    "dshc_cifar10_30",
    "csq_cifar10_32",
    "dsrh_corel5k_64",
    "itq_mobilenetv2_64",
)
HEAD = """\
| entry | format | MiB | bits differing | codes differing | mAP change | speed |
|---|---|---|---|---|---|---|"""


def evenly(indices, count):
    """So many of the indices, evenly over their order."""
    places = np.linspace(0, len(indices) - 1, min(count, len(indices)))
    return indices[places.astype(int)]


def mean_average_precision(encoder, benchmark, parts):
    codes, labels = (
        [pool[parts[part]] for part in ("query", "database")]
        for pool in (benchmark.images, benchmark.targets)
    )
    codes = [encoder.encode(images, verbose=False) for images in codes]
    report = keras_hash.evaluate(
        codes[0],
        labels[0],
        codes[1],
        labels[1],
        bits=encoder.bits,
        similarity=encoder.similarity,
    )
    return report.metrics["map"]


def rows(name, chosen, folder):
    """The rows of an entry."""
    model = keras_hash.load(name)
    benchmark = keras_hash.data.load(keras_hash.zoo.card(name)["dataset"])
    check, calibrate = runtimes.sample(benchmark, 1000, 300)
    parts = {
        "query": evenly(benchmark.parts["query"], chosen.queries),
        "database": evenly(benchmark.parts["database"], chosen.database),
    }
    before = mean_average_precision(model, benchmark, parts)
    print(f"{name}: mAP {before:.4f} on these images", flush=True)
    opened, lines = {}, {}
    for format, runtime in runtimes.formats().items():
        try:
            runtimes.require(format, "write", "run")
        except ImportError as error:
            print(f"{format}: left out, {error}")
            continue
        for dtype in runtime.DTYPES:
            label = format if dtype == "stored" else f"{format} {dtype}"
            path = folder / f"{name}_{dtype}{runtime.ENDING or ''}"
            images = calibrate if dtype == "int8" else None
            runtimes.convert(model, path, format, dtype, images)
            size = sum(
                part.stat().st_size
                for part in (path.iterdir() if path.is_dir() else [path])
            )
            opened[label] = runtimes.load(path, model)
            found = runtimes.compare(model, opened[label], check)
            change = mean_average_precision(opened[label], benchmark, parts)
            lines[label] = (
                f"{size / 2**20:.2f} | {100 * found.bits_differing:.2g} % | "
                f"{100 * found.codes_differing:.2g} % | {change - before:+.4f}"
            )
            print(label, lines[label], flush=True)
    # Of the model's size, so that no runtime is timed with the resizing.
    some = check[: chosen.images]
    some = model.encode_by(lambda images: images, some, verbose=False)
    functions = {"": lambda: model.predict(some, 64, verbose=0)}
    for label, encoder in opened.items():
        functions[label] = lambda encoder=encoder: encoder.encode(
            some, verbose=False
        )
    speed = rates(functions, len(some), chosen.rounds)
    found = [
        f"| `{name}` | {label} | {line} | {speed[label] / speed['']:.1f} |"
        for label, line in lines.items()
    ]
    print(*found, sep="\n", flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--database", type=int, default=5000)
    parser.add_argument("--images", type=int, default=256, help="for speed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    lines = [HEAD]
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.names:
            lines += rows(name, chosen, pathlib.Path(folder))
    machine = verify.machine().rsplit(",", 1)[0]
    lines.append(
        f"\nOn {machine}; mAP of up to {chosen.queries:,} queries in up to "
        f"{chosen.database:,} images."
    )
    table = "\n".join(lines)
    print(table)
    if chosen.write:
        page = re.sub(
            r"(?<=<!-- table -->\n).*?(?=<!-- end of table -->)",
            lambda _: table + "\n",
            PAGE.read_text(),
            flags=re.DOTALL,
        )
        files.write(PAGE, page)


if __name__ == "__main__":
    main()
