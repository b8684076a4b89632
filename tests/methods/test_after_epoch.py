"""VDSH, and what methods compute of their training images after an epoch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_hash
from keras_hash.data import feed
from tests.methods import cases


class Batches(keras.utils.PyDataset):
    def __init__(self, features, labels):
        super().__init__()
        self.features, self.labels = features, labels

    def __len__(self):
        return 3

    def __getitem__(self, step):
        part = slice(20 * step, 20 * step + 20)
        return self.features[part], self.labels[part]


def fed_as(kind, features, labels):
    """What `fit` takes, in the order of the arrays."""
    if kind == "arrays":
        return {"x": features, "y": labels, "batch_size": 20}
    if kind == "PyDataset":
        return {"x": Batches(features, labels)}
    data = tf.data.Dataset.from_tensor_slices((features, labels))
    if kind == "dicts":
        data = data.map(lambda x, y: {"image": x, "label": y})
    return {"x": data.batch(20) if kind == "batches" else data}


KINDS = ["arrays", "batches", "dicts", "single", "PyDataset"]


@pytest.mark.parametrize("kind", KINDS)
def test_vdsh_codes_are_balanced_by_the_medians(kind):
    features, labels = cases.labelled("multi", 60)
    model = cases.make("vdsh", width=16)
    model.compile(keras.optimizers.Adam(1e-2))
    fed = fed_as(kind, features, labels)
    model.fit(epochs=2, shuffle=False, verbose=0, **fed)
    real = model.real_codes(features)
    np.testing.assert_allclose(np.median(real, axis=0), 0, atol=1e-5)
    assert (np.sum(real >= 0, axis=0) >= 30).all()
    # As the loss saw them, before the offset was moved.
    shown = model.head(features)["code"] + model.head.offset
    offset = np.median(ops.convert_to_numpy(shown), axis=0)
    np.testing.assert_allclose(model.head.offset, offset, atol=1e-5)


def test_vdsh_check_value():
    """A number computed in another way, which has the ridge in it."""
    k = np.arange(1, 21)
    codes = np.sin(0.7 * k**1.5 + 0.1).reshape(5, 4)
    weights = np.sin(1.3 * k[:12] ** 1.5 + 0.5).reshape(4, 3)
    labels = np.array([0, 1, 2, 0, 1])
    loss = keras_hash.losses.VDSH(4)(
        labels, {"code": codes, "logits": codes @ weights}
    )
    model = keras_hash.models.VDSH(
        4, 3, backbone="features", input_shape=(2,), depth=1, width=3
    )
    model.head.classifier.kernel.assign(weights)
    assert float(loss) + float(sum(model.losses)) == pytest.approx(5.326028)
    features = np.ones((5, 2), "float32")
    model.compile("sgd")
    outputs = model(features)
    with_ridge = model.compute_loss(features, labels, outputs)
    alone = keras_hash.losses.VDSH(4)(labels, outputs)
    assert float(with_ridge - alone) == pytest.approx(
        1e-3 * np.sum(weights**2), rel=1e-4
    )


def test_vdsh_settings():
    for given, message in (
        ({"depth": -1}, "depth=-1"),
        ({"width": 0}, "width=0"),
        ({"ridge": -1.0}, "ridge=-1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            cases.make("vdsh", **given)
    model = cases.make("vdsh", bits=24, depth=3, width=6, nested=(8,))
    assert len(model.head.chain) == 3
    features, labels = cases.labelled("single", 60)
    model.compile("adam")
    model.fit(features, labels, verbose=0)
    outputs = model(features)
    short = model.shorten(8)
    np.testing.assert_allclose(
        short(features)["logits"], outputs["logits_8"], atol=1e-5
    )


def test_held_out_images_are_not_read_again():
    features, labels = cases.labelled("single", 60)
    model = cases.make("vdsh", width=16)
    model.compile("adam")
    model.fit(features, labels, validation_split=0.5, verbose=0)
    medians = np.median(model.real_codes(features[:30]), axis=0)
    np.testing.assert_allclose(medians, 0, atol=1e-5)


def test_what_cannot_be_read_again_is_refused_before_training():
    features, labels = cases.labelled("single", 60)
    model = cases.make("vdsh", width=16)
    model.compile("adam")
    before = model.get_weights()
    endless = tf.data.Dataset.from_tensor_slices((features, labels)).repeat()
    for x, message in (
        (((features, labels) for _ in range(2)), "of type generator"),
        (endless.batch(20), "never ends"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(x, steps_per_epoch=2, verbose=0)
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)


def photos(seed=0, **options):
    images = np.random.RandomState(seed).randint(0, 256, (12, 32, 32, 3))
    data = tf.data.Dataset.from_tensor_slices(
        (images.astype("uint8"), np.arange(12) % 3)
    )
    return keras_hash.data.batches(
        data, 5, augment=keras_hash.data.Augment(flip=True), **options
    )


def test_reading_once_more_changes_no_epoch():
    def epochs(reads):
        data, found = photos(shuffle=True), []
        for epoch in range(3):
            for set_epoch in feed.epoch_setters(data):
                set_epoch(epoch)
            found.append([(x, y["index"]) for x, y in data.as_numpy_iterator()])
            for read in reads:
                more = list(read(data)())
                for (x, index), (seen, place) in zip(more, found[-1]):
                    # Those of the epoch that ended.
                    np.testing.assert_array_equal(index, place)
                    np.testing.assert_array_equal(x, seen)
        found.append([(x, y["index"]) for x, y in data.as_numpy_iterator()])
        return found

    plain = epochs([])
    often = epochs(2 * [lambda data: feed.again(data, (32, 32, 3))])
    for one, other in zip(plain, often, strict=True):
        for (x, index), (same, place) in zip(one, other, strict=True):
            np.testing.assert_array_equal(index, place)
            np.testing.assert_array_equal(x, same)


def test_the_first_view_is_read():
    features, _ = cases.labelled("single", 6)
    views = np.stack([features, 2 * features], axis=1)
    data = tf.data.Dataset.from_tensor_slices(views).batch(4)
    for x in (views, data):
        read = np.concatenate(
            [images for images, _ in feed.again(x, (8,), views=False)()]
        )
        np.testing.assert_array_equal(read, features)


def test_a_backup_holds_what_the_epoch_set(tmp_path):
    features, labels = cases.labelled("single", 60)

    def trained(path, *epochs):
        for count in epochs:
            keras.utils.set_random_seed(0)
            model = cases.make("vdsh", width=16)
            model.compile(keras.optimizers.Adam(1e-2))
            backup = keras_hash.callbacks.Backup(tmp_path / path)
            model.fit(
                features,
                labels,
                epochs=count,
                shuffle=False,
                callbacks=[backup],
                verbose=0,
            )
        return model

    whole = trained("whole", 3)
    parts = trained("parts", 2, 3)
    for one, other in zip(whole.get_weights(), parts.get_weights()):
        np.testing.assert_allclose(one, other, atol=1e-6)
