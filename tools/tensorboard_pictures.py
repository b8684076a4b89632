"""The pictures of docs/tensorboard.md, made again.

    python tools/tensorboard_pictures.py [--runs runs/tensorboard]

Trains four encoders for a few epochs on a part of CIFAR-10, on the backbone of
a zoo entry (15 minutes on two cores; runs that are there already are kept),
starts TensorBoard on loopback, opens it in Chromium without a window, and
writes one picture a tab into docs/tensorboard/.

It needs Chromium (Debian: `apt install chromium`; another one by CHROMIUM) and
`pip install playwright`, which drives it.
"""

import argparse
import contextlib
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "docs/tensorboard"
EPOCHS, IMAGES, QUERIES = 6, 4000, 500
# Method, bits, learning rate of the hash layer.
RUNS = {
    "dshc_30": ("DSHC", 30, 1e-3),
    "dsrh_32": ("DSRH", 32, 1e-3),
    "dpsh_32": ("DPSH", 32, 1e-3),
    # So fast that all images get the same few codes.
    "collapsed": ("DPSH", 32, 0.3),
}


def train(name, folder):
    """Trains one encoder with the callback."""
    import keras

    import keras_hash

    method, bits, rate = RUNS[name]
    keras.utils.set_random_seed(0)
    bench = keras_hash.data.load("cifar10")
    images, labels = bench.arrays("train")
    query, query_labels = bench.arrays("query")
    encoder = keras_hash.load("dshc_cifar10_30")
    model = getattr(keras_hash.models, method).from_encoder(
        encoder, bench.num_classes, bits=bits
    )
    model.compile(keras.optimizers.Adam(rate), backbone_rate=0.1)
    retrieval = keras_hash.callbacks.RetrievalMetrics(
        (query[:QUERIES], query_labels[:QUERIES]),
        (images[:IMAGES], labels[:IMAGES]),
        log_dir=folder / name,
        hparams={"images": IMAGES},
        class_names=bench.labels,
    )
    model.fit(
        images[:IMAGES],
        labels[:IMAGES],
        batch_size=64,
        epochs=EPOCHS,
        callbacks=[retrieval],
        verbose=2,
    )


@contextlib.contextmanager
def tensorboard(folder):
    """TensorBoard on a free port of loopback: its address."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tensorboard.main", "--port", "0"),
            *("--logdir", str(folder), "--host", "127.0.0.1"),
            *("--samples_per_plugin", "images=100"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
                yield found[0]
                return
        raise SystemExit("TensorBoard did not start.")
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def browser():
    """A page of Chromium without a window."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise SystemExit(f"{error}: pip install playwright") from error
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not program:
        raise SystemExit("There is no Chromium: apt install chromium")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=program,
            # The Projector draws with WebGL; in software where there is no GPU.
            args=["--no-sandbox", "--enable-unsafe-swiftshader"],
        )
        page = chromium.new_page(viewport={"width": 1360, "height": 860})
        page.set_default_timeout(90_000)
        yield page
        chromium.close()


def save(page, name, colors=128):
    """Writes what the page shows as a small PNG."""
    from PIL import Image

    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = FOLDER / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(colors, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB", flush=True)
