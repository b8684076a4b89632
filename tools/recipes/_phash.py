"""Perceptual hashes: nothing is trained."""

import keras_hash
from recipes import Recipe


def phash(bits):
    """The recipe of a perceptual hash.

    Args:
        bits: int.

    Returns:
        A `Recipe`.
    """
    return Recipe(
        model=lambda num_classes: keras_hash.models.PHash(bits),
        dataset="corel5k",
        settings={"trained": "nothing: the method has no weights"},
        compact="float16",
    )
