"""Training and encoding on other backends, where TensorFlow is absent."""

import importlib.util
import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
sys.modules["tensorflow"] = None
import keras, keras_hash
assert keras.backend.backend() == sys.argv[1]
digits = keras_hash.data.load("digits")
images, labels = digits.arrays("train")
keras.utils.set_random_seed(0)
model = keras_hash.models.DSHC(bits=30, num_classes=10, backbone="small")
model.compile(keras.optimizers.Adam(2e-3))
model.fit(images, labels, batch_size=64, epochs=3, verbose=0)
report, codes = keras_hash.evaluation.measure(model, digits)
assert report.metrics["map"] > 0.4, report.metrics
model.save(sys.argv[2] + "/model.keras")
again = keras.models.load_model(sys.argv[2] + "/model.keras")
assert (again.encode(images[:99]) == model.encode(images[:99])).all()
index = keras_hash.Index(bits=30)
index.add(codes["database"])
assert index.search(codes["query"], k=3)[0].shape == (360, 3)
small = keras_hash.models.DSHC(bits=30, num_classes=10, backbone="cifar")
small.adapt(images[:50])
assert small.encode(images[:3]).shape == (3, 4)
"""
# Every method takes a step, and pairs follow the bank.
METHODS = """
import numpy as np
from keras_hash import methods
random = np.random.RandomState(0)
hot = (random.rand(48, 5) < 0.4).astype("uint8")
features = (hot @ random.randn(5, 16)).astype("float32")
for name, (model_class, loss_class) in methods.registry().items():
    bits = {"dshc": 15, "dshcmultilabel": 5}.get(name, 12)
    labels = hot.argmax(axis=1) if name == "dshc" else hot
    settings = {"backbone": "features", "input_shape": (16,)}
    if getattr(loss_class, "takes_bank", False):
        settings["bank_size"] = 48
    model = model_class(bits=bits, num_classes=5, **settings)
    if loss_class is None:
        model.adapt(features, labels)
    else:
        model.compile(keras.optimizers.Adam(0.0))
        history = model.fit(features, labels, batch_size=16, verbose=0)
        assert np.isfinite(history.history["loss"]).all(), name
    real = model.real_codes(features)
    if model.bank is not None:
        found = keras.ops.convert_to_numpy(model.bank.codes)
        np.testing.assert_allclose(found, real, atol=1e-4)
    assert model.encode(features).shape == (48, -(-bits // 8)), name
lists = keras_hash.data.SampledBatches(
    features, hot, keras_hash.data.ListSampler(hot, size=3, lists=4)
)
model = keras_hash.models.DSRH(
    12, 5, list_size=3, backbone="features", input_shape=(16,)
)
model.compile(keras.optimizers.Adam(1e-3))
model.fit(lists, verbose=0)
if sys.argv[1] == "jax":
    inputs = keras.Input((16,))
    trunk = keras.Model(inputs, keras.layers.Dense(8)(inputs))
    model = keras_hash.models.CSQ(12, 5, backbone=trunk, input_shape=(16,))
    model.compile(keras.optimizers.Adam(1e-2), backbone_rate=0.0)
    kept = [np.array(v) for v in model.trainable_variables]
    model.fit(features, hot, verbose=0)
    moved = [
        (np.array(v) != old).any()
        for v, old in zip(model.trainable_variables, kept)
    ]
    assert moved == [False, False, True, True], moved
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_without_tensorflow(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    script = SCRIPT + METHODS
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, backend, str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": backend},
        check=True,
    )
