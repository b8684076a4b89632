"""The order of found items by the real codes of the queries.

A bit that a query is sure of counts more than one near 0: the distance is the
sum of the magnitudes of the query's real code at the bits that differ.

Reference: Gordo et al., "Asymmetric Distances for Binary Embeddings", TPAMI
2014; here the query's real outputs themselves take the place of expectations.
"""

import numpy as np

from keras_hash.codes import as_array
from keras_hash.codes import unpack

# Items by Hamming distance that are put in a new order.
CANDIDATES = 1000


def check(real_codes, bits):
    """Real codes of queries as `float32 [q, bits]`."""
    real = as_array(real_codes, "real_codes")
    check_kind(real.dtype.name, real.shape, bits)
    with np.errstate(over="ignore"):
        real = real.astype("float32")
    if not np.isfinite(real).all():
        raise ValueError("`real_codes` should be finite. Received: NaN or inf")
    return real


def check_similarity(similarity):
    """Refuses codes that are compared otherwise."""
    if similarity != "hamming":
        raise ValueError(
            "`real_codes` order items by Hamming distance. "
            f"Received: similarity={similarity!r}"
        )


def check_kind(dtype, shape, bits):
    """Refuses what is of another type or shape than real codes of queries."""
    if "float" not in dtype or len(shape) != 2 or shape[1] != bits:
        raise ValueError(
            f"`real_codes` should be floats [q, {bits}], as "
            "`HashModel.real_codes` returns them. "
            f"Received: real_codes.shape={tuple(shape)}, dtype={dtype}"
        )


def nearest(real, codes, numbers, places, k, bits):
    """The k nearest of the items at `places` `[q, c]`, ties in that order.

    `codes` are distinct ones, and `numbers` `[q, c]` those of the items.
    Returns distances `float32 [q, k]` and places.
    """
    found = np.empty((len(real), k), "float32")
    order = np.empty((len(real), k), "int64")
    for row, (query, own) in enumerate(zip(real, numbers)):
        # Equal codes are as far away to the last bit.
        wanted, inverse = np.unique(own, return_inverse=True)
        differing = (unpack(codes[wanted], bits) > 0) != (query >= 0)
        # In float64 hardly any sum depends on the order of addition.
        far = differing @ np.abs(query, dtype="float64")
        far = far[inverse]
        best = np.argsort(far, kind="stable")[:k]
        found[row], order[row] = far[best], places[row, best]
    return found, order
