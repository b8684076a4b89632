"""A training step of every method, against a plain softmax classifier.

    python tools/bench/training.py [NAME ...] [--backbone cifar] [--batch 128]

The classifier is the same backbone with a dense layer, compiled and fitted by
Keras alone. Both train on the same images in batches, with Adam, in turns; the
ratios are those of their quickest rounds on the clock, and the median over
rounds of processor time, which other programs and a virtual machine's scheduler
disturb less. Then the methods that compare pairs, with a memory bank of 50,000
images and codes of 64 bits. On small images and batches the loss weighs more:
a network of its own size is what the ratio means.
"""

import argparse
import time

import keras
import numpy as np

import keras_hash
from keras_hash import methods

BITS, CLASSES, BANK = 64, 10, 50_000
# Codes of other lengths, where the method asks for them.
LENGTHS = {"dshc": 60, "dshcmultilabel": CLASSES}


def pictures(count):
    """Noise and labels, of the size that the backbones take."""
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (count, 32, 32, 3)).astype("uint8")
    return images, random.randint(0, CLASSES, count)


def of_plain(images, labels, backbone, batch):
    """An epoch of the classifier, by Keras alone."""
    import tensorflow as tf

    trunk = keras_hash.backbones.build(backbone, (32, 32, 3))
    logits = keras.layers.Dense(CLASSES)(trunk.output)
    model = keras.Model(trunk.input, logits)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=False)
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    data = data.batch(batch).prefetch(2)
    return lambda: model.fit(data, verbose=0)


def of_method(name, images, labels, backbone, batch, bank=None):
    """An epoch of a method, as its users train it."""
    import tensorflow as tf

    model_class, loss_class = methods.registry()[name]
    if model_class.needs_bank:
        bank = len(images)
    settings = {} if bank is None else {"bank_size": bank}
    bits = LENGTHS.get(name, BITS)
    model = model_class(bits, CLASSES, backbone=backbone, **settings)
    model.compile("adam")
    # A step is timed, and not what some do after an epoch.
    model._end_epoch = lambda again: None
    if name == "dshcmultilabel":
        labels = np.eye(CLASSES, dtype="uint8")[labels]
    if loss_class.views > 1:
        images = np.stack([images] * loss_class.views, axis=1)
    y = {"label": labels, "index": np.arange(len(labels))}
    data = tf.data.Dataset.from_tensor_slices((images, y))
    data = data.batch(batch).prefetch(2)
    if model.stores_pairs:
        model.adapt(data)
    return lambda: model.fit(data, verbose=0)


def ratio(one, other, rounds):
    """Seconds of the one by those of the other, in turns: on the clock in their
    quickest rounds, and of the processor; and the quickest of the other."""
    found = np.empty((rounds + 1, 2, 2))
    for turn in range(rounds + 1):
        for place, run in enumerate((one, other)):
            began = time.perf_counter(), time.process_time()
            run()
            ended = time.perf_counter(), time.process_time()
            found[turn, place] = np.subtract(ended, began)
    # The first round traces.
    quickest = np.min(found[1:, :, 0], axis=0)
    processor = np.median(found[1:, 0, 1] / found[1:, 1, 1])
    return (quickest[0] / quickest[1], processor), quickest[1]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="all methods by default")
    parser.add_argument("--backbone", default="cifar")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only-banks", action="store_true")
    chosen = parser.parse_args()
    images, labels = pictures(chosen.batch * chosen.steps)
    given = (images, labels, chosen.backbone, chosen.batch)
    # By the number of views: the classifier sees each of them as an image.
    plain = {
        n: of_plain(
            np.repeat(images, n, axis=0),
            np.repeat(labels, n),
            chosen.backbone,
            n * chosen.batch,
        )
        for n in (1, 2)
    }
    known = {k: v for k, v in methods.registry().items() if v[1] is not None}
    for name in chosen.names or known:
        loss_class = known[name][1]
        banks = [None] if not chosen.only_banks else []
        if getattr(loss_class, "takes_bank", False):
            banks.append(BANK)
        for bank in banks:
            found, seconds = ratio(
                of_method(name, *given, bank),
                plain[loss_class.views],
                chosen.rounds,
            )
            print(
                f"{name}{f' with a bank of {bank:,}' if bank else ''}: "
                f"{found[0]:.2f} of the classifier's "
                f"{1000 * seconds / chosen.steps:.0f} ms a step, "
                f"{found[1]:.2f} of its processor time",
                flush=True,
            )


if __name__ == "__main__":
    main()
