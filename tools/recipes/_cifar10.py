"""CIFAR-10 encoders that start from the trunk of `dshc_cifar10_30`.

All of them have the same budget and settings, fixed beforehand, whatever the
method: the trunk has seen the whole training set, so that no part of it could
serve to choose them.
"""

import keras

import keras_hash
from recipes import Recipe
from recipes import cosine

EPOCHS = 2


def from_trunk(method, bits, nested=None, **settings):
    """The recipe of a method.

    Args:
        method: a `HashModel` subclass.
        bits: int.
        nested: tuple of int, shorter lengths, or `None`.
        **settings: other arguments of the method.

    Returns:
        A `Recipe`.
    """
    return Recipe(
        model=lambda num_classes: method(
            bits=bits,
            num_classes=num_classes,
            backbone="cifar",
            input_shape=(32, 32, 3),
            nested=nested,
            **settings,
        ),
        optimizer=lambda steps: keras.optimizers.Adam(
            cosine(2e-3, steps, warmup=0.1)
        ),
        epochs=EPOCHS,
        batch_size=128,
        augment=keras_hash.data.Augment(flip=True, shift=2),
        trunk="dshc_cifar10_30",
        backbone_rate=0.05,
        policy="mixed_bfloat16",
        settings={
            "optimizer": "Adam",
            "learning_rate": "linear to 0.002 over a tenth of the steps, then "
            "cosine; the backbone's is that times backbone_rate",
            "augmentation": "mirror images, shifts of 2 pixels",
            **settings,
        },
    )
