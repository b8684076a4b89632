"""Images per second of the input pipeline, against Keras and a training step.

    python tools/bench/inputs.py [--images 2000] [--size 128]

The same photos (those of Corel-5K where they are, else noise), read from JPEG
files in one folder a class, resized, mirrored and shifted, in batches:

- `keras_hash.data.from_folder` and `batches` with `Augment`;
- `keras.utils.image_dataset_from_directory` with Keras' own layers;
- the same from memory (`cache=True`), which a second epoch reads;
- a training step of MobileNetV2 with a hash layer, which is what the pipeline
  has to feed. All in one run; ratios are printed.
"""

import argparse
import pathlib
import tempfile
import time

import keras
import numpy as np
from PIL import Image

import keras_hash
from keras_hash.data import places

BATCH = 64


def photos(count):
    """JPEG files, real ones where there are."""
    for folder in places.folders("corel5k/train_jpeg"):
        found = sorted(folder.glob("*.jpeg"))
        if found:
            return [p.read_bytes() for p in found[:count]], "Corel-5K"
    import io

    random = np.random.RandomState(0)
    contents = []
    for _ in range(count):
        coarse = random.randint(0, 256, (12, 18, 3)).astype("uint8")
        stream = io.BytesIO()
        image = Image.fromarray(coarse).resize((192, 128))
        image.save(stream, "JPEG", quality=90)
        contents.append(stream.getvalue())
    return contents, "noise"


def rate(batches, count):
    """Images a second of one pass."""
    started = time.perf_counter()
    seen = sum(len(batch[0]) for batch in batches)
    seconds = time.perf_counter() - started
    assert seen == count, (seen, count)
    return seen / seconds


def keras_pipeline(folder, size):
    """The same work with Keras' utilities."""
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(size, size), batch_size=BATCH, verbose=False
    )
    shift = keras.layers.RandomTranslation(8 / size, 8 / size, "reflect")
    flip = keras.layers.RandomFlip("horizontal")
    return dataset.map(
        lambda x, y: (flip(shift(x, training=True), training=True), y),
        num_parallel_calls=2,
    ).prefetch(2)


def step_rate(size, steps=6):
    """Images a second of training MobileNetV2 with a hash layer."""
    model = keras_hash.models.DPSH(
        32, 10, backbone="mobilenet_v2", input_shape=(size, size, 3)
    )
    model.compile("adam")
    images = np.zeros((BATCH, size, size, 3), "uint8")
    labels = np.arange(BATCH) % 10
    model.train_on_batch(images, labels)
    started = time.perf_counter()
    for _ in range(steps):
        model.train_on_batch(images, labels)
    return BATCH * steps / (time.perf_counter() - started)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--size", type=int, default=128)
    arguments = parser.parse_args()
    size = arguments.size
    contents, kind = photos(arguments.images)
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(contents):
            place = pathlib.Path(folder) / f"class{number % 10}"
            place.mkdir(exist_ok=True)
            (place / f"{number}.jpeg").write_bytes(content)
        own = keras_hash.data.from_folder(folder, query=0.0)
        augment = keras_hash.data.Augment(flip=True, shift=8)
        settings = {"augment": augment, "shuffle": True, "image_size": size}
        cached = keras_hash.data.batches(
            own.train, BATCH, cache=True, **settings
        )
        count = len(own.parts["train"])
        rates = {
            "keras_hash, from files": rate(
                keras_hash.data.batches(own.train, BATCH, **settings), count
            ),
            "Keras, from files": rate(
                keras_pipeline(folder, size), len(contents)
            ),
        }
        rate(cached, count)
        rates["keras_hash, from memory"] = rate(cached, count)
    rates["training step of MobileNetV2"] = step_rate(size)
    base = rates["Keras, from files"]
    need = rates["training step of MobileNetV2"]
    print(f"{count} photos ({kind}) at {size} pixels, batches of {BATCH}")
    print(f"{'':30} images/s  against Keras  against the step")
    for name, value in rates.items():
        print(
            f"{name:30} {value:8.0f} {value / base:14.2f} {value / need:17.1f}"
        )


if __name__ == "__main__":
    main()
