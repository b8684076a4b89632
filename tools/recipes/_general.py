"""General encoders, without labels, for photos of all kinds."""

import keras_hash
from recipes import Recipe


def itq(bits, backbone, trunk, side, photos=("corel5k",), nested=None):
    """The recipe of ITQ on the trunk of a network trained on ImageNet.

    Args:
        bits: int.
        backbone: str.
        trunk: str, file of its weights, see `Recipe`.
        side: int, of images in pixels.
        photos: tuple of str, benchmarks whose training photos it is solved on.
        nested: tuple of int, shorter lengths, or `None`.

    Returns:
        A `Recipe`.
    """
    return Recipe(
        model=lambda num_classes: keras_hash.models.ITQ(
            bits=bits,
            backbone=backbone,
            input_shape=(side, side, 3),
            nested=nested,
        ),
        dataset="corel5k",
        photos=photos,
        trunk=trunk,
        backbone_rate=0,
        settings={
            "solved_on": f"the training photos of {' and '.join(photos)}, "
            "without their labels",
        },
    )
