"""On JAX, with and without TensorFlow, and on several devices."""

import os
import subprocess
import sys

import pytest

from tests.callbacks.events import array
from tests.callbacks.events import events

SCRIPT = """
import sys
sys.modules["tensorflow"] = None
import keras, numpy as np, keras_hash
assert keras.backend.backend() == "jax"
random = np.random.RandomState(0)
labels = random.randint(3, size=60)
features = np.eye(3)[labels] @ random.randn(3, 8) + random.randn(60, 8)
features = features.astype("float32")
model = keras_hash.models.DPSH(
    12, 3, backbone="features", input_shape=(8,)
)
model.compile(keras.optimizers.Adam(1e-2))
data = features, labels
metrics = keras_hash.callbacks.RetrievalMetrics(data, data, subset=50, k=5)
stop = keras.callbacks.EarlyStopping("val_map", mode="max", patience=9)
history = model.fit(
    *data, epochs=3, verbose=0, callbacks=[metrics, stop]
).history
chosen = metrics.query.chosen
codes = model.encode(features[chosen])
args = codes, labels[chosen], codes, labels[chosen]
expected = keras_hash.evaluate(*args, bits=12, k=5)
assert metrics.report == expected
assert history["val_map"][-1] == expected.metrics["map"]
assert history["val_map"][0] != history["val_map"][-1]
try:
    keras_hash.callbacks.RetrievalMetrics(data, data, log_dir="log")
except ImportError as error:
    assert "`log_dir` needs TensorFlow and TensorBoard" in str(error)
else:
    raise AssertionError
"""


def test_jax_without_tensorflow():
    pytest.importorskip("jax")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


# With TensorFlow for the event files alone.
JAX_BOARD = """
import keras, numpy as np, keras_hash, sys
assert keras.backend.backend() == "jax"
random = np.random.RandomState(0)
labels = random.randint(3, size=60)
features = (np.eye(3)[labels] @ random.randn(3, 8)).astype("float32")
model = keras_hash.models.DPSH(12, 3, backbone="features", input_shape=(8,))
model.compile(keras.optimizers.Adam(1e-2))
data = features, labels
metrics = keras_hash.callbacks.RetrievalMetrics(
    data, data, log_dir=sys.argv[1], k=5
)
model.fit(*data, epochs=2, verbose=0, callbacks=[metrics])
print(metrics.report.metrics["map"])
"""


MIRRORED = """
import keras, numpy as np, tensorflow as tf, keras_hash, sys
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
random = np.random.RandomState(0)
labels = random.randint(3, size=60)
images = random.randint(0, 256, (60, 32, 32, 3)).astype("uint8")
images[:, 8:24] = 80 * labels[:, None, None, None]
data = images, labels
with strategy.scope():
    model = keras_hash.models.DPSH(12, 3)
    model.compile(keras.optimizers.Adam(1e-3))
metrics = keras_hash.callbacks.RetrievalMetrics(
    data, tf.data.Dataset.from_tensor_slices(data), log_dir=sys.argv[1], k=5
)
stop = keras.callbacks.EarlyStopping("val_map", mode="max", patience=9)
history = model.fit(
    *data, batch_size=20, epochs=2, verbose=0, callbacks=[metrics, stop]
).history
codes = model.encode(images)
expected = keras_hash.evaluate(codes, labels, codes, labels, bits=12, k=5)
assert metrics.report == expected
assert history["val_map"][-1] == expected.metrics["map"]
assert history["val_map"][0] != history["val_map"][1]
print(metrics.report.metrics["map"])
"""


@pytest.mark.parametrize(
    "script, backend",
    [
        pytest.param(JAX_BOARD, "jax", marks=pytest.mark.slow),
        pytest.param(MIRRORED, "tensorflow", marks=pytest.mark.slow),
    ],
    ids=["jax", "mirrored"],
)
def test_event_files_elsewhere(tmp_path, script, backend):
    """On JAX, and where variables are on several devices."""
    pytest.importorskip(backend)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    scalars = events(tmp_path)["retrieval/map"]
    assert [step for step, _ in scalars] == [0, 1]
    expected = float(done.stdout.split()[-1])
    assert array(scalars[1][1]) == pytest.approx(expected)
    assert (tmp_path / "projector_config.pbtxt").exists()
