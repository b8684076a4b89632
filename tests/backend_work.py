"""What `tests/test_backends.py` has every backend compute, alone in a process.

    KERAS_BACKEND=jax python tests/backend_work.py FOLDER [METHOD ...]

Writes `FOLDER/jax.npz`: for each method its loss and gradients, and the
weights, bank and codes of a model that starts from the weights which the
TensorFlow run left in the folder.
"""

import os
import sys

import keras
import numpy as np
from keras import ops

import keras_hash
from keras_hash import methods

BACKEND, FOLDER, *NAMES = keras.backend.backend(), *sys.argv[1:]
CLASSES, COUNT, WIDTH = 5, 48, 16
BITS = {"dshc": 15, "dshcmultilabel": 5}
found = {}


def gradients(function, arrays):
    """The value of a function of arrays, and its gradient by each of them."""
    tensors = [ops.convert_to_tensor(a) for a in arrays]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        slopes = tape.gradient(
            value, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
    elif BACKEND == "jax":
        import jax

        places = tuple(range(len(tensors)))
        value, slopes = jax.value_and_grad(function, places)(*tensors)
    else:
        import torch

        tensors = [t.detach().requires_grad_() for t in tensors]
        value = function(*tensors)
        slopes = torch.autograd.grad(
            value, tensors, allow_unused=True, materialize_grads=True
        )
    return [ops.convert_to_numpy(x) for x in (value, *slopes)]


def data(name, seed=0):
    """Features that show their labels, and the labels that a method takes."""
    random = np.random.RandomState(seed)
    hot = (random.rand(COUNT, CLASSES) < 0.4).astype("uint8")
    features = (hot @ random.randn(CLASSES, WIDTH)).astype("float32")
    features += 0.1 * random.randn(*features.shape).astype("float32")
    if name == "collaborativehashing":
        features -= features.min()
    return features, hot.argmax(axis=1) if name == "dshc" else hot


def of_loss(name, loss_class, model):
    """The loss of a batch, alone and against other codes, and its slopes."""
    random = np.random.RandomState(1)
    features, labels = data(name)
    labels = labels[: 12 // loss_class.views]
    loss = model.default_loss()
    codes = random.uniform(-0.9, 0.9, (12, model.bits)).astype("float32")
    width = model(np.zeros((1, WIDTH), "float32"))
    if isinstance(width, dict) and "features" in width:
        given = [codes]

        def value(codes):
            return loss(None, {"code": codes, "features": features[:12]})

    elif isinstance(width, dict):
        given = [
            random.uniform(-0.9, 0.9, (12, x.shape[-1])).astype("float32")
            for x in width.values()
        ]

        def value(*given):
            return loss(labels, dict(zip(width, given)))

    else:
        shape = (12, width.shape[-1])
        given = [random.uniform(-0.9, 0.9, shape).astype("float32")]

        def value(codes):
            return loss(labels, codes)

    found[f"{name}/loss"], *slopes = gradients(value, given)
    if getattr(loss_class, "takes_bank", False):
        refs = {
            "ref_labels": data(name, seed=2)[1][:20],
            "ref_codes": np.tanh(random.randn(20, model.bits)).astype("f4"),
        }
        against = gradients(lambda codes: loss(labels, codes, **refs), given)
        found[f"{name}/loss_of_refs"], *more = against
        slopes += more
    for place, slope in enumerate(slopes):
        found[f"{name}/slope_{place}"] = slope


def of_model(name, model, loss_class):
    """What training, or solving, makes of a model."""
    features, labels = data(name)
    path = os.path.join(FOLDER, f"{name}.npz")
    if BACKEND == "tensorflow":
        np.savez(path, *model.get_weights())
    with np.load(path) as start:
        model.set_weights([start[k] for k in start.files])
    if loss_class is None:
        model.adapt(features, labels)
    else:
        model.compile(keras.optimizers.SGD(0.02))
        views = features
        if loss_class.views > 1:
            views = np.stack([features, 1.1 * features[:, ::-1]], axis=1)
        if name == "cimon":
            model.adapt(views)
        history = model.fit(
            views, labels, batch_size=16, epochs=2, shuffle=False, verbose=0
        )
        found[f"{name}/history"] = np.asarray(history.history["loss"])
        if not NAMES:
            of_loaded(model, views[:16], labels[:16])
    for place, weight in enumerate(model.get_weights()):
        found[f"{name}/weight_{place}"] = weight
    found[f"{name}/real"] = model.real_codes(features)
    found[f"{name}/code"] = model.encode(features)


def of_loaded(model, images, labels):
    """A trained model goes on after it was loaded as it would have."""
    path = os.path.join(FOLDER, f"{BACKEND}-loaded.keras")
    model.save(path)
    again = keras.models.load_model(path)
    losses = [one.evaluate(images, labels, verbose=0) for one in (model, again)]
    np.testing.assert_array_equal(*losses)


def of_images():
    """A convolutional model: trained here, saved, exported by TensorFlow."""
    digits = keras_hash.data.load("digits")
    images, labels = digits.arrays("train")
    path = os.path.join(FOLDER, "{}.keras")
    keras.utils.set_random_seed(0)
    model = keras_hash.models.DSHC(30, 10, backbone="small")
    model.compile(keras.optimizers.Adam(2e-3))
    model.fit(images, labels, batch_size=64, epochs=3, verbose=0)
    report, codes = keras_hash.evaluation.measure(model, digits)
    assert report.metrics["map"] > 0.4, report.metrics
    # Weights that the float16 of an export keeps as they are.
    model.set_weights([w.astype("float16") for w in model.get_weights()])
    model.save(path.format(BACKEND))
    again = keras.models.load_model(path.format(BACKEND))
    found["images/code"] = again.encode(images)
    found["images/real"] = again.real_codes(images)
    index = keras_hash.Index(bits=30)
    index.add(codes["database"])
    assert index.search(codes["query"], k=3)[0].shape == (360, 3)
    cifar = keras_hash.models.CSQ(16, 10, backbone="cifar")
    cifar.adapt(images[:50])
    assert cifar.encode(images[:3]).shape == (3, 2)
    batches = keras_hash.data.SampledBatches(
        images, labels, keras_hash.data.ListSampler(labels, size=3, lists=4)
    )
    lists = keras_hash.models.DSRH(12, 10, list_size=3, backbone="small")
    lists.compile("adam")
    lists.fit(batches, steps_per_epoch=2, verbose=0)


def of_pixels(name, model_class):
    """A method without weights, which sees images alone."""
    images = keras_hash.data.load("digits").arrays("query")[0][:50]
    model = model_class(16)
    model.adapt(images)
    found[f"{name}/real"] = model.real_codes(images)
    found[f"{name}/code"] = model.encode(images)


def of_rates():
    """A backbone with a rate of 0 stays: not on PyTorch, which refuses it."""
    features, labels = data("csq")
    inputs = keras.Input((WIDTH,))
    trunk = keras.Model(inputs, keras.layers.Dense(8)(inputs))
    model = keras_hash.models.CSQ(
        12, CLASSES, backbone=trunk, input_shape=(WIDTH,)
    )
    model.compile(keras.optimizers.Adam(1e-2), backbone_rate=0.0)
    before = [ops.convert_to_numpy(v).copy() for v in model.trainable_variables]
    model.fit(features, labels, verbose=0)
    moved = [
        (ops.convert_to_numpy(v) != old).any()
        for v, old in zip(model.trainable_variables, before)
    ]
    assert moved == [False, False, True, True], moved


for name, (model_class, loss_class) in methods.registry().items():
    if NAMES and name not in NAMES:
        continue
    if name == "phash":
        of_pixels(name, model_class)
        continue
    settings = {"backbone": "features", "input_shape": (WIDTH,)}
    if getattr(loss_class, "takes_bank", False):
        settings["bank_size"] = COUNT
    if model_class.supervised:
        settings["num_classes"] = CLASSES
    if name == "cimon":
        settings.update(bank_size=COUNT, clusters=5, quantile=0.2)
    if "dropout" in model_class.keywords:
        settings["dropout"] = 0.0  # each backend draws others
    if name == "vdsh":
        settings["width"] = 16  # of features as small as these
    model = model_class(BITS.get(name, 12), **settings)
    if loss_class is not None:
        of_loss(name, loss_class, model)
    of_model(name, model, loss_class)
if not NAMES:
    of_images()
if not NAMES and BACKEND != "torch":
    of_rates()
np.savez(os.path.join(FOLDER, f"{BACKEND}.npz"), **found)
