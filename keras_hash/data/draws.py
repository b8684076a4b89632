"""Draws: which images become queries, training images and database.

Each is a function of labels, or of the publisher's splits, and a seed, and
gives sorted int indices: a protocol's draw, a dict of them for the four parts.
`numpy.random.RandomState` keeps its stream forever.
"""

import numbers

import numpy as np

from keras_hash.codes import check_int


def draw_per_class(targets, query, seed, train=None, train_in_database=True):
    """Queries, then training images, of every class; `train=None` takes all."""
    last = None if train is None else query + train
    classes = list(_classes(targets, np.random.RandomState(seed)))
    return _parts_of(
        len(targets),
        np.concatenate([members[:query] for members in classes]),
        np.concatenate([members[query:last] for members in classes]),
        train_in_database,
    )


def draw_per_label(targets, query, train, seed, train_in_database=True):
    """Draws the same number of queries for every label, then training images.

    A random permutation is walked once. An image becomes a query for the first
    of its labels that still needs one, else a training image in the same way;
    `train=None` takes all but the queries. As an image has other labels too, a
    label ends up with more than its number.
    """
    needed = [np.full(targets.shape[1], count or 0) for count in (query, train)]
    drawn = ([], [])
    for i in np.random.RandomState(seed).permutation(len(targets)):
        labels = np.flatnonzero(targets[i])
        for need, chosen in zip(needed, drawn):
            open_labels = labels[need[labels] > 0]
            if len(open_labels):
                need[open_labels[0]] -= 1
                chosen.append(i)
                break
        if not any(need.any() for need in needed):
            break
    else:
        lacking = np.flatnonzero(needed[0] + needed[1])
        if len(lacking):
            raise ValueError(
                f"There should be {query} queries and {train} training images "
                f"for every label; there are too few for {lacking.tolist()}."
            )
    queries, trained = (np.array(rows, int) for rows in drawn)
    if train is None:
        trained = np.setdiff1d(np.arange(len(targets)), queries)
    return _parts_of(len(targets), queries, trained, train_in_database)


def draw_at_random(
    targets, query, train, seed, train_in_database, query_in_database=False
):
    """Draws queries, then training images, from all images alike."""
    if query + train > len(targets):
        raise ValueError(
            f"There should be {query} queries and {train} training images. "
            f"Received: {len(targets)} images"
        )
    order = np.random.RandomState(seed).permutation(len(targets))
    return _parts_of(
        len(targets),
        order[:query],
        order[query : query + train],
        train_in_database,
        query_in_database,
    )


def by_split(splits, query, per_class=None, targets=None, seed=None):
    """One of the publisher's splits as queries, the others as database.

    All of the database trains, or `per_class` images drawn from every class.
    """
    queries = np.flatnonzero(splits == query)
    database = np.flatnonzero(splits != query)
    trained = database
    if per_class is not None:
        classes = _classes(targets[database], np.random.RandomState(seed))
        drawn = [members[:per_class] for members in classes]
        trained = database[np.concatenate(drawn)]
    return parts(np.sort(trained), queries, database)


def separate_classes(targets, split, train_share=0.5, seed=0):
    """Restricts a split so that training and retrieval share no class."""
    targets = np.asarray(targets)
    if targets.ndim != 1:
        raise ValueError(
            "Classes are disjoint only where an image has one label. "
            f"Received: targets of shape {targets.shape}"
        )
    classes = np.unique(targets)
    number = isinstance(train_share, numbers.Real)
    share = train_share if number and 0 < train_share < 1 else 0
    count = round(share * len(classes))
    if not 0 < count < len(classes):
        raise ValueError(
            "`train_share` should leave classes on both sides. "
            f"Received: train_share={train_share}, {len(classes)} classes"
        )
    drawn = np.random.RandomState(seed).permutation(classes)[:count]
    trains = np.isin(targets, drawn)
    return {
        part: indices[trains[indices] == (part in ("train", "validation"))]
        for part, indices in split.items()
    }


def check_share(share, name):
    """Refuses what is no share of images that can be drawn."""
    number = isinstance(share, numbers.Real) and not isinstance(share, bool)
    if not number or not 0 <= share < 1:
        raise ValueError(
            f"`{name}` should be a share in [0, 1). Received: {name}={share!r}"
        )


def check_seed(seed):
    """Refuses what seeds no draw."""
    return check_int(seed, "seed", 0, 2**32 - 1)


def draw(targets, share, seed, some_of_each=True):
    """Draws a share of the images, stratified by label.

    With one label an image: the share of every class, rounded; with
    `some_of_each` at least one image of a class that has two, and never all of
    it. With several: iterative stratification; images without labels, or that
    share none with the images that are left, are not drawn.
    """
    targets = np.asarray(targets)
    random = np.random.RandomState(seed)
    if share == 0 or not len(targets):
        return np.zeros(0, "int64")
    if targets.ndim == 2:
        return _related(targets, _iterative(targets, share, random))
    drawn = []
    for members in _classes(targets, random):
        wanted = round(share * len(members))
        if some_of_each:
            wanted = max(1, int(share * len(members) + 0.5))
            wanted = min(wanted, len(members) - 1)
        drawn.append(members[:wanted])
    return np.sort(np.concatenate(drawn))


def _classes(targets, random):
    """The images of each class, in random order."""
    for c in np.unique(targets):
        yield random.permutation(np.flatnonzero(targets == c))


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


def parts(train, query, database):
    """The index sets of a protocol, with an empty validation part."""
    return {
        "train": np.asarray(train),
        "validation": np.zeros(0, "int64"),
        "query": np.asarray(query),
        "database": np.asarray(database),
    }


def _parts_of(
    count, queries, trained, train_in_database=True, query_in_database=False
):
    """Sorted parts whose database is all images, but those that stay out."""
    database = np.arange(count)
    if not query_in_database:
        database = np.setdiff1d(database, queries)
    if not train_in_database:
        database = np.setdiff1d(database, trained)
    return parts(np.sort(trained), np.sort(queries), database)
