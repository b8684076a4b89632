"""A map of the codes, and what their bits are like."""

import io

import numpy as np

from keras_hash import codes as codes_lib
from keras_hash import figures
from keras_hash.html_report.parts import number
from keras_hash.html_report.parts import panel
from keras_hash.html_report.parts import section
from keras_hash.html_report.parts import table
from keras_hash.markup import data_uri
from keras_hash.markup import tag

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
    """The codes of the queries `measured`, on a plane."""
    count = len(measured.codes[0])
    chosen = np.random.RandomState(0).permutation(count)[:_MAPPED]
    labels = measured.multi_hot(0)[chosen]
    frequent = np.argsort(-labels.sum(axis=0), kind="stable")
    shown = [n for n in frequent if labels[:, n].any()][
        : len(figures.SHAPES) - 1
    ]
    if not measured.benchmark.multi_label:
        shown.sort()
    classes = np.full(len(chosen), len(figures.SHAPES) - 1)
    # Of several labels the least frequent one says most: it comes last.
    for place, label in enumerate(shown):
        classes[labels[:, label]] = place
    places = figures.code_places(measured.codes[0][chosen], measured.bits)
    content = io.BytesIO()
    figures.points(places, classes, content)
    keys = [
        (figures.SHAPES[place], measured.label(label))
        for place, label in enumerate(shown)
    ]
    if (classes == len(figures.SHAPES) - 1).any():
        keys.append((figures.SHAPES[-1], "others"))
    legend = [
        tag("li", tag("span", sign, style=f"color:{color}"), f" {name}")
        for (_, sign, color), name in keys
    ]
    text = (
        f"t-SNE of the distinct codes of {len(chosen):,} queries. Images with "
        "equal codes lie on one disc, whose area grows with their number; how "
        "far discs are apart says little."
    )
    if measured.benchmark.multi_label:
        text += " An image with several labels shows the least frequent one."
    return section(
        "Map of codes",
        tag("p", text, class_="soft"),
        tag(
            "figure",
            tag("ul", *legend, class_="legend"),
            tag(
                "img",
                src=data_uri("image/png", content.getvalue()),
                alt=f"Map of the codes of {len(chosen)} queries by label",
                width=660,
                height=660,
            ),
            class_="map",
        ),
        id_="map",
    )


def codes(measured):
    """How the codes `measured` use their bits."""
    metrics = measured.report.metrics
    body = [
        tag(
            "tr",
            tag("th", tag("b", name), tag("small", text), scope="row"),
            tag("td", number(key, metrics[key])),
        )
        for key, (name, text) in STATISTICS.items()
        if key in metrics
    ]
    shares, correlation = bit_statistics(measured.codes[1], measured.bits)
    panels = [
        panel(
            figures.share_panel(shares),
            f"Share of ones of each bit, from {shares.min():.2f} to "
            f"{shares.max():.2f}",
            "Share of ones of each bit; 0.5 is even",
        ),
        panel(
            figures.correlation_panel(correlation),
            "Correlation between two bits",
            "Correlation between two bits",
        ),
    ]
    return section(
        "Codes",
        table(("of the database", "value"), body),
        tag("div", *panels, class_="panels"),
        id_="codes",
    )


def bit_statistics(codes, bits):
    """How the bits of codes are used.

    Args:
        codes: packed codes `uint8 [n, ceil(bits / 8)]`.
        bits: int, code length.

    Returns:
        A pair: the share of ones of each bit, float64 `[bits]`, and the
        correlations `[bits, bits]`, 0 for constant bits.
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
