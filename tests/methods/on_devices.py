"""Trains methods on one device and on two, alone in a process.

The caller sets KERAS_BACKEND, and XLA_FLAGS for two devices of JAX.

    python tests/methods/on_devices.py METHOD [METHOD ...]

Prints a JSON object: for each method the largest difference between the weights
and the banks of both, between their losses, and the packed codes that differ.
"""

import contextlib
import json
import sys

import keras
import numpy as np

from keras_hash import methods

NAMES = sys.argv[1:]
CLASSES, COUNT = 5, 24
random = np.random.RandomState(0)
hot = (random.rand(COUNT, CLASSES) < 0.4).astype("uint8")
features = (hot @ random.randn(CLASSES, 16)).astype("float32")

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )
    both = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
else:
    both = keras.distribution.DataParallel(
        devices=keras.distribution.list_devices("cpu")
    )
    assert both.device_mesh.shape == (2,)


def trained(name, scope):
    """Weights after three steps, the loss, and codes."""
    model_class, loss_class = methods.registry()[name]
    settings = {"backbone": "features", "input_shape": (16,)}
    if getattr(loss_class, "takes_bank", False):
        settings["bank_size"] = COUNT
    if name == "cimon":
        settings.update(bank_size=COUNT, clusters=5, quantile=0.2)
    if name == "dslh":
        # The weights over so few images would let codes grow.
        settings.update(quantization=1.0, evenness=1.0)
    if name == "dsrh":
        settings["list_size"] = 3
    if "dropout" in model_class.keywords:
        settings["dropout"] = 0.0  # each device draws its own
    bits = {"dshc": 15, "dshcmultilabel": CLASSES}.get(name, 12)
    views = features
    if loss_class.views > 1:
        views = np.stack([features, 1.1 * features[:, ::-1]], axis=1)
    with scope:
        keras.utils.set_random_seed(0)
        model = model_class(bits, CLASSES, **settings)
        if name == "cimon":
            model.adapt(views)
        model.compile(keras.optimizers.SGD(0.05))
        history = model.fit(
            views,
            hot.argmax(axis=1) if name == "dshc" else hot,
            batch_size=8,
            shuffle=False,
            verbose=0,
        )
        weights = [np.asarray(w, "float32") for w in model.get_weights()]
        return (
            weights,
            np.asarray(history.history["loss"]),
            model.encode(features, verbose=False),
        )


found = {}
for name in NAMES:
    one = trained(name, contextlib.nullcontext())
    two = trained(name, both.scope())
    found[name] = {
        "weights": max(
            float(np.abs(a - b).max()) for a, b in zip(one[0], two[0])
        ),
        "loss": float(np.abs(one[1] - two[1]).max()),
        "codes": int((one[2] != two[2]).sum()),
    }
print(json.dumps(found))
