"""Real digits as files, and a corpus that was written without Beam."""

import numpy as np
import pytest

import keras_hash
from keras_hash.extras import corpus
from keras_hash.extras.corpus import folder as folder_lib
from tests.extras.corpus.inputs import png
from tests.extras.corpus.outputs import NAME
from tests.extras.corpus.outputs import by_id


@pytest.fixture(scope="session")
def images():
    """Real digits, each with its expected code by the Keras model."""
    digits, _ = keras_hash.data.load("digits").arrays("query")
    digits = digits[:40]
    return digits, keras_hash.load(NAME).encode(digits)


@pytest.fixture
def photos(tmp_path, images):
    """A folder with the digits as files in two folders."""
    for number, image in enumerate(images[0]):
        path = tmp_path / "photos" / f"{number % 2}" / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(image))
    return tmp_path / "photos"


@pytest.fixture
def written(photos, tmp_path, images):
    """A corpus of five shards, written without Beam, and its codes."""
    made = folder_lib.prepare(
        tmp_path / "out", NAME, corpus.from_glob(str(photos)), 8
    )
    codes = by_id(images)
    for shard in range(made.shards):
        ids = made.rows(shard)["id"].to_pylist()
        data = [np.frombuffer(codes[i], "uint8") for i in ids]
        made.write(shard, ids, np.array(data), [])
    return made, codes
