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
