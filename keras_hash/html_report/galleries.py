"""Queries with the images that were found for them."""

import numpy as np

from keras_hash import markup
from keras_hash.evaluation import HammingEvaluator
from keras_hash.html_report.parts import LONG
from keras_hash.html_report.parts import number
from keras_hash.html_report.parts import section
from keras_hash.markup import cut
from keras_hash.markup import tag

# Queries in each gallery, and nearest images of each.
_QUERIES, _NEAREST = 6, 10
# Longest side of a thumbnail.
_SIDE = 96


def galleries(measured):
    """Sections of the best and worst queries of what was `measured`."""
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
    best = order[: min(_QUERIES, -(-len(order) // 2))]
    worst = order[::-1][: min(_QUERIES, len(order) - len(best))]
    without = int(np.isnan(values).sum())
    text = (
        f"Each query with its {_NEAREST} nearest images: a tick and a solid "
        "frame where it shares a label, a cross and a dashed frame where it "
        "does not, and the distance. Images at equal distance come in the "
        "order of the database; AP is the average precision of the whole "
        "ranking, the mean over all such orders. Of queries with equal codes "
        "and labels one is shown."
    )
    if without:
        text += f" Queries without a relevant image ({without:,}) are left out."
    for title, chosen, id_ in (
        ("Best queries", best, "best"),
        ("Worst queries", worst, "worst"),
    ):
        inside = [tag("p", text, class_="soft")] if id_ == "best" else []
        if len(chosen):
            inside += _gallery(measured, chosen, values)
        else:
            inside.append(tag("p", "There are no others."))
        yield section(title, *inside, id_=id_)


def _gallery(measured, queries, values):
    """The rows of some queries."""
    own, others = measured.places
    distances = measured.levels(measured.codes[0][queries], measured.codes[1])
    distances = distances.astype("int64")
    if measured.drop:
        distances[own[queries][:, None] == others] = measured.bits + 1
    order = np.argsort(distances, axis=1, kind="stable")[:, :_NEAREST]
    for query, row, items in zip(queries, distances, order):
        place = own[query]
        hits = [
            _hit(measured, place, others[item], int(row[item]))
            for item in items
            if row[item] <= measured.bits
        ]
        names = measured.label_names(place)
        caption = tag(
            "figcaption",
            tag("b", names),
            tag("br"),
            "AP ",
            number("AP", values[query]),
        )
        image = _picture(measured, place, f"query: {names}")
        figure = tag("figure", image, caption, class_="query")
        yield tag("div", figure, tag("div", *hits, class_="hits"), class_="row")


def _hit(measured, query, item, distance):
    targets = measured.benchmark.targets
    right = bool(
        np.any((targets[query] == targets[item]) & _there(targets[item]))
    )
    names = measured.label_names(item)
    shares = "shares a label" if right else "shares no label"
    image = _picture(measured, item, f"{names}; distance {distance}, {shares}")
    sign = tag("b", f"{'✓' if right else '✗'} {distance}")
    caption = tag("figcaption", sign, f" {names}")
    return tag("figure", image, caption, class_="right" if right else "wrong")


def _there(target):
    """Where equal labels mean a shared one: not where both lack it."""
    return target > 0 if np.ndim(target) else True


def _picture(measured, place, text):
    """A thumbnail, or a place for one that cannot be read."""
    name = cut(measured.benchmark.ids[place], LONG)
    text = f"{name}: {text}"
    found = _thumbnail(measured.benchmark.images, place)
    if found is None:
        inside = tag("span", "no picture", role="img", aria_label=text)
    else:
        inside = markup.image(*found, text)
    return tag("div", inside, class_="picture", title=name)


def _thumbnail(images, place):
    """A data URI and a size, or `None` for what is no picture (any more)."""
    try:
        pixels = np.asarray(images[int(place)])
    except (OSError, ValueError):
        # Moved or removed since it was encoded; the others are still shown.
        return None
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        return None
    if pixels.dtype != np.uint8:
        pixels = np.nan_to_num(pixels.astype("float32"))
        pixels = np.clip(pixels, 0, 255).astype("uint8")
    return markup.picture(pixels, _SIDE)
