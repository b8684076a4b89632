"""Shares of a set with the same labels as the whole."""

import numpy as np


def draw(targets, share, seed):
    """Draws a share of the images, stratified by label.

    With one label an image: the share of every class, rounded, but at least
    one image of a class that has two, and never all of it. With several:
    iterative stratification; images without labels, or that share none with
    the images that are left, are not drawn.

    Args:
        targets: int `[n]`, or multi-hot `[n, num_classes]`.
        share: float in [0, 1).
        seed: int; `numpy.random.RandomState` keeps its stream for ever.

    Returns:
        Sorted int indices.
    """
    targets = np.asarray(targets)
    random = np.random.RandomState(seed)
    if share == 0:
        return np.zeros(0, "int64")
    if targets.ndim == 2:
        return _related(targets, _iterative(targets, share, random))
    drawn = []
    for c in np.unique(targets):
        members = random.permutation(np.flatnonzero(targets == c))
        wanted = max(1, int(share * len(members) + 0.5))
        drawn.append(members[: min(wanted, len(members) - 1)])
    return np.sort(np.concatenate(drawn))


def _iterative(targets, share, random):
    """Draws from the rarest label on, to where most of it is wanted.

    Reference: Sechidis et al., "On the Stratification of Multi-Label Data",
    ECML PKDD 2011.
    """
    hot = targets > 0
    shares = np.array([share, 1 - share])
    wanted = shares[:, None] * hot.sum(axis=0)
    # Images without labels stay: they are nobody's answer.
    free = hot.any(axis=1)
    room = shares * free.sum()
    left = hot.sum(axis=0)
    drawn = []
    while left.any():
        label = np.argmin(np.where(left > 0, left, len(hot) + 1))
        for i in random.permutation(np.flatnonzero(free & hot[:, label])):
            # The last number decides ties.
            order = np.stack([wanted[:, label], room, random.rand(2)])
            side = np.lexsort(order[::-1])[-1]
            wanted[side, hot[i]] -= 1
            room[side] -= 1
            left[hot[i]] -= 1
            free[i] = False
            if side == 0:
                drawn.append(i)
    return np.array(sorted(drawn), "int64")


def _related(targets, drawn):
    """The drawn images that share a label with one that is not drawn."""
    rest = np.ones(len(targets), bool)
    rest[drawn] = False
    kept = (targets[rest] > 0).any(axis=0)
    return drawn[(targets[drawn] > 0) @ kept]
