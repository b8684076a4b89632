"""What `RetrievalMetrics` costs, against encoding the sets alone.

    python tools/bench/callback.py [--rounds 5] [--sizes 3]

For sets of growing size it takes turns: encoding queries and database with the
model, one measurement of the callback, and one with `log_dir`, which writes
everything for TensorBoard. Prints seconds and ratios to encoding, of the
fastest of the rounds, which other work on the machine disturbs least; then the
same for seconds of all cores together, which it hardly disturbs.

Images are noise around a pattern for each class: the time is that of photos.
The model is untrained: few codes are equal, which is the dearest evaluation.
"""

import argparse
import tempfile
import time

import numpy as np

import keras_hash

# Queries and database items.
SIZES = ((200, 1000), (1000, 5000), (2000, 20000))


def sets(queries, items, classes=10):
    """Two pairs of images and labels."""
    random = np.random.RandomState(0)
    patterns = random.randint(0, 256, (classes, 32, 32, 3))
    for count in (queries, items):
        labels = random.randint(0, classes, count)
        noise = random.randint(-60, 60, (count, 32, 32, 3))
        images = np.clip(patterns[labels] + noise, 0, 255).astype("uint8")
        yield images, labels


def measurement(model, query, database, log_dir):
    """A function that measures once, as at the end of an epoch."""
    callback = keras_hash.callbacks.RetrievalMetrics(
        query, database, log_dir=log_dir
    )
    callback.set_model(model)
    callback.on_train_begin()
    epochs = iter(range(1 << 20))
    return lambda: callback.on_epoch_end(next(epochs), {})


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backbone", default="cifar")
    parser.add_argument("--sizes", type=int, default=len(SIZES))
    chosen = parser.parse_args()
    model = keras_hash.models.DPSH(32, 10, backbone=chosen.backbone)
    for queries, items in SIZES[: chosen.sizes]:
        query, database = sets(queries, items)

        def encode(query=query, database=database):
            for images, _ in (query, database):
                model.encode(images, verbose=False)

        with tempfile.TemporaryDirectory() as folder:
            turns = {
                "encoding": encode,
                "callback": measurement(model, query, database, None),
                "with log_dir": measurement(model, query, database, folder),
            }
            seconds = {name: [] for name in turns}
            for turn in range(chosen.rounds + 1):
                for name, run in turns.items():
                    began = np.array([time.perf_counter(), time.process_time()])
                    run()
                    ended = np.array([time.perf_counter(), time.process_time()])
                    if turn:  # the first traces
                        seconds[name].append(ended - began)
        fastest = {n: np.min(found, axis=0) for n, found in seconds.items()}
        print(f"{queries:,} queries, {items:,} items, {chosen.backbone}:")
        for name, found in fastest.items():
            wall, cores = found / fastest["encoding"]
            print(
                f"  {name}: {found[0]:.2f} s ({wall:.2f}), "
                f"{found[1]:.2f} s of all cores ({cores:.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
