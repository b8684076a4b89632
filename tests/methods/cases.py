"""Models of every method on tiny features."""

import keras
import numpy as np

from keras_hash.methods import registry

CLASSES = 5
METHODS = sorted(n for n, (model, _) in registry().items() if model.supervised)
SINGLE_ONLY = {"dshc"}
MULTI_ONLY = {"dshcmultilabel"}
TRAINED = [name for name in METHODS if registry()[name][0].trained]
BANKED = [
    name
    for name in TRAINED
    if getattr(registry()[name][1], "takes_bank", False)
]


def settings(name, **given):
    bits = {"dshc": 15, "dshcmultilabel": None}.get(name, 12)
    given = {"bits": bits, "num_classes": CLASSES, **given}
    if name == "dslh":
        given.setdefault("bank_size", 1200)
    return {k: v for k, v in given.items() if v is not None}


def make(name, **given):
    keras.utils.set_random_seed(0)
    given = {"backbone": "features", "input_shape": (8,), **given}
    return registry()[name][0](**settings(name, **given))


def labelled(kind, count=24, seed=0):
    """Features that show their labels, and the labels."""
    random = np.random.RandomState(seed)
    if kind == "single":
        labels = random.randint(0, CLASSES, count)
        hot = np.eye(CLASSES)[labels]
    else:
        hot = labels = (random.rand(count, CLASSES) < 0.4).astype("uint8")
    features = hot @ random.randn(CLASSES, 8) + 0.1 * random.randn(count, 8)
    return features.astype("float32"), labels


def kinds(name):
    if name in SINGLE_ONLY:
        return ["single"]
    return ["multi"] if name in MULTI_ONLY else ["single", "multi"]


def views_of(name, features):
    """Features as a method is fed, of as many views as it compares."""
    views = registry()[name][1].views
    return features if views == 1 else np.stack([features] * views, axis=1)


def loss_of(model, features, labels):
    """The loss without a graph for it."""
    alone = model.bank is None
    outputs = model(features)
    return float(model.compute_loss(features, labels, outputs, training=alone))


# Every method on its first kind of labels, and compiled by XLA on its last:
# one of each kind of loss at once, the others in the slow tier.
