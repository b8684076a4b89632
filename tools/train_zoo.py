"""Trains a zoo entry from its recipe, evaluates, exports and writes its card.

    python tools/train_zoo.py dshc_cifar10_30

Training resumes from its last epoch after a kill. With `--validation 0.1` a
share of the training set is held out and measured instead, and nothing is
exported: this is how settings are compared, never on the queries.

On a machine without TensorFlow, training alone runs under KERAS_BACKEND=jax or
torch, on images from a file; exporting is done afterwards where TensorFlow is:

    python tools/train_zoo.py dshc_cifar10_30 --write-arrays cifar10.npz
    KERAS_BACKEND=jax python tools/train_zoo.py dshc_cifar10_30 \\
        --arrays cifar10.npz [--trunk trunk.weights.h5] --runs OUT
    python tools/train_zoo.py dshc_cifar10_30 --runs OUT

What the graph of an entry does besides its network follows the library, its
weights do not: `--export-again` writes the graph of an entry, or of `all`,
anew, and refuses to change a byte of the weights. `--measure-again` writes the
figures of an entry, or of `all`, anew: a metric was added, or photos are read
in another way than before.
"""

import argparse
import dataclasses
import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys
import time
import timeit

import keras
import numpy as np
import recipes

import keras_hash
from keras_hash import files
from keras_hash.data import places
from keras_hash.data.benchmark import PARTS
from keras_hash.data.benchmark import Benchmark
from keras_hash.evaluation import measure
from keras_hash.export import encoder
from keras_hash.export import proof
from keras_hash.zoo import entries
from keras_hash.zoo import verify
from keras_hash.zoo.card import code_hash
from keras_hash.zoo.card import machine
from keras_hash.zoo.card import versions

ROOT = pathlib.Path(__file__).resolve().parent.parent


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
        self.add(time.perf_counter() - self.start, epoch=epoch, **logs)

    def add(self, seconds, **more):
        """Adds seconds and writes the file.

        Args:
            seconds: float.
            **more: what else the file should say.
        """
        self.seconds += seconds
        content = {"seconds": self.seconds, "machine": machine(), **more}
        files.write(self.path, json.dumps(content))


def write_arrays(benchmark, path):
    """Writes a benchmark in memory into one file, to be read without
    TensorFlow."""
    kept = ("name", "protocol", "labels", "licence")
    # An open file: NumPy adds an ending to names.
    with files.beside(path) as new, open(new, "wb") as file:
        np.savez(
            file,
            images=np.asarray(benchmark.images),
            targets=benchmark.targets,
            ids=benchmark.ids,
            about=json.dumps({k: getattr(benchmark, k) for k in kept}),
            **{f"part_{name}": benchmark.parts[name] for name in PARTS},
        )


def read_arrays(path):
    """The benchmark in a file of `write_arrays`."""
    stored = np.load(path)
    return Benchmark(
        images=stored["images"],
        targets=stored["targets"],
        ids=stored["ids"],
        parts={name: stored[f"part_{name}"] for name in PARTS},
        **json.loads(str(stored["about"])),
    )


def start(recipe, benchmark, trunk=None):
    """An untrained model, on the trunk of the recipe.

    Args:
        recipe: a `Recipe`.
        benchmark: a `Benchmark`; `adapt` takes statistics of its training
            images.
        trunk: path of trained weights of the trunk's whole model, in place of
            its zoo entry, which needs TensorFlow.

    Returns:
        A `HashModel`.
    """
    keras.utils.set_random_seed(recipe.seed)
    model = recipe.model(benchmark.num_classes)
    if recipe.trunk is None:
        train = benchmark.parts["train"]
        model.adapt(benchmark.images[train[:: max(1, len(train) // 5000)]])
    elif recipe.trunk.endswith(".weights.h5"):
        name = model.get_config()["backbone"]
        pretrained = keras_hash.backbones.build(
            name, model.image_shape, str(weights_file(recipe.trunk))
        )
        model.backbone.set_weights(pretrained.get_weights())
    else:
        if trunk is None:
            before = keras_hash.load(recipe.trunk)
        else:
            earlier = recipes.load(recipe.trunk).RECIPE
            before = earlier.model(benchmark.num_classes)
            before.load_weights(trunk)
        model.backbone.set_weights(before.backbone.get_weights())
    if recipe.backbone_rate == 0:
        # What follows learns on the features that the entry will have.
        for weight in model.backbone.variables:
            value = keras.ops.convert_to_numpy(weight.value)
            stored = encoder.compact(value, recipe.compact)
            weight.assign(encoder.widen(*stored, weight.dtype))
    return model


def weights_file(name):
    """The path of published weights, in the folder `weights` of the data, or
    of the runs."""
    found = places.found(f"weights/{name}") or ROOT / "runs/weights" / name
    if not found.exists():
        sys.exit(
            f"There is no {name} in the folder `weights` of the data, and no "
            f"{found}."
        )
    return found


def batches(recipe, images, labels):
    """Training batches of arrays: by `tf.data` where TensorFlow is.

    Returns:
        A pair: what `fit` takes, and its number of steps.
    """
    if importlib.util.find_spec("tensorflow") is None or images.ndim == 2:
        sampler = keras_hash.data.EpochSampler(
            len(images), recipe.batch_size, recipe.seed
        )
        found = keras_hash.data.SampledBatches(
            images, labels, sampler, recipe.augment and recipe.augment.on_arrays
        )
        return found, len(sampler)
    import tensorflow as tf

    found = keras_hash.data.batches(
        tf.data.Dataset.from_tensor_slices((images, labels)),
        recipe.batch_size,
        augment=recipe.augment,
        shuffle=True,
        seed=recipe.seed,
        drop=True,
    )
    return found, int(found.cardinality())


def train(recipe, benchmark, folder, epochs, verbose, trunk=None):
    """Trains or resumes.

    Returns:
        A pair: the trained model in float32, and the training seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / "final.weights.h5"
    clock = Clock(folder / "clock.json")
    if not final.exists():
        keras.mixed_precision.set_global_policy(recipe.policy)
        model = start(recipe, benchmark, trunk)
        size = model.image_shape[:2]
        images, labels = benchmark.arrays("train", image_size=size)
        if recipe.optimizer is None:
            began = time.perf_counter()
            for name in recipe.photos:
                if name == recipe.dataset:
                    continue
                more = keras_hash.data.load(name).arrays("train", size)
                images, labels = np.concatenate([images, more[0]]), None
            model.adapt(images, labels)
            clock.add(time.perf_counter() - began)
        else:
            fit(recipe, model, images, labels, folder, epochs, verbose, clock)
        with files.beside(final) as new:
            model.save_weights(new)
    keras.mixed_precision.set_global_policy("float32")
    model = recipe.model(benchmark.num_classes)
    model.load_weights(final)
    return model, clock.seconds


def fit(recipe, model, images, labels, folder, epochs, verbose, clock):
    """Trains a model by gradient, or what follows its backbone."""
    learner = model
    if recipe.frozen:
        sides = [model.features(images[:, :, ::step]) for step in (1, -1)]
        images, labels = np.concatenate(sides), np.concatenate([labels, labels])
        learner = model.head_model()
    data, steps = batches(recipe, images, labels)
    # A rate of 0 is that of a backbone which is not there.
    learner.compile(
        recipe.optimizer(epochs * steps),
        backbone_rate=recipe.backbone_rate or 1.0,
    )
    backup = keras_hash.callbacks.Backup(folder / "training.backup")
    learner.fit(data, epochs=epochs, callbacks=[backup, clock], verbose=verbose)
    if recipe.frozen:
        model.take_head(learner)


def compaction_cost(model, full, small):
    """What compact weights change, from the codes of both models."""
    a, b = (
        keras_hash.codes.unpack(
            np.concatenate(list(parts.values())), model.bits
        )
        for parts in (full, small)
    )
    cost = {"bits_changed": float(np.mean(a != b))}
    # Only DSHC's codes are always rows of its book.
    if isinstance(model, keras_hash.models.DSHC):
        book = keras.ops.convert_to_numpy(model.codebook.codes)
        classes = keras.ops.convert_to_numpy(model.codebook.classes)
        nearest = [
            classes[np.argmax(x.astype("float32") @ book.T, 1)] for x in (a, b)
        ]
        cost["nearest_centre_flips"] = float(np.mean(nearest[0] != nearest[1]))
    return cost


def finish(recipe, name, model, benchmark, folder, seconds, epochs):
    """Publishes the entry, and notes what compact weights changed."""
    full_report, full_parts = measure(model, benchmark)
    clock = json.loads((folder / "clock.json").read_text())
    described = recipe.card()
    if "epochs" in described:
        described["epochs"] = epochs
    card, report, parts = entries.publish_measured(
        model,
        ROOT / "zoo" / name,
        benchmark,
        recipe.compact,
        recipe={
            "file": f"tools/recipes/{name}.py",
            "training_images": len(benchmark.parts["train"]),
            **described,
        },
        seed=recipe.seed,
        training_seconds=round(seconds),
        machine=clock.get("machine") or machine(),
        licence={
            "weights": "Apache-2.0",
            "training_images": "; ".join(
                f"{photos}: {keras_hash.data.load(photos).licence}"
                for photos in recipe.photos
            )
            or benchmark.licence,
        },
    )
    shipped = keras_hash.load(ROOT / "zoo" / name)
    card = dataclasses.replace(
        card,
        compaction={
            **compaction_cost(model, full_parts, parts),
            "map_before": full_report.metrics["map"],
        },
        images_per_second=speed(shipped, benchmark),
    )
    card.write(ROOT / "zoo" / name)
    if (shipped.encode(benchmark.query) != parts["query"]).any():
        sys.exit("The shipped entry gives other codes than the measured one.")
    print(report)
    print(json.dumps({**card.compaction, "bytes": card.bytes}))


def export_again(name):
    """Writes the graph of an entry anew, for the same weights."""
    folder = ROOT / "zoo" / name
    card = entries.card(folder)
    saved = folder / str(card.version)
    with files.beside(saved) as new:
        encoder.save_encoder(keras_hash.load(folder), new, card.weights)
        for old in (saved / "variables").iterdir():
            if (new / "variables" / old.name).read_bytes() != old.read_bytes():
                sys.exit(f"The weights of {name} would change: {old.name}")
        shutil.rmtree(saved)
    paths = sorted(p for p in saved.rglob("*") if p.is_file())
    hashes = {str(p.relative_to(folder)): files.sha256(p) for p in paths}
    size = sum(p.stat().st_size for p in paths)
    dataclasses.replace(card, files=hashes, bytes=size).write(folder)
    print(f"{name}: {size:,} bytes, {card.bytes:,} before")


def measure_again(name):
    """Writes the figures of an entry anew."""
    folder = ROOT / "zoo" / name
    card = entries.card(folder)
    name = card.name
    benchmark = keras_hash.data.load(card.dataset, card.protocol)
    model = keras_hash.load(folder)
    report, parts = measure(model, benchmark)
    saved = folder / str(card.version)
    if proof.differing(model, saved, benchmark):
        sys.exit(f"The graph of {name} gives files other codes.")
    kept = dict(card.compaction)
    if abs(report.metrics["map"] - card.metrics["map"]) > verify.ELSEWHERE:
        # Before its weights were made compact it was scored on other pixels.
        kept.pop("map_before", None)
    dataclasses.replace(
        card,
        metrics=report.metrics,
        lengths=entries.of_lengths(model, benchmark, parts),
        mirrored=entries.of_mirror(model, benchmark, parts),
        extremes=entries.of_queries(model, benchmark, parts),
        conventions=report.settings,
        code_sha256={part: code_hash(codes) for part, codes in parts.items()},
        measured_on=machine(),
        versions=versions(),
        compaction=kept,
    ).write(folder)
    print(f"{name}: mAP {report.metrics['map']}, {card.metrics['map']} before")


def speed(model, benchmark):
    """Images a second of `encode`, the best of five rounds, two digits."""
    images = benchmark.images[benchmark.parts["query"][:512]]
    best = min(
        timeit.repeat(
            lambda: model.encode(images, verbose=False), number=1, repeat=6
        )
    )
    return int(float(f"{len(images) / best:.2g}"))


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", nargs="?", help="recipe in tools/recipes")
    parser.add_argument("--export-again", metavar="NAME|all")
    parser.add_argument("--measure-again", metavar="NAME|all")
    parser.add_argument("--epochs", type=int, help="in place of the recipe's")
    parser.add_argument("--validation", type=float, default=0.0)
    parser.add_argument("--verbose", type=int, default=1, choices=(0, 1, 2))
    parser.add_argument("--runs", type=pathlib.Path, default=ROOT / "runs/zoo")
    parser.add_argument("--write-arrays", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--arrays", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--trunk", type=pathlib.Path, metavar="FILE")
    chosen = parser.parse_args(arguments)
    for option, again in (
        ("export_again", export_again),
        ("measure_again", measure_again),
    ):
        name = getattr(chosen, option)
        if name == "all":
            for card in sorted(ROOT.glob("zoo/*/card.json")):
                # Names in a graph carry a counter: a process for each.
                option = option.replace("_", "-")
                call = [__file__, f"--{option}", card.parent.name]
                subprocess.run([sys.executable, *call], check=True)
        elif name:
            again(name)
        if name:
            return
    if chosen.name is None:
        parser.error("give a recipe")
    try:
        recipe = recipes.load(chosen.name).RECIPE
    except ValueError as error:
        sys.exit(str(error))
    short = chosen.epochs is not None
    epochs = chosen.epochs if short else recipe.epochs
    if chosen.arrays is not None:
        benchmark = read_arrays(chosen.arrays)
    else:
        benchmark = keras_hash.data.load(
            recipe.dataset, recipe.protocol, chosen.validation
        )
    if chosen.write_arrays is not None:
        write_arrays(benchmark, chosen.write_arrays)
        return
    suffix = f"-e{epochs}" if chosen.validation or short else ""
    suffix += f"-v{chosen.validation}" if chosen.validation else ""
    folder = chosen.runs / f"{chosen.name}{suffix}"
    model, seconds = train(
        recipe, benchmark, folder, epochs, chosen.verbose, chosen.trunk
    )
    if chosen.validation:
        report, _ = measure(model, benchmark, "validation", "train")
        print(report)
    elif importlib.util.find_spec("tensorflow") is None:
        print(f"Trained: {folder / 'final.weights.h5'}. Export it where")
        print(f"TensorFlow is: train_zoo.py {chosen.name} --runs {chosen.runs}")
    else:
        finish(recipe, chosen.name, model, benchmark, folder, seconds, epochs)


if __name__ == "__main__":
    main()
