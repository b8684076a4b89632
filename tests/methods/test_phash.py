"""The perceptual hash, against the cosine transform as it is defined."""

import io
import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image
from sklearn import datasets

import keras_hash
from keras_hash import codes
from keras_hash.data import images as pixels


def by_loops(image, side):
    """The code of an image of the size that is hashed, by nested loops."""
    height, width, _ = image.shape
    grey = [
        [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in row] for row in image
    ]
    found = []
    for u in range(side):
        for v in range(side):
            total = 0.0
            for y in range(height):
                for x in range(width):
                    wave = math.cos(math.pi * u * (y + 0.5) / height)
                    wave *= math.cos(math.pi * v * (x + 0.5) / width)
                    total += grey[y][x] * wave
            total *= math.sqrt((1 + (u > 0)) / height)
            total *= math.sqrt((1 + (v > 0)) / width)
            found.append(round(4 * total) / 4)
    middle = sorted(found)
    middle = middle[(side**2 - 1) // 2 : side**2 // 2 + 1]
    return np.array(found) - sum(middle) / len(middle)


@pytest.mark.parametrize("side, shape", [(3, (8, 8)), (4, (6, 9)), (1, (4, 4))])
def test_against_loops(side, shape, rng):
    model = keras_hash.models.PHash(side**2, input_shape=(*shape, 3))
    images = rng.randint(0, 256, (4, *shape, 3)).astype("uint8")
    found = model.real_codes(images)
    expected = [by_loops(image.astype("float64"), side) for image in images]
    # A coefficient half-way between two steps may be rounded to either.
    np.testing.assert_allclose(found, expected, atol=0.26)
    assert (np.abs(found - expected) > 1e-3).mean() < 0.05
    assert model.count_params() == 0


@pytest.fixture(scope="module")
def photos():
    """Two photos of scikit-learn's, in 12 parts."""
    found = []
    for photo in datasets.load_sample_images().images:
        found += [
            photo[y : y + 200, x : x + 200]
            for y in (0, 200)
            for x in (0, 200, 400)
        ]
    return found


def stored(photo, quality):
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "jpeg", quality=quality)
    return pixels.decode(file.getvalue())


def far(model, some, others):
    a, b = (model.encode(x, verbose=False) for x in (some, others))
    return np.bitwise_count(a ^ b).sum(axis=1)


def test_copies_are_near_and_others_are_not(photos):
    model = keras_hash.models.PHash(256)
    halved = [np.asarray(Image.fromarray(x).resize((100, 100))) for x in photos]
    grey = [
        np.asarray(Image.fromarray(x).convert("L").convert("RGB"))
        for x in photos
    ]
    assert far(model, photos, [stored(x, 30) for x in photos]).max() <= 30
    assert far(model, photos, halved).max() <= 30
    assert far(model, photos, grey).max() <= 10
    assert far(model, photos, photos[1:] + photos[:1]).min() >= 75
    # A mirror image changes the sign of every other column.
    assert far(model, photos, [x[:, ::-1] for x in photos]).min() >= 75


@settings(max_examples=15, deadline=None)
@given(
    level=st.integers(0, 255),
    kind=st.sampled_from(["flat", "rows", "columns", "check"]),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
def test_rounding_errors_are_no_frequencies(level, kind, size):
    """What an image does not have gives one bit, whatever the rounding."""
    model = MODEL
    height, width = 64, 64
    image = np.full((height, width, 3), level, "float32")
    if kind == "rows":
        image += np.linspace(0, 255 - level, height, dtype="float32")[
            :, None, None
        ]
    elif kind == "columns":
        image += np.linspace(0, 255 - level, width, dtype="float32")[:, None]
    elif kind == "flat":
        image = np.full((*size, 3), level, "float32")
    noise = 1 + 1e-6 * np.random.RandomState(level).randn(*image.shape)
    noisy = np.clip(image * noise, 0, 255).astype("float32")
    assert far(model, [image], [noisy])[0] <= 1


MODEL = keras_hash.models.PHash(64)


def test_saved_exported_and_any_batch(photos, tmp_path):
    model = keras_hash.models.PHash(64)
    expected = model.encode(photos)
    alone = [model.encode(photo)[0] for photo in photos]
    np.testing.assert_array_equal(alone, expected)
    model.adapt(photos)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.encode(photos), expected)
    assert again.get_config() == model.get_config()
    model.export(tmp_path / "1")
    import tensorflow as tf

    served = tf.saved_model.load(str(tmp_path / "1")).signatures["encode"]
    batch = tf.constant(np.stack(photos), "float32")
    np.testing.assert_array_equal(served(image=batch)["code"], expected)
    real = model.real_codes(photos)
    np.testing.assert_array_equal(codes.pack(real), expected)


def test_what_is_refused():
    make = keras_hash.models.PHash
    for bits in (2, 63, 65**2, 0):
        with pytest.raises(ValueError, match="`bits`"):
            make(bits)
    with pytest.raises(ValueError, match="no other backbone"):
        make(64, backbone="small")
    with pytest.raises(ValueError, match="no hidden layer"):
        make(64, hidden=8)
    with pytest.raises(ValueError, match="no code"):
        make(64).shorten(16)
    with pytest.raises(ValueError, match="`nested`"):
        make(64, nested=(16,))
    with pytest.raises(ValueError, match="has no loss"):
        make(64).default_loss()
