"""Scenes of digits: counts, disjoint parts, and pixels against the digits."""

import hashlib
import re

import numpy as np
import pytest
from scipy import ndimage
from sklearn import datasets

from keras_hash import data


@pytest.fixture(scope="module")
def scenes():
    return data.load("multidigits")


def digits_of(name):
    return [int(digit) for digit in re.findall(r"_d(\d{4})", name)]


def quarters(image):
    """The four quarters of a scene, grey, from top left to bottom right."""
    grey = image[..., 0]
    return [grey[y : y + 16, x : x + 16] for y in (0, 16) for x in (0, 16)]


def test_counts_and_checksums(scenes):
    sizes = {part: len(indices) for part, indices in scenes.parts.items()}
    assert sizes == {
        "train": 6000,
        "validation": 0,
        "query": 1000,
        "database": 6000,
    }
    assert scenes.multi_label and scenes.num_classes == 10
    assert scenes.labels == [str(digit) for digit in range(10)]
    assert scenes.images.shape == (7000, 32, 32, 3)
    assert scenes.images.dtype == scenes.targets.dtype == np.uint8
    assert scenes.images.min() == 0 and scenes.images.max() == 255
    assert len(set(scenes.ids)) == 7000
    np.testing.assert_array_equal(
        scenes.parts["train"], scenes.parts["database"]
    )
    assert scenes.checksum == (
        "a4a93dfb5a0f48b281b5065343c996460615ff7bf6419bbaeebd38b4ee36066b"
    )
    # The pixels come from integers alone, so they are pinned to the last one.
    assert hashlib.sha256(scenes.images.tobytes()).hexdigest() == (
        "6fe24820b93800763d34a03642ce36d7ce73375d292391b3f12143ee095f0ce2"
    )


def test_labels_are_the_set_of_the_digits(scenes):
    classes = datasets.load_digits().target
    counts = np.zeros(5, int)
    for name, row in zip(scenes.ids, scenes.targets):
        members = digits_of(name)
        counts[len(members)] += 1
        assert set(np.flatnonzero(row)) == set(classes[members])
    # One to four digits equally often, within five standard deviations.
    assert counts[0] == 0
    np.testing.assert_allclose(counts[1:], 1750, atol=180)
    per_scene = scenes.targets.sum(axis=1)
    assert per_scene.min() == 1 and per_scene.max() == 4
    # A class is missing with chance 0.9 to the number of digits.
    expected = 10 * (1 - np.mean([0.9**n for n in (1, 2, 3, 4)]))
    assert abs(per_scene.mean() - expected) < 0.05


def test_chance_of_a_shared_label(scenes):
    _, query = scenes.arrays("query")
    _, database = scenes.arrays("database")
    shared = query.astype("float32") @ database.T.astype("float32")
    assert np.mean(shared > 0) == pytest.approx(0.4366, abs=1e-4)


def test_queries_and_training_share_no_digit(scenes):
    single = data.load("digits")
    for part in ("query", "train"):
        used = {d for i in scenes.parts[part] for d in digits_of(scenes.ids[i])}
        assert used == set(single.parts[part])


def test_every_digit_has_a_quarter_with_ink(scenes):
    for name, image in zip(scenes.ids, scenes.images):
        inked = sum(int(quarter.max()) > 100 for quarter in quarters(image))
        assert inked == len(digits_of(name))
        empty = sum(not quarter.any() for quarter in quarters(image))
        assert inked + empty == 4


def test_pixels_are_those_of_the_digits(scenes):
    source = datasets.load_digits().images
    for i in [*range(15), *range(6000, 6015)]:
        inked = [q for q in quarters(scenes.images[i]) if q.any()]
        for digit, quarter in zip(digits_of(scenes.ids[i]), inked, strict=True):
            errors = []
            for size in range(12, 17):
                drawing = ndimage.zoom(
                    source[digit] * (255 / 16),
                    size / 8,
                    order=1,
                    mode="nearest",
                    grid_mode=True,
                )
                for top in range(17 - size):
                    for left in range(17 - size):
                        whole = np.zeros((16, 16))
                        whole[top : top + size, left : left + size] = drawing
                        errors.append(np.abs(whole - quarter).max())
            assert min(errors) <= 0.5 + 1e-6


def test_scenes_repeat(scenes):
    again = data.load("multidigits")
    np.testing.assert_array_equal(again.images, scenes.images)
    assert again.checksum == scenes.checksum
