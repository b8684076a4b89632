"""Two devices train as one does: losses and banks see the whole batch."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from keras_hash import methods

WORK = pathlib.Path(__file__).parent / "on_devices.py"
TRAINED = sorted(name for name, (_, loss) in methods.registry().items() if loss)
FEW = ["dsrh", "dch"]  # lists, and pairs with a bank


def compare(backend, names):
    root = str(WORK.parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(WORK), *names],
        env={
            **os.environ,
            "PYTHONPATH": path,
            "KERAS_BACKEND": backend,
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        },
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == set(names)
    for name, differences in found.items():
        # Three updates, each within 1e-5: processors round otherwise.
        assert differences["weights"] < 3e-5, (name, differences)
        assert differences["loss"] < 1e-4, (name, differences)
        assert differences["codes"] == 0, (name, differences)


def test_a_few_methods():
    compare("tensorflow", FEW)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_every_method(backend):
    compare(backend, TRAINED)


def test_several_hosts_are_refused():
    """Keras' `fit` stops there with an error of TensorFlow's (keras#20585)."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    with strategy.scope(), pytest.raises(ValueError, match="MirroredStrategy"):
        methods.registry()["csq"][0](8, 5)
