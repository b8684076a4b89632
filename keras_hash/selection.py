"""Choosing some of many bits: good ones that do not say the same.

Normalised dominant sets of Liu, He, Lang and Chang, "Hash Bit Selection: A
Unified Solution for Selection Problems in Hashing", CVPR 2013. Bits may be
shares in 0..1, as of codes that are near a threshold.
"""

import numpy as np

# Bits of less entropy tell nothing: a constant one would come first, as it
# agrees with all neighbours and shares no information with other bits.
_LEAST_ENTROPY = 0.1
# Images that neighbours are looked for among, and how many of these count.
_IMAGES, _NEIGHBOURS = 3000, 30
# Weights that differ by less than this share are taken for equal.
_TIE = 1e-3


def chosen(ones, bits, features, labels, quality, independence):
    """The places of the best bits of `[n, length]`, the most weighty first."""
    pool = np.flatnonzero(entropy(ones) >= _LEAST_ENTROPY)
    if len(pool) < bits:
        raise ValueError(
            "There are fewer bits that tell images apart than `bits`. "
            f"Received: bits={bits}, {len(pool)} of {ones.shape[1]} bits are "
            f"not the same for nearly all of {len(ones)} images"
        )
    ones = ones[:, pool]
    rough = quality * _scaled(roughness(ones, features, labels))
    shared = mutual_information(ones)
    apart = ~np.eye(len(pool), dtype=bool)
    if apart.any():
        shared[apart] = _scaled(shared[apart])
    exponents = -independence * shared - rough[:, None] - rough
    exponents[~apart] = -np.inf
    found = []
    left = np.arange(len(pool))
    while len(found) < bits:
        some = exponents[np.ix_(left, left)]
        # The largest is 1, so that large weights leave more than zeros.
        affinity = np.exp(some - some.max()) if len(left) > 1 else np.eye(1)
        weights = dominant_set(affinity)[0]
        order = _falling(weights)
        order = order[weights[order] >= 10 * np.finfo("float64").eps]
        found += pool[left[order]].tolist()
        left = np.delete(left, order)
    return np.array(found[:bits])


def _falling(weights):
    """Places from the largest weight on, those of nearly equal ones in order,
    so that rounding decides nothing."""
    order = np.argsort(-weights, kind="stable")
    falls = -np.diff(weights[order]) > _TIE * weights[order[:-1]]
    return order[np.lexsort((order, np.append(0, np.cumsum(falls))))]


def _scaled(values):
    """Values of about 1 at most from 0 to 1; all 0 where they are the same."""
    low, high = values.min(), values.max()
    if high - low < _TIE**2:
        return np.zeros_like(values)
    return (values - low) / (high - low)


def entropy(ones):
    """The information in each bit of `[n, length]`, in bits."""
    share = ones.mean(axis=0)
    return _information(share) + _information(1 - share)


def _information(share):
    return -share * np.log2(np.maximum(share, 1e-300))


def mutual_information(ones):
    """The information that each pair of bits shares, `[length, length]`."""
    share = ones.mean(axis=0)
    both = ones.T @ ones / len(ones)
    one, other = share[:, None] - both, share - both
    joint = sum(map(_information, (both, one, other, 1 - both - one - other)))
    alone = entropy(ones)
    return np.maximum(alone[:, None] + alone - joint, 0)


def roughness(ones, features=None, labels=None):
    """How much each bit differs between neighbours: `y (D - S) y'` of +1, -1,
    as a share of the largest that it can be.

    Neighbours are images with a label in common, or the nearest by features, or
    the nearest of those; without both all bits are equally good.
    """
    if features is None and labels is None:
        return np.zeros(ones.shape[1])
    some = slice(None)
    if len(ones) > _IMAGES:
        drawn = np.random.RandomState(0).permutation(len(ones))
        some = np.sort(drawn[:_IMAGES])
    weights = 1.0
    if labels is not None:
        labels = np.asarray(labels)[some]
        hot = (
            labels if labels.ndim == 2 else labels[:, None] == np.unique(labels)
        )
        hot = (hot > 0).astype("float32")
        weights = (hot @ hot.T > 0).astype("float64")
        np.fill_diagonal(weights, 0)
    if features is not None:
        weights = weights * nearness(
            np.asarray(features, "float64")[some], weights
        )
    signs = 2 * ones[some] - 1
    total = weights.sum(axis=1)
    apart = total @ signs**2 - np.einsum("ij,ij->j", signs, weights @ signs)
    return apart / max(2 * total.sum(), 1e-300)


def nearness(features, allowed):
    """`exp(-distance / largest)` of the nearest images of each, else 0."""
    squares = (features**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * features @ features.T
    distances = np.maximum(distances, 0)
    np.fill_diagonal(distances, np.inf)
    distances = np.where(np.asarray(allowed) > 0, distances, np.inf)
    # Of equal images only rounding tells distances apart; all that are as near
    # as the last neighbour count.
    least = _TIE**2 * squares.mean()
    count = min(_NEIGHBOURS, len(features) - 1)
    last = np.partition(distances, count - 1, axis=1)[:, count - 1]
    near = distances <= (1 + _TIE) * last[:, None] + least
    near &= np.isfinite(distances)
    largest = distances[near].max(initial=least) or 1.0
    weights = np.where(near, np.exp(-np.where(near, distances, 0) / largest), 0)
    return (weights + weights.T) / 2


def dominant_set(affinity, tolerance=1e-6):
    """Weights, which sum to 1, that maximise `x' A x`, and that value.

    Replicator dynamics from equal weights, until it gains less than that share.
    """
    weights = np.full(len(affinity), 1 / len(affinity))
    if len(affinity) == 1:
        return weights, 0.0
    before = 0.0
    while True:
        weights = weights * (affinity @ weights)
        value = weights.sum()
        weights /= value
        if value - before < tolerance * before:
            return weights, value
        before = value
