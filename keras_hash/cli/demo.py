"""`keras-hash demo`: load, train, measure, search and look, in minutes."""

import time

from keras_hash.cli import inputs

DIGITS, CIFAR = "dshc_digits_30", "dshc_cifar10_30"
_SHOWN = ("map", "map@1000", "precision@100", "precision_radius@2")


def add_commands(add):
    """Adds the command to the parser."""
    demo = add(
        "demo",
        lambda chosen: run(chosen.out, chosen.epochs),
        "Show the whole way, from images to search, in minutes.",
        ["demo", "demo --epochs 5 --out pictures"],
    )
    demo.add_argument(
        "--out", default="runs/demo", help="folder to write to (runs/demo)"
    )
    demo.add_argument(
        "--epochs",
        type=inputs.at_least(1),
        default=30,
        help="of training (default 30)",
    )


class RandomHyperplanes:
    """Codes by random hyperplanes on pixels: a baseline that learns nothing."""

    def __init__(self, reference, bits, seed=0):
        import numpy as np

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
    """Writes pictures and tables; returns the metrics of each encoder."""
    from rich.console import Console
    from rich.markdown import Markdown

    from keras_hash import files

    start = time.perf_counter()
    folder, console = files.local(folder), Console()
    console.rule("1. Digits: encoders from the zoo and from scratch")
    rows = _digits(console, folder, epochs)
    console.rule("2. CIFAR-10: the encoder of the zoo, measured again")
    rows |= _cifar(console, folder)
    files.write(folder / "metrics.json", files.to_json(rows) + "\n")
    files.write(folder / "metrics.md", _table(rows))
    console.rule("Retrieval at 30 bits (ties: exact expectation)")
    console.print(Markdown(_table(rows)))
    console.print(
        f"Pictures and tables are in {folder}. "
        f"{time.perf_counter() - start:.0f} s in all."
    )
    return rows


def _digits(console, folder, epochs):
    """Metrics of an encoder of the zoo, one trained here, and a baseline."""
    import keras

    import keras_hash
    from keras_hash import evaluation
    from keras_hash.search import pictures

    digits = keras_hash.data.load("digits")
    encoder = keras_hash.load(DIGITS)
    report, codes = evaluation.measure(encoder, digits)
    pictures.nearest(digits, codes, encoder.bits, folder / "digits.png", DIGITS)
    keras.utils.set_random_seed(0)
    own = keras_hash.models.DSHC(
        bits=30, num_classes=10, backbone="small", label_smoothing=0.1
    )
    own.compile(keras.optimizers.Adam(2e-3))
    batches = keras_hash.data.batches(
        digits.train, 64, augment=keras_hash.data.Augment(shift=3), shuffle=True
    )
    console.print(
        f"Training a small DSHC on {len(digits.parts['train'])} digits for "
        f"{epochs} epochs ..."
    )
    own.fit(batches, epochs=epochs, verbose=1)
    planes = RandomHyperplanes(digits.arrays("train")[0], bits=30)
    return {
        f"digits: {DIGITS}": report.metrics,
        "digits: DSHC trained just now": _metrics(own, digits),
        "digits: random hyperplanes on pixels": _metrics(planes, digits),
        "digits: chance": {"map": report.metrics["chance_map"]},
    }


def _metrics(encoder, benchmark):
    from keras_hash import evaluation

    return evaluation.measure(encoder, benchmark)[0].metrics


def _cifar(console, folder):
    """Metrics of an encoder of the zoo, measured where the images are here."""
    import keras_hash
    from keras_hash import evaluation
    from keras_hash import zoo
    from keras_hash.data import cifar10
    from keras_hash.search import pictures

    card = zoo.card(CIFAR)
    if not cifar10.is_prepared():
        console.print(
            "CIFAR-10 is not on this machine (set TFDS_DATA_DIR), so the "
            "figures below are those of the card."
        )
        return {f"cifar10: {CIFAR}, on its card": card.metrics}
    cifar = keras_hash.data.load("cifar10")
    encoder = keras_hash.load(CIFAR)
    console.print("Encoding 60,000 images ...")
    report, codes = evaluation.measure(encoder, cifar)
    pictures.nearest(cifar, codes, encoder.bits, folder / "cifar10.png", CIFAR)
    return {
        f"cifar10: {CIFAR}": report.metrics,
        "cifar10: the same, on its card": card.metrics,
        "cifar10: chance": {"map": card.metrics["chance_map"]},
    }


def _table(rows):
    """A line for each encoder, in Markdown."""
    lines = [("encoder", *_SHOWN), ("---", *["---:"] * len(_SHOWN))]
    for name, metrics in rows.items():
        texts = (f"{metrics[k]:.4f}" if k in metrics else "" for k in _SHOWN)
        lines.append((name, *texts))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
