"""The order of found items by the distance of their features."""

import numpy as np
from keras import ops

from keras_hash.codes import as_array


def check(rerank, queries, items):
    """The pair that `Index.search` takes: features of queries and of items."""
    if not isinstance(rerank, (tuple, list)) or len(rerank) != 2:
        raise ValueError(
            "`rerank` should be a pair: features of the queries, and "
            "features of the items or a function from ids to them. "
            f"Received: rerank of type {type(rerank).__name__}"
        )
    asked, source = as_array(rerank[0], "rerank[0]", "float32"), rerank[1]
    if asked.ndim != 2 or len(asked) != queries:
        raise ValueError(
            f"`rerank[0]` should be features [{queries}, d], one a query. "
            f"Received: rerank[0].shape={asked.shape}"
        )
    if not (np.abs(asked) < 1e18).all():
        raise ValueError(
            "`rerank[0]` should be finite, and below 1e18. "
            f"Received: {asked.ravel()[np.argmax(np.abs(asked))]}"
        )
    if not callable(source):
        # Not copied where rows can be asked for: it may be a memory map. A
        # frame gives columns, and tensors want indices of their own.
        frame = hasattr(source, "iloc") or ops.is_tensor(source)
        if hasattr(source, "toarray"):
            raise ValueError(
                "`rerank[1]` should be a dense array, `features.toarray()`. "
                "Received: a sparse one"
            )
        if frame or not hasattr(source, "shape"):
            source = as_array(source, "rerank[1]")
        _check_features(source, items, asked.shape[1])
    return asked, source


def nearest(asked, source, places, ids, k, floats=1 << 24):
    """The k nearest of the items at `places`, ties in the order given.

    `floats` of features are held at a time. Returns distances and places.
    """
    found = np.empty((len(places), k), "float32")
    order = np.empty((len(places), k), "int64")
    width = asked.shape[1]
    rows = max(1, floats // max(1, places.shape[1] * width))
    for start in range(0, len(places), rows):
        part = slice(start, start + rows)
        wanted, inverse = np.unique(places[part], return_inverse=True)
        if callable(source):
            features = as_array(source(ids[wanted]), "rerank[1]")
            _check_features(features, len(wanted), width)
        else:
            features = np.asarray(source[wanted])
        features = features.astype("float32")[inverse]
        # The square of a larger one has no place in float32.
        if not (np.abs(features) < 1e18).all():
            raise ValueError(
                "`rerank[1]` should be finite, and below 1e18. Received: "
                f"{features.ravel()[np.argmax(np.abs(features))]}"
            )
        features = features.reshape(*places[part].shape, width)
        features -= asked[part, None]
        distances = np.sqrt(np.einsum("qcd,qcd->qc", features, features))
        best = np.argsort(distances, axis=1, kind="stable")[:, :k]
        found[part] = np.take_along_axis(distances, best, axis=1)
        order[part] = np.take_along_axis(places[part], best, axis=1)
    return found, order


def _check_features(features, count, width):
    kind = getattr(features, "dtype", np.dtype("O"))
    if getattr(kind, "kind", "f") not in "biufOV":
        raise ValueError(
            f"`rerank[1]` should hold numbers. Received: dtype={kind}"
        )
    if tuple(features.shape) != (count, width):
        raise ValueError(
            f"`rerank[1]` should be, or return, features [{count}, {width}], "
            "one an item, of the width of the queries' features. "
            f"Received: shape={tuple(features.shape)}"
        )
