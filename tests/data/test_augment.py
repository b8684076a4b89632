"""Augmentation: what each change does, and that nothing else changes."""

import numpy as np
import pytest
import tensorflow as tf

from keras_hash import data

SEED = (3, 4)


@pytest.fixture(params=["tensorflow", "arrays"])
def apply(request):
    """Both ways do the same, from draws of their own."""

    def augment(images, **settings):
        augment = data.Augment(**settings)
        if request.param == "arrays":
            return augment.on_arrays(images, *SEED)
        return augment(tf.constant(images), tf.constant(SEED)).numpy()

    return augment


def test_nothing_by_default(apply, rng):
    images = rng.randint(0, 256, (4, 9, 7, 3)).astype("uint8")
    np.testing.assert_array_equal(apply(images), images)


def test_cutout_replaces_one_square_by_the_mean(apply, rng):
    images = rng.randint(0, 256, (60, 12, 12, 3)).astype("uint8")
    got = apply(images, cutout=4)
    sizes = set()
    for before, after in zip(images, got):
        changed = (before != after).any(axis=-1)
        rows, columns = np.nonzero(changed)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert height <= 4 and width <= 4
        hole = after[
            rows.min() : rows.max() + 1, columns.min() : columns.max() + 1
        ]
        mean = before.astype("float64").mean(axis=(0, 1))
        assert (np.abs(hole - mean) <= 1).all()
        sizes.add((height, width))
    # Some squares pass the edge.
    assert (4, 4) in sizes and len(sizes) > 1


def test_crops_are_parts_of_the_image(apply):
    """On a ramp, a crop is a ramp with a smaller slope."""
    ramp = np.linspace(0, 255, 33)
    images = np.tile(ramp[None, :, None, None], (50, 1, 33, 3)).astype("f4")
    got = apply(images, crop=0.5)
    slopes = np.diff(got[:, :, 0, 0], axis=1)
    np.testing.assert_allclose(slopes.std(axis=1), 0, atol=1e-3)
    shares = slopes.mean(axis=1) / (255 / 32)
    assert shares.min() >= np.sqrt(0.5) - 1e-3 and shares.max() <= 1 + 1e-3
    assert shares.std() > 0.03
    assert got.min() >= 0 and got.max() <= 255


def test_colour_keeps_greys_grey_and_the_range(apply, rng):
    images = rng.randint(0, 256, (40, 5, 5, 1)).repeat(3, axis=-1)
    got = apply(images.astype("uint8"), colour=0.4)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got.max(axis=-1), got.min(axis=-1))
    flat = np.full((40, 5, 5, 3), 100, "uint8")
    brightness = apply(flat, colour=0.4)[:, 0, 0, 0] / 100
    assert brightness.min() >= 0.6 and brightness.max() <= 1.4
    assert brightness.std() > 0.1


def test_shifts_and_mirror_images_are_the_padded_image(apply, rng):
    """Every outcome is one of those that loops over the padding find."""
    image = rng.randint(0, 256, (6, 5, 3)).astype("uint8")
    got = apply(np.stack([image] * 400), shift=2, flip=True)
    padded = np.pad(image, [(2, 2), (2, 2), (0, 0)], "reflect")
    possible = set()
    for top in range(5):
        for left in range(5):
            part = padded[top : top + 6, left : left + 5]
            possible |= {part.tobytes(), part[:, ::-1].tobytes()}
    assert {x.tobytes() for x in got} == possible


def test_arrays_and_tensors_differ_only_in_their_draws(rng):
    """The mean over many draws, with everything at once."""
    images = np.stack([rng.randint(0, 256, (8, 8, 3))] * 6000).astype("f4")
    augment = data.Augment(crop=0.4, shift=1, flip=True, colour=0.3, cutout=3)
    ours = augment.on_arrays(images, 0, 1)
    theirs = augment(tf.constant(images), tf.constant([0, 1])).numpy()
    np.testing.assert_allclose(ours.mean(0), theirs.mean(0), atol=3.0)
    np.testing.assert_allclose(ours.std(0), theirs.std(0), atol=3.0)
    assert (augment.on_arrays(images, 0, 1) == ours).all()
    assert (augment.on_arrays(images, 0, 2) != ours).any()


@pytest.mark.parametrize(
    "settings", [{"crop": 1.0}, {"colour": -0.1}, {"shift": -1}, {"cutout": -2}]
)
def test_bad_settings(settings):
    with pytest.raises(ValueError, match="Received"):
        data.Augment(**settings)


def numbered(count=20):
    images = np.zeros((count, 4, 4, 3), "uint8")
    images[:, 0, 0, 0] = np.arange(count)
    return tf.data.Dataset.from_tensor_slices((images, np.arange(count) % 3))


def rows(batches):
    return [
        int(i)
        for images, labels in batches
        for i, image in zip(labels["index"], images)
        if int(image[0, 0, 0]) == int(i)
    ]


def test_shards_are_disjoint_and_complete():
    shards = [
        rows(data.batches(numbered(), 3, shuffle=True, shard=(w, 3), seed=5))
        for w in range(3)
    ]
    assert sorted(sum(shards, [])) == list(range(20))
    assert [len(s) for s in shards] == [7, 7, 6]
    with pytest.raises(ValueError, match=r"shard=\(3, 3\)"):
        data.batches(numbered(), 3, shard=(3, 3))


def test_cached_batches_are_the_same(tmp_path):
    plain = [rows(data.batches(numbered(), 6, shuffle=True, seed=2))]
    for cache in (True, tmp_path / "images"):
        batches = data.batches(numbered(), 6, shuffle=True, seed=2, cache=cache)
        assert [rows(batches)] == plain
        assert sorted(rows(batches)) == list(range(20))
    assert list(tmp_path.iterdir())


def test_a_shift_beyond_the_image_is_refused():
    images = np.zeros((2, 8, 9, 3), "uint8")
    augment = data.Augment(shift=8)
    with pytest.raises(ValueError, match="less than the sides"):
        augment.on_arrays(images, 0)
    with pytest.raises(ValueError, match="less than the sides"):
        augment(tf.constant(images), tf.constant([1, 2]))
    data.Augment(shift=7).on_arrays(images, 0)
    data.Augment(shift=7)(tf.constant(images), tf.constant([1, 2]))


def test_an_aspect_alone_changes_images(rng):
    images = rng.randint(0, 256, (4, 16, 16, 3)).astype("uint8")
    augment = data.Augment(aspect=2.0)
    for found in (
        augment.on_arrays(images, 1),
        augment(tf.constant(images), tf.constant([1, 2])).numpy(),
    ):
        assert found.shape == images.shape
        assert all((one != other).any() for one, other in zip(found, images))
    with pytest.raises(ValueError, match="`crop` should be a number"):
        data.Augment(crop="x")
