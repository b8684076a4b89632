"""The gallery of an answer: its files, gone, large or of hostile names."""

import base64
import dataclasses
import html.parser
import io
import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_hash.extras.app import answers
from keras_hash.extras.app import page
from tests.extras.app.indexes import BITS
from tests.extras.app.indexes import HOSTILE
from tests.extras.app.indexes import coded


class Elements(html.parser.HTMLParser):
    """Start tags with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag, **attributes):
        wanted = {k.rstrip("_"): v for k, v in attributes.items()}
        return [
            found
            for name, found in self.tags
            if name == tag and wanted.items() <= found.items()
        ]


@pytest.fixture
def photos(tmp_path, monkeypatch, rng):
    """60 image files, the ids of `coded`, from the folder where they are."""
    monkeypatch.chdir(tmp_path)
    pathlib.Path("photos").mkdir()
    for i in range(60):
        pixels = rng.randint(256, size=(30, 40, 3)).astype("uint8")
        Image.fromarray(pixels).save(f"photos/{i}.png")
    pathlib.Path("0").write_bytes(b"x")
    return tmp_path


def test_the_gallery_shows_the_files(photos):
    search, _, _ = coded()
    answer = search.ask("0", "holiday.jpg")
    for k, radius in ((10, BITS), (100, 5), (3, answer.nearest[0][1])):
        found = Elements(search.gallery(answer, k, radius))
        chosen = answer.chosen(k, radius)
        pictures = found.all("div", class_="picture")
        assert [each["title"] for each in pictures] == [i for i, _ in chosen]
        for (item, distance), image in zip(chosen, found.all("img")):
            assert image["alt"] == f"{item}, distance {distance}"
            kind, _, content = image["src"].partition(";base64,")
            assert kind == "data:image/png"
            np.testing.assert_array_equal(
                np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))),
                np.asarray(Image.open(item)),
            )
            assert f"{distance} {item}" in found.text
        assert len(found.all("img")) == len(chosen) and "holiday.jpg" in (
            found.text
        )
    assert f"{answer.within[radius]} of 60 images are at distance" in found.text
    closest = min(distance for _, distance in answer.nearest)
    assert closest > 0
    found = Elements(search.gallery(answer, 10, closest - 1))
    assert not found.all("img")
    assert f"None of 60 images is at distance {closest - 1}" in found.text
    assert f"the nearest is at {closest}." in found.text


def test_files_that_are_gone_or_no_images(photos):
    search, _, _ = coded()
    answer = search.ask("0")
    names = [item for item, _ in answer.chosen(8, BITS)]
    pathlib.Path(names[0]).unlink()
    pathlib.Path(names[1]).write_bytes(b"no longer an image")
    pathlib.Path(names[2]).unlink()
    pathlib.Path(names[2]).mkdir()
    pathlib.Path(names[3]).unlink()
    # Who reads it waits for a writer.
    os.mkfifo(names[3])
    found = Elements(search.gallery(answer, 8, BITS))
    assert len(found.all("img")) == 4
    there = {each["aria-label"] for each in found.all("span", role="img")}
    assert there == set(names[:4])
    assert "4 of these cannot be shown" in found.text
    assert "not here" in found.text
    # Another image at the same path is seen.
    Image.new("RGB", (8, 8), "red").save(names[1])
    found = Elements(search.gallery(answer, 8, BITS))
    (image,) = [e for e in found.all("img") if e["alt"].startswith(names[1])]
    assert (image["width"], image["height"]) == ("8", "8")
    # Ids of an index made in Python may be numbers.
    search, _, _ = coded(ids=list(range(60)))
    found = Elements(search.gallery(search.ask("0"), 8, BITS))
    assert len(found.all("span", role="img")) == 8


def test_large_files_become_thumbnails(photos):
    search, _, _ = coded()
    answer = search.ask("0")
    (name,) = [item for item, _ in answer.chosen(1, BITS)]
    x = np.linspace(0, 255, 3000).astype("uint8")
    Image.fromarray(np.tile(x[None, :, None], (2000, 1, 3))).save(
        name, "jpeg", quality=95
    )
    found = Elements(search.gallery(answer, 1, BITS))
    (image,) = found.all("img")
    assert (image["width"], image["height"]) == ("192", "128")
    kind, _, content = image["src"].partition(";base64,")
    assert kind == "data:image/jpeg" and len(content) < 20_000
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    wanted = np.linspace(0, 255, 192)[None, :, None]
    assert np.abs(shown - wanted).max() < 8


def test_more_like_an_image_that_was_found(photos):
    search, codes, queries = coded()
    answer = search.ask("0", "holiday.jpg")
    other = search.ask("0", "other.jpg")
    several = [answer, "what is wrong", other]
    found = Elements(search.galleries(several, 4, BITS))
    assert "what is wrong" in found.text
    hits = [tag["data-hit"] for tag in found.all("button")]
    assert hits == [f"{a}:{p}" for a in (0, 2) for p in range(4)]
    asked = []
    search.ask = lambda *given: asked.append(given)
    item = other.nearest[3][0]
    search.more(several, hits[7])
    assert asked == [(item, item)]
    for hit in ("0:61", "3:0", "a", "0", "", "1:0", None):
        with pytest.raises((ValueError, LookupError, AttributeError)):
            search.more(several, hit)
    # Of several photos each is shown.
    pathlib.Path("query.png").write_bytes(
        pathlib.Path("photos/1.png").read_bytes()
    )
    asked = [dataclasses.replace(answer, path="query.png"), answer]
    assert len(Elements(search.galleries(asked, 4, BITS)).all("img")) == 9
    pathlib.Path(item).unlink()
    with pytest.raises(ValueError, match="is not here any more"):
        search.more(several, hits[7])


def test_copies_in_the_index(photos, monkeypatch):
    search, codes, _ = coded()
    alike = np.flatnonzero((codes == codes[7]).all(axis=1))
    first, second, third = alike[:3]
    found = Elements(search.copies(0))
    assert "0 photos have copies" in found.text and not found.all("img")
    with Image.open(f"photos/{first}.png") as image:
        image.resize((120, 90), Image.Resampling.NEAREST).save(
            f"photos/{second}.png"
        )
    pathlib.Path(f"photos/{third}.png").unlink()
    found = Elements(search.copies(0))
    assert "1 photo has copies" in found.text
    # The larger one is kept.
    names = [found["title"] for found in found.all("div", class_="picture")]
    assert names == [f"photos/{second}.png", f"photos/{first}.png"]
    # Many of the same bytes leave room for it.
    monkeypatch.setattr(answers, "_PAIRS", 3)
    others = np.setdiff1d(np.arange(len(codes)), alike[:2])
    for item in others:
        shutil.copyfile(f"photos/{others[0]}.png", f"photos/{item}.png~")
        os.replace(f"photos/{item}.png~", f"photos/{item}.png")
    found = Elements(search.copies(0))
    assert "2 photos have copies" in found.text
    assert found.text.count("same bytes") == len(others) - 1
    with pytest.raises(ValueError, match="`radius` should be an int"):
        search.copies(BITS + 1)
    with pytest.raises(ValueError, match="Hamming"):
        coded("and")[0].copies(1)


def test_hostile_names_are_text(photos):
    ids = [f"photos/{name}/x.png" for name in HOSTILE]
    ids += [f"photos/{i}.png" for i in range(60 - len(ids))]
    search, _, _ = coded(ids=ids)
    answer = search.ask("0", HOSTILE[0])
    text = page._literal(search.gallery(answer, 100, BITS))
    text += page._literal(answers.refusal(HOSTILE[1]))
    found = Elements(text)
    assert {tag for tag, _ in found.tags} == {
        "div", "p", "figure", "figcaption", "b", "img", "span", "button",
    }  # fmt: skip
    for _, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on")]
    titles = [each["title"] for each in found.all("div", class_="picture")]
    for name in HOSTILE[:5]:
        assert f"photos/{name}/x.png" in titles
    assert "photos/\\u202eturned/x.png" in titles
    # A template would fill these in.
    assert not set("{}$`\u202e") & set(text)
