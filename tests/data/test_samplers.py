"""Samplers: what a batch holds, determinism, training."""

import keras
import numpy as np
import pytest

import keras_hash
from keras_hash import data


def test_class_batches_hold_classes_evenly():
    labels = np.repeat(np.arange(12), 9)
    sampler = data.ClassSampler(labels, classes=4, images=5)
    assert len(sampler) == 108 // 20
    seen = set()
    for step in range(len(sampler)):
        batch = sampler(0, step)
        assert len(np.unique(batch)) == 20
        classes, counts = np.unique(labels[batch], return_counts=True)
        assert len(classes) == 4 and set(counts) == {5}
        seen |= set(classes)
    assert len(seen) > 8
    # Nine images, asked for twenty: all of them, some more than once.
    batch = data.ClassSampler(labels, classes=1, images=20)(0, 0)
    assert len(np.unique(batch)) == 9 and len(batch) == 20


def test_class_batches_of_several_labels():
    labels = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]])
    sampler = data.ClassSampler(labels, classes=2, images=2)
    for step in range(9):
        batch = sampler(0, step)
        assert 2 not in batch
        first, second = batch[:2], batch[2:]
        assert labels[first].all(axis=0).any()
        assert labels[second].all(axis=0).any()


def test_lists_hold_most_fewer_and_no_shared_labels(rng):
    labels = (rng.rand(200, 6) < 0.35).astype("uint8")
    sampler = data.ListSampler(labels, size=3, lists=16)
    ranked = 0
    for step in range(len(sampler)):
        for query, *listed in sampler(0, step).reshape(-1, 4):
            assert query not in listed and len(set(listed)) == 3
            shared = labels.astype(int) @ labels[query]
            shared[query] = -1
            levels = set(shared[shared >= 0])
            found = [shared[i] for i in listed]
            if len(levels) >= 3:
                assert found[0] == max(levels) > found[1] > found[2] == 0
                ranked += 1
    assert ranked > 100


def test_lists_of_single_labels_and_of_the_unlabelled():
    labels = np.repeat(np.arange(3), 4)
    for query, *listed in data.ListSampler(labels, 4, 3)(0, 0).reshape(3, 5):
        same = labels[listed] == labels[query]
        assert same.tolist() == [True, False, True, False]
    nobody = np.zeros((5, 3))
    assert len(data.ListSampler(nobody, 2, 2)(0, 0)) == 6


def test_queries_of_an_epoch_are_all_images():
    sampler = data.ListSampler(np.arange(24) % 4, size=2, lists=6)
    queries = [sampler(3, s).reshape(6, 3)[:, 0] for s in range(len(sampler))]
    assert sorted(np.concatenate(queries)) == list(range(24))


def test_epochs_hold_every_image_once():
    sampler = data.EpochSampler(23, 5, seed=2)
    epochs = [
        np.concatenate([sampler(e, s) for s in range(len(sampler))])
        for e in (0, 1, 0)
    ]
    for epoch in epochs:
        assert len(epoch) == 20 and len(set(epoch)) == 20
        assert set(epoch) < set(range(23))
    assert (epochs[0] == epochs[2]).all() and (epochs[0] != epochs[1]).any()
    with pytest.raises(ValueError, match="size=24"):
        data.EpochSampler(23, 24)


@pytest.mark.parametrize("cls", [data.ClassSampler, data.ListSampler])
def test_the_seed_alone_decides(cls):
    labels = np.arange(60) % 10
    a, b, c = cls(labels), cls(labels), cls(labels, seed=1)
    backwards = [a(1, s) for s in reversed(range(len(a)))][::-1]
    for step, batch in enumerate(backwards):
        np.testing.assert_array_equal(batch, b(1, step))
    assert (a(0, 0) != a(1, 0)).any() and (a(0, 0) != c(0, 0)).any()


def test_bad_settings():
    with pytest.raises(ValueError, match="between 1 and 3"):
        data.ClassSampler(np.arange(9) % 3, classes=4)
    with pytest.raises(ValueError, match="size=1"):
        data.ListSampler(np.arange(9) % 3, size=1)


def test_dsrh_trains_on_lists(rng):
    labels = (rng.rand(64, 5) < 0.4).astype("uint8")
    features = (labels @ rng.randn(5, 8)).astype("float32")
    sampler = data.ListSampler(labels, size=3, lists=8)
    epochs = []

    def augment(images, epoch, step):
        epochs.append(epoch)
        return images + 0.01

    batches = data.SampledBatches(features, labels, sampler, augment)
    model = keras_hash.models.DSRH(
        12, 5, backbone="features", input_shape=(8,), list_size=3, units=32
    )
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(batches, epochs=8, verbose=0)
    assert history.history["loss"][-1] < 0.7 * history.history["loss"][0]
    assert set(epochs) >= {0, 1, 7}


def test_views_that_are_given_are_drawn():
    views = np.arange(60, dtype="float32").reshape(10, 3, 2)
    sampler = data.EpochSampler(10, 5)
    make = data.SampledBatches
    sampled = make(views, np.arange(10), sampler, views=2)
    seen = set()
    for epoch in range(20):
        sampled.epoch = epoch
        for step in range(2):
            drawn, y = sampled[step]
            assert drawn.shape == (5, 2, 2)
            for place, both in zip(y["index"], drawn):
                of = [views[place].tolist().index(row.tolist()) for row in both]
                assert of[0] != of[1]
                seen.add((of[0], of[1]))
    assert len(seen) == 6
    again = make(views, np.arange(10), sampler, views=2)
    again.epoch = 19
    np.testing.assert_array_equal(again[1][0], sampled[1][0])
    assert make(views, np.arange(10), sampler)[0][0].shape == (5, 2)
    with pytest.raises(ValueError, match="views=4"):
        make(views, np.arange(10), sampler, views=4)
    with pytest.raises(ValueError, match="not augmented"):
        make(views, np.arange(10), sampler, lambda x, *seed: x, views=2)


@pytest.mark.parametrize("images", [np.zeros((10, 3)), [np.zeros(3)] * 30])
def test_images_labels_and_sampler_are_of_one_number(images):
    labels = np.arange(30) % 3
    for sampler in (
        data.EpochSampler(30, 5),
        data.ClassSampler(labels, classes=2, images=2),
        data.ListSampler(labels),
    ):
        with pytest.raises(ValueError, match="a label of each"):
            data.SampledBatches(images, labels, sampler)
