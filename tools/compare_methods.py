"""Compares all methods on the same features, budget and rule.

    python tools/compare_methods.py --task corel5k [--methods dsrh itq ...]
    python tools/compare_methods.py --task mirflickr20k --alone dsrh isdh
    python tools/compare_methods.py --table

Tasks: `digits` and `multidigits` (the small network, trained from scratch by
each method), `cifar10`, `corel5k` and `mirflickr20k` (a hash layer on frozen
ImageNet features of MobileNetV2, at 96, 128 and 128 pixels; a trunk trained on
the labels of CIFAR-10 would have seen the answer). On the last two one model
with nested codes is trained for all lengths, where the method can; those named
by `--alone` are trained for each length too. The rule: Adam with one learning
rate that falls to zero along a cosine, a fixed number of epochs, the last
weights, the papers' constants. Nothing is selected on the queries.

Every run adds rows to `docs/reports/comparison.csv`; runs that are in it are
skipped. `--table` renews the tables in `docs/reports/comparison.md` from it.
Features are kept in `runs/features`.
"""

import argparse
import csv
import dataclasses
import functools
import pathlib
import time

import keras
import numpy as np
import page_parts

import keras_hash
from keras_hash import figures
from keras_hash import files
from keras_hash import methods
from keras_hash.data import places
from keras_hash.data.images import fitted
from keras_hash.evaluation import measure

ROOT = pathlib.Path(__file__).resolve().parent.parent
CSV = ROOT / "docs" / "reports" / "comparison.csv"
PAGE = ROOT / "docs" / "reports" / "comparison.md"
CHARTS = PAGE.parent
WEIGHTS = "mobilenet_v2_imagenet_notop.weights.h5"
# Ranks that metrics look at.
CUTS = (100, 1000)
SCORES = (
    "map",
    "ndcg@100",
    "acg@100",
    "wmap@1000",
    "jaccard_ndcg@100",
    "jaccard_acg@100",
    "unique_codes",
)
COLUMNS = ("task", "method", "bits", "nested", "seed", *SCORES, "seconds")


@dataclasses.dataclass(frozen=True)
class Task:
    """What is compared on: a benchmark and a budget."""

    name: str
    epochs: int
    batch_size: int
    rate: float
    bits: tuple
    seeds: tuple
    pixels: int | None = None
    # Whether one model makes the codes of all lengths.
    nested: bool = False
    # The entry whose backbone gives the features, in place of MobileNetV2.
    trunk: str | None = None

    @functools.cached_property
    def photos(self):
        """The benchmark as it is."""
        return keras_hash.data.load(self.name.partition("_")[0])

    @functools.cached_property
    def benchmark(self):
        """The benchmark, with features in place of images where frozen."""
        if self.pixels is None:
            return self.photos
        features = self.scaled(frozen_features(self))
        return dataclasses.replace(self.photos, images=features)

    @functools.cached_property
    def views(self):
        """Features of strongly augmented views of each training image: four,
        or two of many images."""
        count = 4 if len(self.photos.parts["train"]) < 10000 else 2
        return self.scaled(frozen_views(self, count))

    def scaled(self, features):
        """Features shifted and scaled as a whole, which changes no distance but
        their unit: losses that start from a far-off mean take long to leave."""
        train = frozen_features(self)[self.photos.parts["train"]]
        return (features - train.mean(axis=0)) / train.std()

    def settings(self, method):
        """Backbone arguments of a model of this task."""
        if self.pixels is None:
            shape = (32, 32, 3)
            backbone = raw_pixels(shape) if method in SHALLOW else "small"
            return {"backbone": backbone, "input_shape": shape}
        width = self.benchmark.images.shape[1]
        own_layers = ("dsrh", *UNLABELLED)
        if method in SHALLOW or method in own_layers:
            return {"backbone": "features", "input_shape": (width,)}
        inputs = keras.Input((width,))
        x = keras.layers.Dense(512, "relu")(inputs)
        x = keras.layers.Dropout(0.5)(x)
        return {"backbone": keras.Model(inputs, x), "input_shape": (width,)}


LENGTHS = (16, 32, 48, 64)
TASKS = {
    task.name: task
    for task in (
        Task("digits", 25, 64, 2e-3, (32,), (0, 1, 2)),
        Task("multidigits", 12, 128, 2e-3, (32,), (0, 1, 2)),
        Task("cifar10", 3, 128, 1e-3, (16, 32, 48), (0, 1, 2), pixels=96),
        Task("corel5k", 40, 128, 1e-3, LENGTHS, (0, 1, 2), 128, nested=True),
        Task("mirflickr20k", 25, 128, 1e-3, LENGTHS, (0, 1, 2), 128, True),
        Task(
            "cifar10_trunk",
            2,
            128,
            1e-3,
            LENGTHS,
            (0, 1, 2),
            32,
            True,
            "dshc_cifar10_30",
        ),
    )
}
# The heart first; DSHC has lengths of its own.
TRAINED = (
    "dsrh",
    "dmssph",
    "isdh",
    "idhn",
    "dpsh",
    "dsdh",
    "dtsh",
    "dhn",
    "hashnet",
    "ssdh",
    "dlbhc",
    "ninh",
    "dsh",
    "greedyhash",
    "csq",
    "dpn",
    "orthohash",
    "hyp2",
    "dch",
    "talr",
)
# Run on the tasks with nested codes only.
MODERN = ("mdshc", "dhd", "dslh", "mutualhash", "vdsh")
UNLABELLED = (
    "sdc",
    "bihalf",
    "greedyhashunsupervised",
    "crovca",
    "cibhash",
    "cimon",
)
SHALLOW = ("itq", "ccaitq", "sh", "ksh", "hashbitselection")
BASELINES = ("trivial", "chance")
# Solved in a second for each length; the first bits of ITQ's codes are good,
# the others are not.
ALONE = ("itq", "ccaitq", "sh", "ksh")


def raw_pixels(shape):
    """A backbone that shows grey images at half the size."""
    inputs = keras.Input(shape)
    grey = keras.ops.mean(inputs, axis=-1, keepdims=True)
    small = keras.layers.AveragePooling2D(2)(grey)
    return keras.Model(inputs, keras.layers.Flatten()(small))


def network(task):
    """MobileNetV2 with the weights of ImageNet, or the backbone of an entry."""
    if task.trunk is not None:
        return keras_hash.load(task.trunk).backbone
    weights = places.found(f"weights/{WEIGHTS}")
    if weights is None:
        raise FileNotFoundError(
            f"The features need {WEIGHTS} in the folder `weights` of "
            "KERAS_HASH_DATA."
        )
    return keras_hash.backbones.build(
        "mobilenet_v2", (task.pixels, task.pixels, 3), str(weights)
    )


def kept(task, part, make):
    """What a function makes for a task, computed once."""
    path = ROOT / "runs" / "features" / f"{task.name}_{task.pixels}{part}.npy"
    if not path.exists():
        with files.beside(path) as new:
            np.save(new, make())
    return np.load(path)


def frozen_features(task):
    """Features of the whole pool."""

    def make():
        size, images = (task.pixels, task.pixels), task.photos.images
        backbone, features = network(task), []
        for start in range(0, len(images), 250):
            some = images[start : start + 250]
            some = np.stack([fitted(image, size) for image in some])
            features.append(backbone.predict_on_batch(some))
        return np.concatenate(features)

    return kept(task, "", make)


def frozen_views(task, count):
    """Features of augmented training images."""
    augment = keras_hash.data.Augment.strong(flip=True)
    views = keras_hash.data.batches(
        task.photos.train, 64, task.pixels, augment, views=count
    )
    return kept(
        task,
        "_views",
        lambda: keras_hash.data.feature_views(network(task), views),
    )


class WeakAndStrong(keras_hash.data.SampledBatches):
    """An image as it is, and one of its augmented views."""

    def __init__(self, images, views, labels, sampler):
        super().__init__(views, labels, sampler)
        self.weak = images

    def __getitem__(self, step):
        strong, y = super().__getitem__(step)
        return np.stack([self.weak[y["index"]], strong], axis=1), y


def lengths(task, method):
    """Code lengths of a method on a task; DSHC has its own."""
    if method == "dshc":
        return (10, 30, 60) if task.pixels else (30,)
    if method == "dshc_kbc":
        return (10, 16)
    if method == "dshcmultilabel":
        return (task.benchmark.num_classes,)
    return task.bits


def all_methods(task):
    """Methods that suit the labels of a task."""
    own = ("dshcmultilabel",) if task.benchmark.multi_label else ("dshc",)
    if not task.benchmark.multi_label:
        own += ("dshc_kbc",)
    modern = MODERN + UNLABELLED if task.nested else ()
    return own + TRAINED + modern + SHALLOW + BASELINES


def build(task, method, bits, nested=None):
    """An untrained model."""
    classes = task.benchmark.num_classes
    settings = {"bits": bits, "num_classes": classes, **task.settings(method)}
    settings["nested"] = nested
    if method == "dshc_kbc":
        method, settings["codebook"] = "dshc", "kbc"
    count = len(task.benchmark.parts["train"])
    if method == "cimon":
        settings["bank_size"] = count
    if method == "dslh":
        settings["bank_size"] = count // task.batch_size * task.batch_size
    if method == "talr" and task.benchmark.multi_label:
        settings["objective"] = "ndcg"
    return methods.registry()[method][0](**settings)


def fit(task, model):
    """Trains by the rule that is the same for all."""
    images, labels = task.benchmark.arrays("train")
    if not model.trained:
        model.adapt(images, labels)
        return
    steps = task.epochs * (len(images) // task.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(task.rate, steps)
    model.compile(keras.optimizers.Adam(rate), steps_per_execution=8)
    if model.loss_class.views > 1:
        sampler = keras_hash.data.EpochSampler(len(images), task.batch_size)
        batches = keras_hash.data.SampledBatches(
            task.views, labels, sampler, views=2
        )
        if model.supervised:
            batches = WeakAndStrong(images, task.views, labels, sampler)
        if model.stores_pairs:
            model.adapt(task.views[:, :2])
        model.fit(batches, epochs=task.epochs, verbose=0)
        return
    order = np.random.RandomState(0).permutation(len(images))
    whole = order[: len(images) // task.batch_size * task.batch_size]
    model.fit(
        images[whole],
        labels[whole],
        batch_size=task.batch_size,
        epochs=task.epochs,
        verbose=0,
    )


def trivial(task, seed):
    """A plain classifier's most probable class number, in binary.

    Returns:
        The report.
    """
    benchmark = task.benchmark
    keras.utils.set_random_seed(seed)
    settings = task.settings("trivial")
    shape = settings["input_shape"]
    backbone = keras_hash.backbones.build(settings["backbone"], shape)
    inputs = keras.Input(shape)
    logits = keras.layers.Dense(benchmark.num_classes)(backbone(inputs))
    model = keras.Model(inputs, logits)
    images, labels = benchmark.arrays("train")
    steps = task.epochs * (len(images) // task.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(task.rate, steps)
    if benchmark.multi_label:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, steps_per_execution=8)
    size = task.batch_size
    model.fit(images, labels, size, task.epochs, verbose=0)
    bits = (benchmark.num_classes - 1).bit_length()
    parts = []
    for part in ("query", "database"):
        images, labels = benchmark.arrays(part)
        number = model.predict(images, 256, verbose=0).argmax(axis=1)
        ones = (number[:, None] >> np.arange(bits)) & 1
        parts += [keras_hash.codes.pack(2.0 * ones - 1), labels]
    return keras_hash.evaluate(*parts, bits=bits)


def chance(task):
    """What one bit that is the same for all images scores."""
    labels = [task.benchmark.arrays(part)[1] for part in ("query", "database")]
    codes = [np.zeros((len(x), 1), "uint8") for x in labels]
    return keras_hash.evaluate(codes[0], labels[0], codes[1], labels[1], bits=1)


def run(task, method, bits, seed, nested=None):
    """Trains and measures one model.

    Returns:
        The rows of the CSV, one a length.
    """
    # Graphs of earlier models would pile up.
    keras.backend.clear_session()
    started = time.perf_counter()
    if method in BASELINES:
        report = chance(task) if method == "chance" else trivial(task, seed)
        seconds = time.perf_counter() - started
        return [row(task, method, bits, False, seed, report, seconds)]
    keras.utils.set_random_seed(seed)
    model = build(task, method, bits, nested)
    fit(task, model)
    seconds = time.perf_counter() - started
    parts = task.benchmark.parts
    report, codes = measure(model, task.benchmark, k=CUTS)
    rows = []
    for length in model.lengths:
        if length < bits:
            sides = []
            for part in ("query", "database"):
                some = keras_hash.codes.shorten(codes[part], length)
                sides += [some, task.benchmark.targets[parts[part]]]
            found = keras_hash.evaluate(*sides, bits=length, k=CUTS)
        else:
            found = report
        whole = bool(nested)
        rows.append(row(task, method, length, whole, seed, found, seconds))
    return rows


def row(task, method, bits, nested, seed, report, seconds):
    """A row of the CSV."""
    about = {"task": task.name, "method": method, "bits": bits}
    about |= {"nested": "yes" if nested else "", "seed": seed}
    found = {k: report.metrics.get(k, "") for k in SCORES}
    found = {
        k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()
    }
    return {**about, **found, "seconds": round(seconds, 1)}


def read():
    """The rows of the CSV."""
    if not CSV.exists():
        return []
    with CSV.open() as file:
        return list(csv.DictReader(file))


def key(row):
    """What tells runs apart."""
    return tuple(row[k] for k in ("task", "method", "bits", "nested", "seed"))


def add(rows):
    """Adds rows to the CSV, which is whole at any moment."""
    rows = [*read(), *rows]
    with files.beside(CSV) as new, new.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def plan(task, chosen, alone=()):
    """All runs of a task: three seeds at 32 bits, one at other lengths; or
    three of a model with nested codes, and of a model for each length."""
    for method in chosen or all_methods(task):
        if method in BASELINES:
            seeds = task.seeds if method == "trivial" else (0,)
            yield from ((method, 0, seed, None) for seed in seeds)
            continue
        bits = lengths(task, method)
        nests = task.nested and method in methods.registry()
        nests = nests and method not in ALONE
        nests = nests and methods.registry()[method][0].nests
        if nests:
            yield from ((method, bits[-1], s, bits[:-1]) for s in task.seeds)
        if nests and method not in alone:
            continue
        for length in bits:
            several = task.nested or length == 32 or length not in task.bits
            # Solved ones keep the seed of their random starts.
            several = several and method not in SHALLOW
            for seed in task.seeds if several else task.seeds[:1]:
                yield method, length, seed, None


def cell(rows, score):
    """Mean and spread (largest less smallest) of a score, as text."""
    values = [float(row[score]) for row in rows if row[score]]
    if not values:
        return ""
    text = f"{np.mean(values):.3f}"
    if len(values) > 1:
        text += f" ± {(max(values) - min(values)) / 2:.3f}"
    return text


def table(task, rows):
    """A Markdown table of a task with one label an image, or of small networks:
    best mAP at 32 bits first."""
    shown = ["map"]
    if any(row["jaccard_ndcg@100"] for row in rows):
        shown = ["map", "ndcg@100", "acg@100", "jaccard_ndcg@100"]
        shown += ["jaccard_acg@100"]
    others = [b for b in task.bits if b != 32]
    head = ["method", "bits", *shown]
    head += [f"{name} at {b}" for b in others for name in shown[:2]]
    lines = []
    for method, bits, of in systems(rows):
        main_ = [r for r in of if int(r["bits"]) == bits]
        cells = [method, str(bits or ""), *(cell(main_, s) for s in shown)]
        for other in others:
            there = [r for r in of if int(r["bits"]) == other != bits]
            cells += [cell(there, s) for s in shown[:2]]
        lines.append((float(cell(main_, "map").split()[0]), cells))
    lines.sort(key=lambda line: -line[0])
    return page_parts.table(head, [cells for _, cells in lines])


def systems(rows):
    """A method, its main length and its rows, for each line of a table: those
    with nested codes where there are any. Methods with lengths of their own
    have a line for each."""
    for method in dict.fromkeys(row["method"] for row in rows):
        of = [r for r in rows if r["method"] == method]
        whole = method not in ALONE and any(r["nested"] for r in of)
        of = [r for r in of if bool(r["nested"]) == whole]
        lengths_ = {int(r["bits"]) for r in of}
        for bits in [32] if 32 in lengths_ else sorted(lengths_):
            yield method, bits, of


def length_table(task, rows):
    """A Markdown table of a task with four lengths: mAP and NDCG at each."""
    head = ["method", "one model"]
    head += [f"{s} at {b}" for s in ("map", "ndcg@100") for b in task.bits]
    lines = []
    for method, bits, of in systems(rows):
        if bits == 32:
            cells = [method, "yes" if of[0]["nested"] else ""]
            for score in ("map", "ndcg@100"):
                for length in task.bits:
                    there = [r for r in of if int(r["bits"]) == length]
                    cells.append(cell(there, score).split(" ")[0])
            lines.append(cells)
    lines.sort(key=lambda cells: -float(cells[3]))
    return page_parts.table(head, lines)


def graded_table(task, rows):
    """A Markdown table of a task with four lengths: all metrics at 32 bits."""
    shown = [score for score in SCORES if score != "unique_codes"]
    lines = []
    for method, bits, of in systems(rows):
        main_ = [r for r in of if int(r["bits"]) == bits]
        lines.append([method, bits or "", *(cell(main_, s) for s in shown)])
    lines.sort(key=lambda cells: -float(cells[2].split()[0]))
    return page_parts.table(["method", "bits", *shown], lines)


def nested_table(task, rows):
    """The head and lines of a table: mAP and NDCG of nested codes less those of
    a model for each length, and the standard error of that."""
    scores = [(s, b) for s in ("map", "ndcg@100") for b in task.bits]
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        cells = []
        for score, bits in scores:
            nested, alone = (
                [
                    float(r[score] or "nan")
                    for r in rows
                    if r["method"] == method
                    and int(r["bits"]) == bits
                    and bool(r["nested"]) == whole
                ]
                for whole in (True, False)
            )
            if min(len(nested), len(alone)) < 2 or np.isnan(nested).any():
                cells.append("")
                continue
            gap = np.mean(nested) - np.mean(alone)
            both = [np.std(x, ddof=1) / len(x) ** 0.5 for x in (nested, alone)]
            cells.append(f"{gap:+.4f} ± {np.hypot(*both):.4f}")
        if any(cells):
            lines.append([task.name, method, *cells])
    return ["task", "method", *(f"{s} at {b}" for s, b in scores)], lines


def chart(task, rows, path):
    """Draws mAP and NDCG@100 of all methods, a dot for each length."""
    from matplotlib.figure import Figure

    shown = [(m, of) for m, bits, of in systems(rows) if bits == 32]
    place = {
        (m, score, b): cell(
            [r for r in of if int(r["bits"]) == b], score
        ).split(" ")[0]
        for m, of in shown
        for score in ("map", "ndcg@100")
        for b in task.bits
    }
    order = sorted(shown, key=lambda one: float(place[one[0], "map", 32]))
    names = [m for m, _ in order]
    figure = Figure(figsize=(9, 0.24 * len(names) + 1.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, score in zip(axes, ("map", "ndcg@100")):
        for y, name in enumerate(names):
            values = [float(place[name, score, b] or "nan") for b in task.bits]
            axis.plot(values, [y] * len(values), color="0.75", zorder=1)
        for number, bits in enumerate(task.bits):
            values = [
                float(place[name, score, bits] or "nan") for name in names
            ]
            axis.scatter(
                values,
                range(len(names)),
                s=18 + 8 * number,
                marker="osD^"[number],
                color=f"C{number}",
                label=f"{bits} bits",
            )
        axis.set(xlabel="mAP" if score == "map" else "NDCG@100")
        axis.set(yticks=range(len(names)), yticklabels=names)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8, loc="lower right")
    figures.charts.save(figure, path)


def write_tables():
    """Renews the tables between the marks of `docs/reports/comparison.md`, and
    the charts."""
    text, compared = PAGE.read_text(), []
    for name, task in TASKS.items():
        rows = [row for row in read() if row["task"] == name]
        parts = {name: table}
        if task.nested:
            parts = {name: graded_table, f"{name} by length": length_table}
            head, lines = nested_table(task, rows)
            compared += lines
        if not rows or task.trunk is not None:
            # For nested codes alone.
            continue
        if task.nested:
            chart(task, rows, CHARTS / f"comparison_{name}.png")
        for mark, make in parts.items():
            text = page_parts.renewed(
                text, f"<!-- {mark} -->", "<!-- end -->", make(task, rows)
            )
    compared = page_parts.table(head, compared)
    text = page_parts.renewed(text, "<!-- nested -->", "<!-- end -->", compared)
    PAGE.write_text(text)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--task", choices=sorted(TASKS), action="append")
    parser.add_argument("--methods", nargs="+", default=[])
    parser.add_argument("--alone", nargs="+", default=[])
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        write_tables()
    done = {key(row) for row in read()}
    for name in arguments.task or []:
        task = TASKS[name]
        chosen = arguments.methods or arguments.alone
        for method, bits, seed, nested in plan(task, chosen, arguments.alone):
            about = (name, method, str(bits), "yes" if nested else "")
            if (*about, str(seed)) in done:
                continue
            rows = run(task, method, bits, seed, nested)
            add(rows)
            for found in rows:
                print(*(f"{k}={v}" for k, v in found.items()), flush=True)


if __name__ == "__main__":
    main()
