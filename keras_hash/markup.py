"""HTML of what may hold anything: names, labels and pictures made harmless."""

import base64
import html
import io
import unicodedata

# Up to this side, pixels of a picture are kept as they are.
SMALL = 48
# Elements without an end.
_VOID = {"br", "img", "meta", "source"}


class Markup(str):
    """Text that is HTML already.

    Args:
        text: str.
    """

    def __new__(cls, text):
        return super().__new__(cls, text)


def tag(name, /, *content, **attributes):
    """One element; content and attributes that are not markup are escaped.

    Args:
        name: str.
        *content: `Markup` as it is, other values as text; `None` is nothing.
        **attributes: `class_` and `http_equiv` as Python can spell them;
            `None` leaves one out.

    Returns:
        `Markup`.
    """
    start = name
    for key, value in attributes.items():
        if value is not None:
            key = key.rstrip("_").replace("_", "-")
            start += f' {key}="{_escaped(value)}"'
    if name in _VOID:
        return Markup(f"<{start}>")
    inside = "".join(_escaped(item) for item in content if item is not None)
    return Markup(f"<{start}>{inside}</{name}>")


def cut(text, length=40):
    """Text that is not longer than a page has room for.

    Args:
        text: str, or what becomes one.
        length: int, letters.

    Returns:
        str.
    """
    text = str(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def data_uri(kind, content):
    """A file inside of the page.

    Args:
        kind: str, its media type.
        content: bytes.

    Returns:
        str.
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def picture(pixels, side):
    """A small picture inside of the page.

    Args:
        pixels: `uint8 [h, w, 3]`.
        side: int, its longest side at most.

    Returns:
        A pair: a data URI, PNG up to `SMALL` pixels and JPEG above, and its
        `(width, height)`.
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    content = io.BytesIO()
    if max(image.size) <= SMALL:
        image.save(content, "png", optimize=True)
        return data_uri("image/png", content.getvalue()), image.size
    image.save(content, "jpeg", quality=85)
    return data_uri("image/jpeg", content.getvalue()), image.size


def _escaped(value):
    if isinstance(value, Markup):
        return value
    # What UTF-8 or HTML cannot hold (halves of pairs, as in file names of
    # another encoding, and control characters), and what turns the direction
    # of the text behind it, is shown as its number.
    text = "".join(
        f"\\u{ord(letter):04x}" if _is_unsafe(letter) else letter
        for letter in str(value)
    )
    return html.escape(text, quote=True)


def _is_unsafe(letter):
    if letter in "\t\n" or letter.isascii() and letter.isprintable():
        return False
    category = unicodedata.category(letter)
    turns = "\u202a" <= letter <= "\u202e" or "\u2066" <= letter <= "\u2069"
    return category in ("Cc", "Cs") or turns


def image(source, size, text):
    """An image; one of few pixels is enlarged without smoothing.

    Args:
        source: str, such as a data URI, see `picture`.
        size: a pair of ints, width and height.
        text: str, what it shows.

    Returns:
        A `Markup`.
    """
    return tag(
        "img",
        src=source,
        alt=text,
        width=size[0],
        height=size[1],
        class_="tiny" if max(size) <= SMALL else None,
    )
