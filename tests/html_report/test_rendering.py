"""Templates: nothing that is filled in can be markup, or break the text."""

import configparser
import html
import pathlib
import unicodedata

import jinja2
import pytest

from keras_hash import html_report
from keras_hash.html_report import rendering

TEMPLATES = pathlib.Path(html_report.__file__).parent / "templates"
# What embeds, overrides or isolates a direction.
TURNS = ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")


def is_unsafe(letter):
    """Whether it breaks UTF-8 or HTML, or turns the text behind it."""
    if unicodedata.bidirectional(letter) in TURNS:
        return True
    return letter not in "\t\n" and unicodedata.category(letter) in ("Cc", "Cs")


def test_every_letter_is_itself_or_its_number():
    letters = [chr(number) for number in range(0x10000)]
    text = rendering.render("app/heading.html", title="".join(letters))
    assert text.encode().decode() == text
    inside = text.partition("<p>")[2].partition("</p>")[0]
    assert not set("<>\"'") & set(inside)
    assert html.unescape(inside) == "".join(
        f"\\u{ord(letter):04x}" if is_unsafe(letter) else letter
        for letter in letters
    )


def test_what_a_template_lacks_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="title"):
        rendering.render("app/heading.html")


def test_the_package_holds_all_templates():
    settings = configparser.ConfigParser()
    settings.read(pathlib.Path(__file__).parents[2] / "setup.cfg")
    folder = TEMPLATES.parent
    globs = settings["options.package_data"]["keras_hash.html_report"].split()
    packed = {path for glob in globs for path in folder.glob(glob)}
    assert packed == {p for p in TEMPLATES.rglob("*") if p.is_file()}
