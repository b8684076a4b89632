"""A map of the codes, and what their bits are like."""

import io

import numpy as np

from keras_hash import figures
from keras_hash.evaluation import diagnostics
from keras_hash.evaluation import metrics
from keras_hash.html_report.rendering import data_uri

# Items on the map of codes: t-SNE takes seconds.
_MAPPED = 1500


def code_map(measured):
    """The codes of the queries on a plane, with a legend."""
    count = len(measured.codes[0])
    chosen = np.random.RandomState(0).permutation(count)[:_MAPPED]
    labels = measured.multi_hot(0)[chosen]
    frequent = np.argsort(-labels.sum(axis=0), kind="stable")
    rest = len(figures.SHAPES) - 1
    shown = [n for n in frequent if labels[:, n].any()][:rest]
    if not measured.benchmark.multi_label:
        shown.sort()
    classes = np.full(len(chosen), rest)
    # Of several labels the least frequent one says most: it comes last.
    for place, label in enumerate(shown):
        classes[labels[:, label]] = place
    places = figures.code_places(measured.codes[0][chosen], measured.bits)
    content = io.BytesIO()
    figures.points(places, classes, content)
    names = [measured.label(label) for label in shown]
    keys = list(zip(figures.SHAPES, names))
    if (classes == rest).any():
        keys.append((figures.SHAPES[rest], "others"))
    return {
        "count": len(chosen),
        "legend": [(sign, color, name) for (_, sign, color), name in keys],
        "source": data_uri("image/png", content.getvalue()),
    }


def codes(measured):
    """How the codes of the database use their bits."""
    found = diagnostics.code_statistics(measured.codes[1], measured.bits)
    known = {key: metrics.describe(key) for key in measured.report.metrics}
    return {
        "rows": [
            (key, each.title, each.text)
            for key, each in known.items()
            if each.row.source == "codes"
        ],
        "fewest": found.ones.min(),
        "most": found.ones.max(),
        "shares": figures.share_panel(found.ones),
        "correlation": figures.correlation_panel(found.correlation),
    }
