"""Queries with the images that were found for them."""

import numpy as np

from keras_hash.evaluation import HammingEvaluator
from keras_hash.html_report import rendering
from keras_hash.html_report.measured import ends

# Queries in each gallery, and nearest images of each.
_QUERIES, _NEAREST = 6, 10
# Longest side of a thumbnail.
_SIDE = 96


def galleries(measured):
    """The best and the worst queries of what was `measured`."""
    values = (
        HammingEvaluator(
            measured.codes[0],
            measured.labels[0],
            measured.bits,
            measured.similarity,
        )
        .update(measured.codes[1], measured.labels[1])
        .average_precision(
            no_relevant="skip",
            self_match=measured.settings["self_match"],
        )
    )
    # Queries with one code and one label set find the same: the first is shown.
    rows = np.concatenate(
        [measured.codes[0], np.packbits(measured.multi_hot(0), axis=1)], axis=1
    )
    first = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    first = first[~np.isnan(values[first])]
    order = first[np.argsort(-values[first], kind="stable")]
    best, worst = ends(order, _QUERIES)
    without = int(np.isnan(values).sum())
    return {
        "best": _gallery(measured, best, values),
        "worst": _gallery(measured, worst, values),
        "nearest": _NEAREST,
        "without": without,
    }


def _gallery(measured, queries, values):
    """Some queries, each with its nearest images."""
    own, others = measured.places
    distances = measured.levels(measured.codes[0][queries], measured.codes[1])
    distances = distances.astype("int64")
    shared = measured.label_matrix(0)[queries] @ measured.label_matrix(1).T
    if measured.drop:
        distances[own[queries][:, None] == others] = measured.bits + 1
    order = np.argsort(distances, axis=1, kind="stable")[:, :_NEAREST]
    found = []
    for query, row, right, items in zip(
        queries, distances, shared.toarray() > 0, order
    ):
        hits = [
            {
                **_image(measured, others[item]),
                "distance": int(row[item]),
                "right": right[item],
            }
            for item in items
            if row[item] <= measured.bits
        ]
        image = _image(measured, own[query])
        found.append({**image, "ap": values[query], "hits": hits})
    return found


def _image(measured, place):
    """An image of the pool: its name, its labels, its picture."""
    return {
        "name": measured.benchmark.ids[place],
        "labels": measured.label_names(place),
        "picture": _picture(measured.benchmark.images, place),
    }


def _picture(images, place):
    """A thumbnail, or `None` for what is not a picture (any more)."""
    try:
        pixels = np.asarray(images[int(place)])
    except (OSError, ValueError):
        # Moved or removed since it was encoded; the others are still shown.
        return None
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        return None
    return rendering.picture(np.nan_to_num(pixels), _SIDE)
