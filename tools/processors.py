"""Codes of the zoo's entries under other settings of the same processor.

    python tools/processors.py [NAME ...] [--images 5000] [--write]

Each entry encodes the first queries of its benchmark and the first images of
the database, as this machine does by default, without AVX-512, with oneDNN and
without, and on one thread, each in a process of its own. Counted are the bits
that differ from the default and the images with such a bit; the largest
difference of a metric is beside them. Codes of a whole part are compared with
those of the card, by their sha256, which another machine may have made. With
`--write`, the table goes to docs/reports/processors.md. 40 minutes on 2 cores.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
from concurrent import futures

import numpy as np

import keras_hash
from keras_hash import codes
from keras_hash import zoo
from keras_hash.cli import inputs
from keras_hash.zoo.card import code_hash
from keras_hash.zoo.card import machine
from keras_hash.zoo.card import versions

PAGE = pathlib.Path(__file__).parents[1] / "docs/reports/processors.md"
NO_AVX512 = " ".join(
    f"AVX512{kind}" for kind in ("F", "CD", "_SKX", "_CLX", "_CNL", "_ICL")
)
SETTINGS = {
    "default": {},
    "no AVX-512": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": NO_AVX512,
    },
    # Which of the two is the default depends on the processor.
    "oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "no oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "one thread": {
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    },
}
if not np._core._multiarray_umath.__cpu_features__["AVX512F"]:
    del SETTINGS["no AVX-512"]


def parts(name, most):
    """Images or files, and labels, of the queries and of the database."""
    benchmark = inputs.benchmark_of_card(zoo.card(name))
    for part in ("query", "database"):
        places = benchmark.parts[part][:most]
        images = benchmark.images
        if isinstance(images, np.ndarray):
            images = images[places]
        else:
            images = getattr(benchmark, part).take(len(places))
        yield images, benchmark.targets[places]


def encode(name, most, path):
    """Writes the codes of an entry as this process makes them."""
    model = keras_hash.load(name)
    found = [
        model.encode(images, verbose=False) for images, _ in parts(name, most)
    ]
    np.savez(path, *found)


def encoded(name, most, setting):
    """The codes of an entry under a setting."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "codes.npz")
        subprocess.run(
            [sys.executable, "-W", "ignore", __file__]
            + [name, "--images", str(most), "--into", path],
            env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **setting},
            check=True,
        )
        with np.load(path) as saved:
            return [saved[key] for key in saved.files]


def compare(name, most, unlike):
    """Yields a row for each setting but the default.

    `unlike` gets what the entry encodes otherwise than its card says.
    """
    card = zoo.card(name)
    bits, similarity = card.bits, card.similarity
    labels = [found for _, found in parts(name, most)]
    with futures.ThreadPoolExecutor(2) as pool:
        tasks = {
            setting: pool.submit(encoded, name, most, values)
            for setting, values in SETTINGS.items()
        }
    runs = {setting: task.result() for setting, task in tasks.items()}
    whole = inputs.benchmark_of_card(card).parts
    for part, found in zip(("query", "database"), runs["default"]):
        same = code_hash(found) == card.code_sha256[part]
        if len(found) == len(whole[part]) and not same:
            unlike.append(f"the {part} codes of {name}")
    metrics = {}
    for setting, (query, base) in runs.items():
        report = keras_hash.evaluate(
            query, labels[0], base, labels[1], bits=bits, similarity=similarity
        )
        # Counts of codes move by whole numbers: shares of them are compared.
        metrics[setting] = {
            key: value
            for key, value in report.metrics.items()
            if key not in ("unique_codes", "code_entropy")
        }
    usual = codes.unpack(np.concatenate(runs.pop("default")), bits)
    for setting, found in runs.items():
        moved = codes.unpack(np.concatenate(found), bits) != usual
        change = max(
            abs(metrics[setting][key] - value)
            for key, value in metrics["default"].items()
        )
        yield setting, int(moved.sum()), int(moved.any(1).sum()), moved, change


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="all entries by default")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--into", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.into:
        return encode(chosen.names[0], chosen.images, chosen.into)
    lines = [
        "| entry | setting | bits | of | images | metrics move by |",
        "|---|---|---|---|---|---|",
    ]
    names, unlike = chosen.names or keras_hash.list_models(), []
    for name in names:
        for setting, bits, images, moved, change in compare(
            name, chosen.images, unlike
        ):
            lines.append(
                f"| {name} | {setting} | {bits:,} | {moved.size:,} | "
                f"{images:,} of {len(moved):,} | {change:.1e} |"
            )
            print(lines[-1], flush=True)
    unlike = ", ".join(unlike) or "none"
    lines += ["", f"Other codes than on the cards: {unlike}."]
    print(lines[-1])
    if chosen.write:
        PAGE.write_text(page(lines, chosen.images, names))


def page(lines, most, names):
    made = sorted({zoo.card(name).measured_on for name in names})
    made = "\n".join(f"- {kind}" for kind in made)
    used = ", ".join(f"{k} {v}" for k, v in versions().items())
    table = "\n".join(lines)
    return f"""# The same codes on other processors

Written by `tools/processors.py` on {machine()}
with {used}.
The first {most:,} queries of each entry's benchmark and the first {most:,}
images of its database are encoded under other settings of the same processor.
Counted are the bits that differ, and the images with such a bit: their outputs
lie so near to 0, or two of their classes so near to each other, that another
order of additions decides.

{table}

The codes of whole parts (of no more than {most:,} images) were compared by
their sha256 with those on the cards, made on

{made}

"No AVX-512", on processors that have it, limits oneDNN, OpenBLAS and NumPy to
AVX2; "no oneDNN" leaves the kernels to Eigen. TensorFlow takes oneDNN by itself
where a processor has instructions for neural networks, such as AVX512-VNNI; on
others it is the default not to. `keras-hash verify` allows 1e-6
between card and measurement on the card's kind of processor, with its versions
and none of these settings, and 5e-5 elsewhere; it says which of the two it
used, and why. Rows above 5e-5 are entries that `verify` may refuse under such a
setting.

The tests run on Python 3.11, and were run once on 3.12 and on 3.13.

Not tried: ARM, GPUs, macOS and Windows.
"""


if __name__ == "__main__":
    main()
