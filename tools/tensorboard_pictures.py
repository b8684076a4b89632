"""The pictures of docs/tensorboard.md, made again.

    python tools/tensorboard_pictures.py [--runs runs/tensorboard]

Trains three encoders of digits from scratch (a minute on two cores; runs that
are there already are kept), one of them so badly that its codes collapse. Then
it starts TensorBoard on loopback, opens it in Chromium without a window, and
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
import urllib.parse

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "docs/tensorboard"
EPOCHS = 10
# Method, bits, learning rate.
RUNS = {
    "dshc_30": ("DSHC", 30, 1e-3),
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
    bench = keras_hash.data.load("digits")
    model = getattr(keras_hash.models, method)(bits, bench.num_classes)
    model.compile(keras.optimizers.Adam(rate))
    retrieval = keras_hash.callbacks.RetrievalMetrics(
        bench.query,
        bench.database,
        log_dir=folder / name,
        hparams={"batch_size": 64},
        class_names=bench.labels,
    )
    model.fit(
        keras_hash.data.batches(bench.train, 64, shuffle=True),
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
            *("--logdir", folder.name, "--host", "127.0.0.1"),
        ],
        # The page names the folder as it is given.
        cwd=folder.parent,
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


def save(page, name):
    """Writes what the page shows as a small PNG."""
    from PIL import Image

    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = FOLDER / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB", flush=True)


def show(page, address, tab, text, tags="", runs="", size=(1100, 760)):
    """Opens a tab, and waits until a text and the pictures are on it."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    # Away first: another address of the same page would not load it again.
    page.goto("about:blank")
    settings = {"_smoothingWeight": 0, "tagFilter": tags, "regexInput": runs}
    page.goto(f"{address}#{tab}&{urllib.parse.urlencode(settings)}")
    page.get_by_text(text).locator("visible=true").first.wait_for()
    page.wait_for_timeout(5000)


def project(page, address, name):
    """The Projector as it opens: PCA, with thumbnails."""
    show(page, address, "projector", "TensorBoard", size=(1200, 760))
    page.wait_for_timeout(10_000)
    save(page, f"{name}_pca")


def pictures(page, address):
    """Writes the pictures of all runs."""
    ranking = "/(map|chance_map|precision@100|ndcg@100)$"
    show(page, address, "scalars", "retrieval/map", ranking)
    save(page, "scalars")
    show(page, address, "custom_scalars", "mAP, and of a random order")
    save(page, "custom_scalars")
    show(page, address, "pr_curves", "precision and recall by Hamming radius")
    save(page, "pr_curves")
    show(page, address, "histograms", "distances", "distances", "dpsh|coll")
    save(page, "histograms")
    show(page, address, "images", "code_bits", "code_bits", "dpsh|coll")
    save(page, "code_bits")
    size = (1500, 760)
    show(page, address, "images", "nearest", "nearest", "dpsh", size)
    page.get_by_text("Show actual image size").first.click()
    page.wait_for_timeout(2000)
    save(page, "nearest")
    show(page, address, "text", "learning_rate", "card", "dshc")
    save(page, "text")
    show(page, address, "hparams", "Trial ID", size=(1500, 560))
    save(page, "hparams")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--runs", type=pathlib.Path, default=pathlib.Path("runs/tensorboard")
    )
    chosen = parser.parse_args()
    for name in RUNS:
        if not (chosen.runs / name / "projector_config.pbtxt").exists():
            train(name, chosen.runs)
    with tensorboard(chosen.runs) as address, browser() as page:
        pictures(page, address)
    for name in ("dshc_30", "collapsed"):
        # Alone, so that the Projector opens it.
        with tensorboard(chosen.runs / name) as address, browser() as page:
            project(page, address, f"projector_{name}")


if __name__ == "__main__":
    main()
