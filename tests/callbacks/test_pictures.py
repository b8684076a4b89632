"""Pictures for TensorBoard: nearest images, bits, thumbnails."""

import keras
import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash import codes as codes_lib
from keras_hash.callbacks import RetrievalMetrics
from tests.callbacks.events import events
from tests.callbacks.training import fit
from tests.callbacks.training import labelled
from tests.callbacks.training import make

SIDES = 12, 20, 8, 16


def drawn(monkeypatch, name):
    from keras_hash import figures

    calls = []
    draw = getattr(figures, name)

    def noted(*args):
        calls.append(args)
        draw(*args)

    monkeypatch.setattr(figures, name, noted)
    return calls


@pytest.mark.parametrize("method", ["DPSH", "DSHCMultiLabel"])
def test_the_gallery_is_the_nearest(rng, tmp_path, monkeypatch, method):
    multi = method != "DPSH"
    train, query, database = (
        labelled(rng, count, multi) for count in (40, 12, 50)
    )
    calls = drawn(monkeypatch, "gallery")
    model = make(3 if multi else 12, method)
    metrics = RetrievalMetrics(query, database, log_dir=tmp_path, batch_size=13)
    fit(model, train, metrics)
    ((shown, neighbours, distances, relevant, _),) = calls
    _, firsts = np.unique(query[1], axis=0, return_index=True)
    firsts = np.sort(firsts)[:8]
    np.testing.assert_array_equal(shown, query[0][firsts])
    asked, stored = model.encode(query[0][firsts]), model.encode(database[0])
    if multi:
        common = np.bitwise_count(asked[:, None] & stored).sum(axis=-1)
        expected = 3 - common.astype(int)
    else:
        expected = codes_lib.hamming(asked, stored)
    order = np.argsort(expected, axis=1, kind="stable")[:, :10]
    np.testing.assert_array_equal(
        distances, np.take_along_axis(expected, order, axis=1)
    )
    np.testing.assert_array_equal(neighbours, database[0][order])
    labels, other = query[1][firsts][:, None], database[1][order]
    same = (labels & other).any(axis=-1) if multi else labels == other
    np.testing.assert_array_equal(relevant, same)


def test_the_bits(sets, tmp_path, monkeypatch):
    train, query, database = sets
    calls = drawn(monkeypatch, "code_bits")
    model = make()
    metrics = RetrievalMetrics(query, database, log_dir=tmp_path)
    fit(model, train, metrics)
    ((share, correlation, _),) = calls
    ones = codes_lib.unpack(model.encode(database[0]), 12) > 0
    np.testing.assert_allclose(share, ones.mean(axis=0))
    varied = np.flatnonzero(ones.any(axis=0) & ~ones.all(axis=0))
    np.testing.assert_allclose(
        correlation[np.ix_(varied, varied)],
        np.corrcoef(ones[:, varied].T),
        atol=1e-9,
    )
    np.testing.assert_allclose(
        metrics.report.metrics["bit_correlation"],
        np.abs(correlation - np.diag(np.diag(correlation))).sum() / (12 * 11),
    )


@pytest.mark.parametrize("given", [False, True])
def test_features_are_drawn_by_given_images(rng, tmp_path, given):
    pictures = [labelled(rng, count) for count in (40, 12, 50)]
    train, query, database = (
        (images.reshape(len(images), -1)[:, ::96] / 255, labels)
        for images, labels in pictures
    )
    model = keras_hash.models.DPSH(
        12, 3, backbone="features", input_shape=(32,)
    )
    images = (pictures[1][0], pictures[2][0]) if given else None
    metrics = RetrievalMetrics(query, database, log_dir=tmp_path, images=images)
    fit(model, train, metrics)
    assert ("nearest" in events(tmp_path)) == given
    assert (tmp_path / "sprite.png").exists() == given
    assert (tmp_path / "codes.tsv").exists()


def test_large_and_oblong_pictures_become_thumbnails(rng, tmp_path):
    train = labelled(rng, 40)
    images = rng.rand(12, 120, 150, 3) * 300
    metrics = RetrievalMetrics(
        (images, np.arange(12) % 3), (images, np.arange(12) % 3), tmp_path
    )
    fit(make(), train, metrics)
    assert Image.open(tmp_path / "sprite.png").size == (4 * 48, 4 * 48)


def test_small_pictures_of_several_sizes(rng, tmp_path):
    train = labelled(rng, 40)
    images = [rng.randint(0, 256, (n, 20, 3)).astype("uint8") for n in SIDES]
    labels = np.array([0, 1, 2, -1])
    sides = (images, labels), (images, labels)
    metrics = RetrievalMetrics(
        *sides, tmp_path, class_names=["a", "b", "c"], images=(images, images)
    )
    fit(make(), train, metrics)
    side = max(20, *SIDES)
    assert Image.open(tmp_path / "sprite.png").size == (2 * side, 2 * side)
    # The last one has no label.
    lines = (tmp_path / "metadata.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines[1:]] == [
        "a",
        "b",
        "c",
        "none",
    ]


def test_an_optimizer_of_mixed_precision(rng, tmp_path):
    train, query, database = (labelled(rng, count) for count in (40, 12, 50))
    model = make()
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-3))
    model.compile(scaled, run_eagerly=True)
    fit(model, train, RetrievalMetrics(query, database, log_dir=tmp_path))
    assert (tmp_path / "codes.tsv").exists()
