"""The main job in a few minutes: load, train, measure, search, look."""

import json
import pathlib
import time

import numpy as np

DIGITS, CIFAR = "dshc_digits_30", "dshc_cifar10_30"


class RandomHyperplanes:
    """Codes by random hyperplanes on pixels: a baseline without learning."""

    def __init__(self, reference, bits, seed=0):
        self.bits = bits
        flat = reference.reshape(len(reference), -1)
        self._mean = flat.mean(axis=0)
        random = np.random.RandomState(seed)
        self._planes = random.randn(flat.shape[1], bits).astype("float32")

    def encode(self, images):
        """Packed codes of images."""
        from keras_hash import codes

        flat = images.reshape(len(images), -1) - self._mean
        return codes.pack(flat.astype("float32") @ self._planes)


def run(folder="runs/demo", epochs=30):
    """Runs the demo and writes its pictures and tables."""
    import keras
    from rich.console import Console
    from rich.table import Table

    import keras_hash
    from keras_hash import evaluation
    from keras_hash import files
    from keras_hash import zoo
    from keras_hash.data import cifar10
    from keras_hash.search import pictures

    start = time.perf_counter()
    folder = pathlib.Path(folder)
    console = Console()
    rows = {}

    def measure(name, benchmark, encoder):
        report, codes = evaluation.measure(encoder, benchmark)
        rows[name] = report.metrics
        return codes

    console.rule("1. Digits: encoders from the zoo and from scratch")
    digits = keras_hash.data.load("digits")
    encoder = keras_hash.load(DIGITS)
    found = measure(f"digits: {DIGITS}", digits, encoder)
    keras.utils.set_random_seed(0)
    own = keras_hash.models.DSHC(
        bits=30, num_classes=10, backbone="small", label_smoothing=0.1
    )
    own.compile(keras.optimizers.Adam(2e-3))
    batches = keras_hash.data.batches(
        digits.train,
        64,
        augment=keras_hash.data.Augment(shift=3),
        shuffle=True,
    )
    console.print(
        f"Training a small DSHC on {len(digits.parts['train'])} digits for "
        f"{epochs} epochs ..."
    )
    own.fit(batches, epochs=epochs, verbose=1)
    measure("digits: DSHC trained just now", digits, own)
    planes = RandomHyperplanes(digits.arrays("train")[0], bits=30)
    measure("digits: random hyperplanes on pixels", digits, planes)
    chance = next(iter(rows.values()))["chance_map"]
    rows["digits: chance"] = {"map": chance}
    pictures.nearest(digits, found, encoder.bits, folder / "digits.png", DIGITS)

    console.rule("2. CIFAR-10: the encoder of the zoo, measured again")
    card = zoo.card(CIFAR)
    encoder = keras_hash.load(CIFAR)
    if cifar10.is_prepared():
        cifar = keras_hash.data.load("cifar10")
        console.print("Encoding 60,000 images ...")
        found = measure(f"cifar10: {CIFAR}", cifar, encoder)
        pictures.nearest(
            cifar, found, encoder.bits, folder / "cifar10.png", CIFAR
        )
        rows["cifar10: the same, on its card"] = card["metrics"]
        rows["cifar10: chance"] = {"map": card["metrics"]["chance_map"]}
    else:
        console.print(
            "CIFAR-10 is not on this machine (set TFDS_DATA_DIR), so the "
            "figures below are those of the card."
        )
        rows[f"cifar10: {CIFAR}, on its card"] = card["metrics"]

    keys = ["map", "map@1000", "precision@100", "precision_radius@2"]
    table = Table(title="Retrieval at 30 bits (ties: exact expectation)")
    lines = [f"| encoder | {' | '.join(keys)} |", "|---|" + "---|" * len(keys)]
    for column in ["encoder", *keys]:
        table.add_column(
            column, justify="left" if column == "encoder" else "right"
        )
    for name, metrics in rows.items():
        values = [f"{metrics[k]:.4f}" if k in metrics else "" for k in keys]
        table.add_row(name, *values)
        lines.append(f"| {name} | {' | '.join(values)} |")
    files.write(folder / "metrics.md", "\n".join(lines) + "\n")
    files.write(folder / "metrics.json", json.dumps(rows, indent=1) + "\n")
    console.print(table)
    console.print(
        f"Pictures and tables are in {folder}. "
        f"{time.perf_counter() - start:.0f} s in all."
    )
    return rows
