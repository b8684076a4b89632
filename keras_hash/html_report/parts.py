"""What the sections of the page are made of."""

import math

from keras_hash import figures
from keras_hash.markup import cut
from keras_hash.markup import data_uri
from keras_hash.markup import tag

# Letters of a name that has a line to itself.
LONG = 200


def section(title, *content, id_):
    """A part of the page: `title`, then `content`; links name it by `id_`."""
    return tag("section", tag("h2", title), *content, id_=id_)


def number(name, value):
    """The figure `value` of that name: rounded, every digit in its value."""
    if not math.isfinite(value):
        text = "none"
    elif name.startswith("unique_codes"):
        text = f"{value:,.0f}"
    else:
        text = f"{value:.4f}"
    return tag("data", text, value=repr(float(value)), title=name)


def facts(pairs):
    """A list of `pairs`, name and value; those without a value are left out."""
    rows = [
        tag("div", tag("dt", name), tag("dd", cut(value, LONG)))
        for name, value in pairs
        if value not in (None, "")
    ]
    return tag("dl", *rows, class_="facts")


def table(titles, body, class_=None):
    """A table in a box of its own, which scrolls.

    Args:
        titles: names of the columns; the first is that of the rows.
        body: elements `tr`.
        class_: optional str.

    Returns:
        `Markup`.
    """
    first, *others = titles
    head = [tag("th", first, class_="left", scope="col")]
    head += [tag("th", title, scope="col") for title in others]
    inside = tag(
        "table",
        tag("thead", tag("tr", *head)),
        tag("tbody", *body),
        class_=class_,
    )
    # So that it can be scrolled from a keyboard.
    return tag("div", inside, class_="box", tabindex="0")


def panel(svg, alt, caption):
    """A chart: `svg` as text, `alt` for those who cannot see it, `caption`."""
    return tag("figure", _svg(svg, alt), tag("figcaption", caption))


def _svg(svg, alt):
    """An SVG in the colours of both themes."""

    def source(ink):
        content = svg.replace(figures.INK, ink).encode()
        return data_uri("image/svg+xml", content)

    return tag(
        "picture",
        tag(
            "source",
            media="(prefers-color-scheme: dark)",
            srcset=source("#a3adb8"),
        ),
        tag("img", src=source(figures.INK), alt=alt, width=360, height=290),
    )
