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


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_without_tensorflow(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, backend, str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": backend},
        check=True,
    )
