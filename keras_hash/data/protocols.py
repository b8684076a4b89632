"""How a pool of images is split into queries, training set and database."""

import numpy as np


def query_per_class(targets, count, seed):
    """Draws the same number of queries from every class.

    The other images are the training set and the database.

    Args:
        targets: int `[n]`.
        count: int, queries a class.
        seed: int; `numpy.random.RandomState` keeps its stream for ever.

    Returns:
        A dict of sorted index arrays for the four parts.
    """
    random = np.random.RandomState(seed)
    query = np.sort(
        np.concatenate(
            [
                random.permutation(np.flatnonzero(targets == c))[:count]
                for c in np.unique(targets)
            ]
        )
    )
    rest = np.setdiff1d(np.arange(len(targets)), query)
    return parts(train=rest, query=query, database=rest)


def draw_per_class(targets, query, train, train_in_database, seed):
    """Draws queries, then training images, from every class.

    Args:
        targets: int `[n]`.
        query: int, queries a class.
        train: int, training images a class.
        train_in_database: bool, whether the database, which is all images but
            the queries, keeps the training images.
        seed: int; `numpy.random.RandomState` keeps its stream for ever.

    Returns:
        A dict of sorted index arrays for the four parts.
    """
    random = np.random.RandomState(seed)
    queries, trained = [], []
    for c in np.unique(targets):
        members = random.permutation(np.flatnonzero(targets == c))
        queries.append(members[:query])
        trained.append(members[query : query + train])
    queries, trained = (np.sort(np.concatenate(x)) for x in (queries, trained))
    database = np.setdiff1d(np.arange(len(targets)), queries)
    if not train_in_database:
        database = np.setdiff1d(database, trained)
    return parts(trained, queries, database)


def parts(train, query, database):
    """The index sets of a protocol, with an empty validation part.

    Args:
        train: int indices.
        query: int indices.
        database: int indices.

    Returns:
        A dict with `train`, `validation`, `query` and `database`.
    """
    return {
        "train": np.asarray(train),
        "validation": np.zeros(0, "int64"),
        "query": np.asarray(query),
        "database": np.asarray(database),
    }
