"""Templates, filled with what may hold anything: names, labels, pictures."""

import base64
import io
import math
import re

import jinja2
from PIL import Image

from keras_hash import figures
from keras_hash.data import images

# Letters of a name that has a line to itself.
LONG = 200
# Up to this side, pixels of a picture are kept as they are.
_SMALL = 48
# What UTF-8 or HTML cannot hold (halves of pairs, as in file names of another
# encoding, and control characters), and what turns the direction of the text
# behind it.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]"
)


def render(template, **values):
    """The text of a file in `templates/`; every value in it is escaped."""
    return _TEMPLATES.get_template(template).render(values)


def cut(text, length=40):
    """Text that is not longer than a page has room for."""
    text = str(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def data_uri(kind, content):
    """Bytes of a media type as an address that holds them."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def picture(source, side):
    """Attributes of an `img` that shows a file or pixels, made small.

    Up to `_SMALL` pixels it is a PNG, which the page enlarges without
    smoothing, and above a JPEG.
    """
    image = Image.fromarray(images.thumbnail(source, side))
    tiny = max(image.size) <= _SMALL
    kind = "png" if tiny else "jpeg"
    content = io.BytesIO()
    # Each format takes the option that it knows.
    image.save(content, kind, optimize=tiny, quality=85)
    return {
        "src": data_uri(f"image/{kind}", content.getvalue()),
        "width": image.width,
        "height": image.height,
        "class": "tiny" if tiny else None,
    }


def _spelled(value):
    """What a template prints: unsafe letters as their numbers."""
    if value is None:
        return ""
    if hasattr(value, "__html__"):
        # From a macro, where it was spelled and escaped.
        return value
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", str(value))


def _rounded(value, name):
    """The metric of that name, as people read it."""
    if not math.isfinite(value):
        return "none"
    if name.startswith("unique_codes"):
        return f"{value:,.0f}"
    return f"{value:.4f}"


def _in_ink(svg, ink=figures.INK):
    """An SVG whose axes and letters have a colour, as an address."""
    return data_uri("image/svg+xml", svg.replace(figures.INK, ink).encode())


_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("keras_hash.html_report"),
    autoescape=True,
    finalize=_spelled,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals["LONG"] = LONG
_TEMPLATES.filters.update(
    cut=cut,
    in_ink=_in_ink,
    rounded=_rounded,
    thousands="{:,}".format,
)
