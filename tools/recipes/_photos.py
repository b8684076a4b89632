"""Encoders of photos with several labels, on ImageNet's MobileNetV2, cut.

All of a set have the same budget and settings, whatever the method, tried on
photos held out from the training set. The trunk is frozen: to go on with all of
it for five epochs (TALR on Corel-5K, 64 bits, held-out photos) gained nothing,
mAP .639 and NDCG@100 .476 where the head alone had .646 and .473, and took
several times as long.
"""

import keras

from recipes import Recipe
from recipes import cosine

BACKBONE = "mobilenet_v2/block_13_expand_relu"
WEIGHTS = "mobilenet_v2_imagenet_notop.weights.h5"
SIDE = 128
EPOCHS = {"corel5k": 40, "mirflickr20k": 25}
NESTED = (16, 32, 48)


def on_imagenet(
    method, dataset, bits=64, nested=NESTED, hidden=512, **settings
):
    """The recipe of a method.

    Args:
        method: a `HashModel` subclass.
        dataset: str, see `keras_hash.data.load`.
        bits: int.
        nested: tuple of int, shorter lengths, or `None`.
        hidden: int, width of the layer between the trunk and the hash layer.
        **settings: other arguments of the method.

    Returns:
        A `Recipe`.
    """
    return Recipe(
        model=lambda num_classes: method(
            bits=bits,
            num_classes=num_classes,
            backbone=BACKBONE,
            input_shape=(SIDE, SIDE, 3),
            hidden=hidden,
            nested=nested,
            **settings,
        ),
        optimizer=lambda steps: keras.optimizers.Adam(cosine(1e-3, steps)),
        dataset=dataset,
        epochs=EPOCHS[dataset],
        batch_size=128,
        trunk=WEIGHTS,
        backbone_rate=0,
        settings={
            "optimizer": "Adam",
            "learning_rate": "0.001, falling to 0 along a cosine",
            "augmentation": "mirror images",
            **settings,
        },
    )
