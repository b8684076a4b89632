"""Settings and data shared by all tests."""

import functools
import os
import shutil
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Tests run side by side: threads of FAISS that wait for each other would hold
# the cores that the others need, a thousand times as long as they work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def seeded():
    """Each test draws the same weights and batches, whatever ran before.

    TensorFlow's own seed stays, for setting it drops every compiled function,
    half a second of a served graph, and nothing here draws by it.
    """
    if keras := sys.modules.get("keras"):
        with pytest.MonkeyPatch.context() as patch:
            if tensorflow := sys.modules.get("tensorflow"):
                patch.setattr(tensorflow.random, "set_seed", lambda seed: None)
            keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def digit_files(tmp_path_factory):
    """Real digits: ten folders with two files, and three queries."""
    import keras_hash

    folder = tmp_path_factory.mktemp("digits")
    images, labels = keras_hash.data.load("digits").arrays("query")
    for digit in range(10):
        (folder / "photos" / str(digit)).mkdir(parents=True)
        for place in np.flatnonzero(labels == digit)[:2]:
            path = folder / "photos" / str(digit) / f"{place}.png"
            Image.fromarray(images[place]).save(path)
    for digit in range(3):
        place = np.flatnonzero(labels == digit)[5]
        Image.fromarray(images[place]).save(folder / f"query{digit}.png")
    return folder


@pytest.fixture(scope="session")
def read_cifar10():
    """The reader of CIFAR-10's files, which reads them once."""
    from keras_hash.data import cifar10

    return functools.cache(cifar10._read)


@pytest.fixture
def cifar10_is_read(monkeypatch, read_cifar10):
    """All protocols are drawn from the same arrays."""
    from keras_hash.data import cifar10

    monkeypatch.setattr(cifar10, "_read", read_cifar10)


@pytest.fixture
def rng():
    return np.random.RandomState(0)


@pytest.fixture
def browser():
    """Headless Chromium of this machine, driven by Playwright."""
    driver = pytest.importorskip(
        "playwright.sync_api", reason="the extra `browser` is not here"
    )
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(names)} is on this machine")
    with driver.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"]
        )
        yield started
        started.close()
