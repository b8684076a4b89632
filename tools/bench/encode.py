"""Encoding with zoo entries, against the bare backbone and two baselines.

    python tools/bench/encode.py [NAME ...] [--images 2048] [--write]

For each entry, on the same images of the size that it takes, in memory:

- seconds to load it beyond `import keras_hash`, TensorFlow's start included,
  and of a second entry in the same process;
- images per second of `model.encode`, as a ratio to `predict` of the bare
  backbone (Keras, the same weights, batches of 256), the two taken in turns;
- on CIFAR-10's 32x32 images, beside them: ITQ on pixels (32 bits), and the
  backbone's features as floats, each with its bytes an image and its mAP where
  the data is.

With `--write`, the cards take the images per second measured now.
"""

import argparse
import dataclasses
import os
import subprocess
import sys

import keras
import numpy as np
from _timing import rates

import keras_hash
from keras_hash import zoo
from keras_hash.data import cifar10

LOAD = """
import time, keras_hash, sys
began = time.perf_counter()
keras_hash.load(sys.argv[1])
first = time.perf_counter() - began
began = time.perf_counter()
keras_hash.load(sys.argv[1])
print(first, time.perf_counter() - began)
"""


def seconds_to_load(name):
    """Of the first and of another load, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD, name],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
        capture_output=True,
        text=True,
    )
    return [float(x) for x in done.stdout.split()[-2:]]


def pictures(shape, count):
    """Test images of CIFAR-10 where they fit, else noise: time is the same."""
    if shape == (32, 32, 3) and cifar10.is_prepared():
        return keras_hash.data.load("cifar10").arrays("query")[0][:count]
    random = np.random.RandomState(0)
    return random.randint(0, 256, (count, *shape)).astype("uint8")


def compare(name, count, rounds, write):
    """Prints the line of an entry."""
    model = keras_hash.load(name)
    shape = model.image_shape
    # Large images take that much longer each.
    images = pictures(shape, max(128, count * 32 * 32 // shape[0] // shape[1]))
    backbone = model.backbone
    found = rates(
        {
            "encode": lambda: model.encode(images, verbose=False),
            "predict": lambda: backbone.predict(images, 256, verbose=0),
        },
        len(images),
        rounds,
    )
    first, again = seconds_to_load(name)
    width = backbone.output_shape[-1]
    print(
        f"{name}: loaded in {first:.2f} s (again {again:.2f} s), "
        f"{found['encode']:,.0f} images/s, "
        f"{found['encode'] / found['predict']:.2f} of the backbone's predict; "
        f"{-(-model.bits // 8)} bytes an image against {4 * width:,} of its "
        "features",
        flush=True,
    )
    if write:
        rate = int(float(f"{found['encode']:.2g}"))
        card = dataclasses.replace(zoo.card(name), images_per_second=rate)
        card.write(zoo.entry_folder(name))
    return model


def baselines(model, rounds):
    """ITQ on pixels and float features on CIFAR-10, beside an encoder."""
    benchmark = keras_hash.data.load("cifar10")
    query, labels = benchmark.arrays("query")
    train, database_labels = benchmark.arrays("database")
    inputs = keras.Input((32, 32, 3))
    flat = keras.layers.Flatten()(keras.layers.AveragePooling2D(2)(inputs))
    itq = keras_hash.models.ITQ(32, backbone=keras.Model(inputs, flat))
    itq.adapt(train[::5], verbose=False)
    sample = query[:2048]
    found = rates(
        {
            "encoder": lambda: model.encode(sample, verbose=False),
            "ITQ on pixels": lambda: itq.encode(sample, verbose=False),
            "float features": lambda: model.backbone.predict(
                sample, 256, verbose=0
            ),
        },
        len(sample),
        rounds,
    )
    scores = {}
    for name, encoder in (("encoder", model), ("ITQ on pixels", itq)):
        report = keras_hash.evaluate(
            encoder.encode(query, verbose=False),
            labels,
            encoder.encode(train, verbose=False),
            database_labels,
            bits=encoder.bits,
        )
        scores[name] = report.metrics["map"]
    features = [
        model.backbone.predict(x, 256, verbose=0) for x in (query[:1000], train)
    ]
    scores["float features"] = float_map(*features, labels, database_labels)
    sizes = {
        "encoder": -(-model.bits // 8),
        "ITQ on pixels": 4,
        "float features": 4 * features[0].shape[1],
    }
    print("On CIFAR-10 (official; float features: 1,000 queries, cosine):")
    for name, rate in found.items():
        print(
            f"  {name}: {rate:,.0f} images/s, {rate / found['encoder']:.2f} of "
            f"the encoder; {sizes[name]} bytes an image; "
            f"mAP {scores[name]:.4f}"
        )


def float_map(query, database, labels, database_labels):
    """mAP of a ranking by cosine."""
    query, database = (
        x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, database)
    )
    found = []
    for row, label in zip(query, labels):
        order = np.argsort(-(database @ row), kind="stable")
        hits = database_labels[order] == label
        places = np.flatnonzero(hits) + 1
        found.append(np.mean(np.arange(1, len(places) + 1) / places))
    return float(np.mean(found))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="all entries by default")
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    chosen.names = chosen.names or keras_hash.list_models()
    for name in chosen.names:
        model = compare(name, chosen.images, chosen.rounds, chosen.write)
        if name == "dshc_cifar10_30" and cifar10.is_prepared():
            baselines(model, chosen.rounds)


if __name__ == "__main__":
    main()
