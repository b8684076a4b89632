"""A map of the codes, and what their bits are like."""

import io

import numpy as np

from keras_hash import codes as codes_lib
from keras_hash import figures
from keras_hash.html_report.rendering import data_uri

# Items on the map of codes: t-SNE takes seconds.
_MAPPED = 1500
STATISTICS = {
    "unique_codes": ("distinct codes", "in the database"),
    "largest_bucket": (
        "largest bucket",
        "share of the database with the most frequent code",
    ),
    "code_entropy": ("entropy", "of the code of an image, in bits"),
    "bit_balance": (
        "bit balance",
        "mean of |share of ones - share of zeros|: 0 is even, 1 is constant",
    ),
    "bit_correlation": (
        "bit correlation",
        "mean absolute correlation of two bits: 0 is independent",
    ),
}


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
    metrics = measured.report.metrics
    shares, correlation = bit_statistics(measured.codes[1], measured.bits)
    return {
        "rows": [(k, *STATISTICS[k]) for k in STATISTICS if k in metrics],
        "fewest": shares.min(),
        "most": shares.max(),
        "shares": figures.share_panel(shares),
        "correlation": figures.correlation_panel(correlation),
    }


def bit_statistics(codes, bits):
    """The share of ones of each bit `[bits]`, correlations `[bits, bits]`.

    Those of constant bits are 0.
    """
    first, _, counts = codes_lib.group(codes)
    ones, pairs = np.zeros(bits), np.zeros((bits, bits))
    for low in range(0, len(first), 1 << 14):
        rows = slice(low, low + (1 << 14))
        part = codes_lib.unpack(codes[first[rows]], bits) > 0
        part = part.astype("float64")
        weighted = part * counts[rows, None]
        ones += weighted.sum(axis=0)
        pairs += weighted.T @ part
    ones, pairs = ones / len(codes), pairs / len(codes)
    covariance = pairs - np.outer(ones, ones)
    spread = np.sqrt(np.maximum(np.diag(covariance), 0))
    scale = np.outer(spread, spread)
    return ones, covariance / np.where(scale > 1e-12, scale, np.inf)
