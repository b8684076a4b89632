"""A model that is quick to train, and images with something to find."""

import keras
import numpy as np
import tensorflow as tf

import keras_hash


def labelled(rng, count, multi=False):
    images = rng.randint(0, 256, (count, 32, 32, 3)).astype("uint8")
    labels = rng.randint(0, 3, count)
    if multi:
        labels = (rng.rand(count, 3) < 0.5).astype("uint8")
    # A colour for each label, so that there is something to find.
    hot = labels if multi else np.eye(3, dtype="uint8")[labels]
    images[:, 8:24, 8:24] = 255 * hot[:, None, None]
    return images, labels


def as_dataset(pair, batch=None, index=False):
    dataset = tf.data.Dataset.from_tensor_slices(pair)
    if index:
        return keras_hash.data.batches(dataset, batch)
    return dataset.batch(batch) if batch else dataset


def make(bits=12, method="DPSH", backbone=None):
    """A model of the mean colours of an image, which is quick to train."""
    keras.utils.set_random_seed(0)
    if backbone is None:
        inputs = keras.Input((32, 32, 3))
        means = keras.layers.AveragePooling2D(8)(inputs / 255)
        backbone = keras.Model(inputs, keras.layers.Flatten()(means))
    model = getattr(keras_hash.models, method)(bits, 3, backbone=backbone)
    # A few steps are sooner taken than traced; callbacks stand outside of them.
    model.compile(keras.optimizers.Adam(1e-3), run_eagerly=True)
    return model


def fit(model, train, *callbacks, epochs=1, **kwargs):
    return model.fit(
        *train,
        batch_size=20,
        epochs=epochs,
        verbose=0,
        callbacks=list(callbacks),
        **kwargs,
    ).history
