"""Settings and data shared by all tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
from PIL import Image


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


@pytest.fixture
def rng():
    return np.random.RandomState(0)
