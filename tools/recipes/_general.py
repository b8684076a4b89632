"""General encoders, without labels, for photos of all kinds."""

import keras_hash
from recipes import Recipe

# Half the size of the whole network, and for ITQ better than what that gives:
# in mAP on held-out photos 0.01 below the best cut, `block_16_expand_relu`, at
# 128 bits and 0.003 at 64.
BACKBONE = "mobilenet_v2/block_14_add"
WEIGHTS = "mobilenet_v2_imagenet_notop.weights.h5"
SIDE = 160


def itq(bits):
    """The recipe of ITQ.

    Args:
        bits: int.

    Returns:
        A `Recipe`.
    """
    return Recipe(
        model=lambda num_classes: keras_hash.models.ITQ(
            bits=bits, backbone=BACKBONE, input_shape=(SIDE, SIDE, 3)
        ),
        dataset="corel5k",
        trunk=WEIGHTS,
        backbone_rate=0,
        settings={
            "solved_on": "the 4,500 training photos, without their labels",
        },
    )
