"""Trains a zoo entry from its recipe, evaluates, exports and writes its card.

    python tools/train_zoo.py dshc_cifar10_30

Training resumes from its last epoch after a kill. With `--validation 0.1` a
share of the training set is held out and measured instead, and nothing is
exported: this is how settings are compared, never on the queries.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import sys
import time

import keras
import numpy as np

import keras_hash
from keras_hash import zoo
from keras_hash.evaluation import measure

ROOT = pathlib.Path(__file__).resolve().parent.parent


def load_recipe(name):
    """The module `tools/recipes/<name>.py`."""
    path = ROOT / "tools" / "recipes" / f"{name}.py"
    if not path.exists():
        known = sorted(p.stem for p in path.parent.glob("*.py"))
        sys.exit(f"There is no recipe {name!r}. Recipes: {', '.join(known)}")
    spec = importlib.util.spec_from_file_location(name, path)
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    return recipe


class Clock(keras.callbacks.Callback):
    """Adds up the training seconds over all resumed runs, in one file."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.seconds = (
            json.loads(path.read_text())["seconds"] if path.exists() else 0.0
        )

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds += time.perf_counter() - self.start
        text = json.dumps({"seconds": self.seconds, "epoch": epoch, **logs})
        beside = self.path.with_suffix(".new")
        beside.write_text(text)
        os.replace(beside, self.path)


def train(recipe, benchmark, folder, epochs, verbose):
    """Trains or resumes.

    Returns:
        A pair: the trained model in float32, and the training seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / "final.weights.h5"
    clock = Clock(folder / "clock.json")
    if not final.exists():
        keras.utils.set_random_seed(recipe.SEED)
        keras.mixed_precision.set_global_policy(recipe.POLICY)
        model = recipe.model(benchmark.num_classes)
        images, _ = benchmark.arrays("train")
        model.adapt(images[:: max(1, len(images) // 5000)])
        batches = keras_hash.data.batches(
            benchmark.train,
            recipe.BATCH_SIZE,
            augment=recipe.augment,
            shuffle=True,
            seed=recipe.SEED,
            drop=True,
        )
        model.compile(recipe.optimizer(epochs * int(batches.cardinality())))
        backup = keras.callbacks.BackupAndRestore(
            folder / "backup", double_checkpoint=True, delete_checkpoint=False
        )
        model.fit(
            batches, epochs=epochs, callbacks=[backup, clock], verbose=verbose
        )
        beside = folder / "unfinished.weights.h5"
        model.save_weights(beside)
        os.replace(beside, final)
    keras.mixed_precision.set_global_policy("float32")
    model = recipe.model(benchmark.num_classes)
    model.load_weights(final)
    return model, clock.seconds


def compaction_cost(model, full, small):
    """What compact weights change, from the codes of both models."""
    a, b = (
        keras_hash.codes.unpack(
            np.concatenate(list(parts.values())), model.bits
        )
        for parts in (full, small)
    )
    cost = {"bits_changed": float(np.mean(a != b))}
    if hasattr(model, "codebook"):
        book = keras.ops.convert_to_numpy(model.codebook.codes)
        centres = book[:: model.bits + 1]
        nearest = [
            np.argmax(x.astype("float32") @ centres.T, 1) for x in (a, b)
        ]
        cost["nearest_centre_flips"] = float(np.mean(nearest[0] != nearest[1]))
    return cost


def finish(recipe, name, model, benchmark, folder, seconds, epochs):
    """Exports, measures the exported model and writes the entry."""
    full_report, full_parts = measure(model, benchmark)
    details = {
        "dataset": benchmark.name,
        "protocol": benchmark.protocol,
        "split_checksum": benchmark.checksum,
        "labels": benchmark.labels,
        "recipe": {
            "file": f"tools/recipes/{name}.py",
            "epochs": epochs,
            "batch_size": recipe.BATCH_SIZE,
            "precision": recipe.POLICY,
            "training_images": len(benchmark.parts["train"]),
            **recipe.SETTINGS,
        },
        "seed": recipe.SEED,
        "training_seconds": round(seconds),
        "machine": machine(),
        "licence": {
            "weights": "Apache-2.0",
            "training_images": benchmark.licence,
        },
    }
    trial = folder / "trial" / name
    zoo.write(model, trial, details, recipe.COMPACT)
    report, parts = measure(keras_hash.load(trial), benchmark)
    details["compaction"] = {
        **compaction_cost(model, full_parts, parts),
        "map_before": full_report.metrics["map"],
    }
    details["metrics"] = report.metrics
    details["conventions"] = report.settings
    details["code_sha256"] = {
        part: hashlib.sha256(codes.tobytes()).hexdigest()
        for part, codes in parts.items()
    }
    card = zoo.write(model, ROOT / "zoo" / name, details, recipe.COMPACT)
    shipped = keras_hash.load(ROOT / "zoo" / name)
    if (shipped.encode(benchmark.arrays("query")[0]) != parts["query"]).any():
        sys.exit("The shipped entry gives other codes than the measured one.")
    shutil.rmtree(folder / "trial")
    print(report)
    print(json.dumps({**details["compaction"], "bytes": card["bytes"]}))


def machine():
    """The kind of machine, for the card."""
    kind = platform.machine()
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
        kind = text.split("model name")[1].split(":")[1].split("\n")[0].strip()
    except (OSError, IndexError):
        pass
    return f"{os.cpu_count()} x {kind}, Keras on {keras.backend.backend()}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", help="recipe in tools/recipes")
    parser.add_argument("--epochs", type=int, help="in place of the recipe's")
    parser.add_argument("--validation", type=float, default=0.0)
    parser.add_argument("--verbose", type=int, default=1, choices=(0, 1, 2))
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.name)
    epochs = arguments.epochs or recipe.EPOCHS
    benchmark = keras_hash.data.load(
        recipe.DATASET, recipe.PROTOCOL, arguments.validation
    )
    suffix = (
        f"-e{epochs}-v{arguments.validation}" if arguments.validation else ""
    )
    folder = ROOT / "runs" / "zoo" / f"{arguments.name}{suffix}"
    model, seconds = train(recipe, benchmark, folder, epochs, arguments.verbose)
    if arguments.validation:
        report, _ = measure(model, benchmark, "validation", "train")
        print(report)
    else:
        finish(
            recipe, arguments.name, model, benchmark, folder, seconds, epochs
        )


if __name__ == "__main__":
    main()
