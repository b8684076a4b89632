"""JAX and PyTorch, with TensorFlow absent: the same as TensorFlow."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_hash
from keras_hash import codes
from keras_hash import methods

WORK = pathlib.Path(__file__).parent / "backend_work.py"
# All but TensorFlow itself run without it.
BLOCKED = """
import runpy, sys
sys.modules["tensorflow"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
OTHERS = ["jax", "torch"]
METHODS = sorted(methods.registry())
FEW = ["dpsh", "itq"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the runs leave what they found, that of TensorFlow first."""
    folder = tmp_path_factory.mktemp("backends")
    _run("tensorflow", folder)
    return folder


@pytest.fixture(scope="module", params=OTHERS)
def both(request, folder):
    """What TensorFlow and another backend found, and the other's name."""
    backend = request.param
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: see `make test-{backend}`")
    _run(backend, folder)
    files = [folder / f"{name}.npz" for name in ("tensorflow", backend)]
    return *(dict(np.load(file)) for file in files), backend


def _run(backend, folder, *names):
    block = [] if backend == "tensorflow" else ["-c", BLOCKED]
    root = str(WORK.parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    subprocess.run(
        [sys.executable, "-W", "ignore", *block, str(WORK)]
        + [str(folder), *names],
        env={**os.environ, "PYTHONPATH": path, "KERAS_BACKEND": backend},
        check=True,
    )


def close(found, expected, tolerance):
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found / scale, expected / scale, 0, tolerance)


def test_a_few_on_jax(tmp_path):
    for backend in ("tensorflow", "jax"):
        _run(backend, tmp_path, *FEW)
    names = ("tensorflow", "jax")
    pair = [dict(np.load(tmp_path / f"{name}.npz")) for name in names]
    for name in FEW:
        check_losses(*pair, name)
        check_models(*pair, name)


def check_losses(expected, found, name):
    keys = [k for k in expected if k.startswith((f"{name}/loss", f"{name}/sl"))]
    assert len(keys) >= 2 or methods.registry()[name][1] is None
    for key in keys:
        close(found[key], expected[key], 1e-5)
    slopes = [np.abs(expected[k]).max() for k in keys if "slope" in k]
    assert not slopes or max(slopes) > 1e-4


# Logarithms of small distances multiply what rounding leaves of them.
SENSITIVE = {"dch": 1e-3}


def check_models(expected, found, name):
    keys = [k for k in expected if k.startswith(f"{name}/")]
    assert set(keys) == {k for k in found if k.startswith(f"{name}/")}
    for key in keys:
        if "/code" not in key:
            close(found[key], expected[key], SENSITIVE.get(name, 2e-4))
    width = expected[f"{name}/real"].shape[1]
    sure = np.abs(expected[f"{name}/real"]) > 1e-3
    bits = [codes.unpack(x[f"{name}/code"], width) for x in (expected, found)]
    assert (bits[0] == bits[1])[sure].all()


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_losses_and_gradients(both, name):
    check_losses(*both[:2], name)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_models_end_alike(both, name):
    """`fit` or `adapt`, the bank, and codes."""
    check_models(*both[:2], name)


@pytest.mark.slow
def test_what_another_backend_trained_is_exported(both, folder, tmp_path):
    """The served graph gives the codes that the other backend gives."""
    _, found, backend = both
    model = keras.models.load_model(folder / f"{backend}.keras", compile=False)
    images = keras_hash.data.load("digits").arrays("train")[0][:1000]
    expected = found["images/code"][:1000]
    assert (model.encode(images) == expected).all()
    model.export(tmp_path / "1")
    import tensorflow as tf

    served = tf.saved_model.load(str(tmp_path / "1")).signatures["encode"]
    answers = served(image=tf.constant(images, "float32"))
    assert (answers["code"].numpy() == expected).all()


@pytest.mark.parametrize("name", METHODS)
def test_no_name_of_a_torch_module_is_taken(name):
    """On PyTorch a model is a `torch.nn.Module`, whose parts these are."""
    model, _ = methods.registry()[name]
    own = {
        key
        for part in model.__mro__[:-1]
        for key in vars(part)
        if part.__module__.startswith("keras_hash")
    }
    assert not own & {"forward", "train", "eval", "apply", "to", "half"}
    # A layer that is set later would be hidden by an attribute of the class.
    assert not own & {"head", "hidden", "backbone", "bank", "codebook"}


# Keras says so of data whose number of batches nobody knows.
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("library", ["torch_loader", "torch_stream", "grain"])
def test_torch_and_grain_feed_what_is_checked(library):
    torch = pytest.importorskip("torch")
    images = np.random.RandomState(0).randint(0, 256, (48, 32, 32, 3), "uint8")
    labels = np.arange(48) % 4

    def loader(labels, images=images):
        if library == "grain":
            grain = pytest.importorskip("grain")
            found = grain.MapDataset.source(range(len(images)))
            return found.map(lambda i: (images[i], labels[i])).batch(16)
        single = pairs = list(zip(images, labels, strict=True))
        if library == "torch_stream":

            class Stream(torch.utils.data.IterableDataset):
                def __iter__(self):
                    return iter(pairs)

            single = Stream()
        return torch.utils.data.DataLoader(single, batch_size=16)

    model = keras_hash.models.DPSH(8, 4)
    model.compile("sgd")
    good = loader(labels)
    model.fit(good, epochs=2, validation_data=good, verbose=0)
    model.fit(good, class_weight={0: 2.0}, verbose=0)
    assert (model.encode(good) == model.encode(images)).all()
    expected = model.evaluate(images, labels, batch_size=16, verbose=0)
    found = model.evaluate(good, verbose=0)
    np.testing.assert_allclose(found, expected, 1e-5)
    late = loader(np.append(labels[:-1], 9))
    for call in (
        lambda: model.fit(late, verbose=0),
        lambda: model.evaluate(late, verbose=0),
        lambda: model.fit(good, validation_data=late, verbose=0),
    ):
        with pytest.raises(ValueError, match="0 .. 3 for num_classes=4"):
            call()
    floats = loader(labels, images.astype("float32") / 255)
    with pytest.raises(ValueError, match="multiply those in 0..1 by 255"):
        model.fit(floats, verbose=0)
