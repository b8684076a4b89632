"""Throughput of the served signatures against `model.predict`, in one run.

    python tools/bench/serving.py [NAME] [--images 2048] [--runs 3]

The same images as JPEG files, as arrays of the model's size, and through
`model.predict` in batches of 64. Requests of 1, 8 and 64 images, from 1 and 4
threads, on the signatures that TensorFlow Serving runs. Ratios are images a
second against those of `model.predict`, which neither decodes nor packs. All
take turns, and the fastest counts.
"""

import argparse
import concurrent.futures
import pathlib
import tempfile
import time

import numpy as np
import tensorflow as tf

import keras_hash
from keras_hash import export

SIZES, THREADS, BATCH = (1, 8, 64), (1, 4), 64


def photos(count, height, width):
    """Images of patches and noise, and as JPEG files of twice the size."""
    random = np.random.RandomState(0)
    images, contents = [], []
    for _ in range(count):
        coarse = random.randint(0, 200, (6, 6, 3)).astype("float32")
        large = tf.image.resize(coarse, (2 * height, 2 * width))
        large += random.randint(0, 56, large.shape)
        large = tf.cast(large, tf.uint8)
        contents.append(tf.io.encode_jpeg(large, quality=90).numpy())
        images.append(tf.image.resize(large, (height, width), antialias=True))
    return np.stack(images), contents


def in_requests(call, items, size, threads):
    """Sends all items, `size` a request."""
    requests = [items[i : i + size] for i in range(0, len(items), size)]
    if threads == 1:
        return [call(request) for request in requests]
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(call, requests))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", nargs="?", default="dshc_cifar10_30")
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    model = keras_hash.load(arguments.name)
    height, width = model.image_shape[:2]
    images, contents = photos(arguments.images, height, width)
    with tempfile.TemporaryDirectory() as folder:
        # As it is exported now, whenever the entry was written.
        entry = pathlib.Path(folder) / "entry"
        export.save_encoder(model, entry)
        served = tf.saved_model.load(str(entry)).signatures

    def arrays(batch):
        return served["encode"](image=tf.constant(batch))["code"].numpy()

    def files(batch):
        batch = tf.constant(batch)
        return served["encode_bytes"](image_bytes=batch)["code"].numpy()

    def predict():
        return model.predict(images, batch_size=BATCH, verbose=0)

    calls = {("model.predict", BATCH, 1): predict}
    for name, call, items in (
        ("encode", arrays, images),
        ("encode_bytes", files, contents),
    ):
        for size in SIZES:
            for threads in THREADS:
                calls[name, size, threads] = (
                    lambda c=call, i=items, s=size, t=threads: in_requests(
                        c, i, s, t
                    )
                )
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(arguments.runs + 1):  # The first turn warms up.
        for key, call in calls.items():
            start = time.perf_counter()
            call()
            seconds = time.perf_counter() - start
            best[key] = min(best[key], seconds)
    expected = model.encode(images)
    found = np.concatenate(in_requests(arrays, images, 8, 4))
    np.testing.assert_array_equal(found, expected)
    base = best["model.predict", BATCH, 1]
    print(
        f"{arguments.name}: {len(images)} images of {height}x{width}, JPEG "
        f"files of {2 * height}x{2 * width}, about "
        f"{np.mean([len(c) for c in contents]):.0f} bytes"
    )
    print("signature      a request  threads  images/s  against predict")
    for (name, size, threads), seconds in best.items():
        print(
            f"{name:14} {size:9} {threads:8} {len(images) / seconds:9.0f} "
            f"{base / seconds:16.2f}"
        )


if __name__ == "__main__":
    main()
