"""How alike two label sets are, from the numbers of their labels.

All functions take the number of shared labels and the sizes of both sets, as
arrays that broadcast, and return float64. Sets without labels are guarded: two
empty sets have similarity 0.
"""

import numpy as np


def shared_count(shared, a_size, b_size):
    """The number of labels in common.

    Args:
        shared: int array, labels in common.
        a_size: int array, labels of one side; only its shape matters.
        b_size: int array, labels of the other; only its shape matters.

    Returns:
        float64 array, 0, 1, 2, ...
    """
    shape = np.broadcast_shapes(*map(np.shape, (shared, a_size, b_size)))
    return np.broadcast_to(np.asarray(shared, "float64"), shape)


def jaccard(shared, a_size, b_size):
    """Jaccard coefficient: labels in common over labels in either set.

    Args:
        shared: int array, labels in common.
        a_size: int array, labels of one side.
        b_size: int array, labels of the other.

    Returns:
        float64 array in 0..1.
    """
    shared = np.asarray(shared, "float64")
    union = np.asarray(a_size) + b_size - shared
    return shared / np.maximum(union, 1)


def cosine(shared, a_size, b_size):
    """Cosine of the multi-hot label vectors.

    Args:
        shared: int array, labels in common.
        a_size: int array, labels of one side.
        b_size: int array, labels of the other.

    Returns:
        float64 array in 0..1.
    """
    product = np.asarray(a_size, "float64") * b_size
    return np.asarray(shared, "float64") / np.sqrt(np.maximum(product, 1))


# What the names of graded metrics start with.
GRADES = {"": shared_count, "jaccard_": jaccard, "cosine_": cosine}
