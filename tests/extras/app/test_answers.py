"""Answers to a photo: those of brute force, or one clear message."""

import io

import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash.extras.app import answers
from keras_hash.zoo import encoder as encoding
from tests.extras.app.indexes import BITS
from tests.extras.app.indexes import NAME
from tests.extras.app.indexes import coded
from tests.extras.app.indexes import stored
from tests.extras.app.uploads import png_header


@pytest.mark.parametrize("similarity", ["hamming", "and"])
def test_answers_are_those_of_brute_force(similarity, tmp_path):
    search, codes, queries = coded(similarity)
    assert search.bits == BITS and len(search) == 60
    for number in range(5):
        path = tmp_path / str(number)
        path.write_bytes(b"an image, says the encoder")
        answer = search.ask(path)
        assert answer.name == str(number)
        query = np.unpackbits(queries[number])[:BITS]
        items = np.unpackbits(codes, axis=1)[:, :BITS]
        if similarity == "and":
            distances = BITS - (items & query).sum(axis=1)
        else:
            distances = (items != query).sum(axis=1)
        order = sorted(range(60), key=lambda i: (distances[i], i))
        wanted = [(f"photos/{i}.png", distances[i]) for i in order]
        for radius in range(BITS + 1):
            inside = [pair for pair in wanted if pair[1] <= radius]
            assert answer.within[radius] == len(inside)
            for k in (1, 7, answers.MAX_SHOWN):
                assert answer.chosen(k, radius) == inside[:k]
    for k, radius in ((0, 1), (101, 1), (1, -1), (1, BITS + 1), (1, 0.5)):
        with pytest.raises(ValueError, match="should be an int from"):
            answer.chosen(k, radius)


def test_no_more_than_a_thousand_are_kept(tmp_path):
    search, _, _ = coded(count=3000)
    (tmp_path / "0").write_bytes(b"x")
    answer = search.ask(tmp_path / "0")
    assert len(answer.nearest) == 1000 and answer.within[-1] == 3000
    assert len(answer.chosen(100, BITS)) == 100
    with pytest.raises(ValueError, match=r"my.index is empty; fill it"):
        coded(count=0)


@pytest.fixture(scope="module")
def encoder():
    return encoding.FileEncoder(NAME)


def test_what_is_no_image_is_one_clear_message(encoder, tmp_path, digits):
    codes = keras_hash.load(NAME).encode(digits.arrays("database")[0][:20])
    photos = stored(keras_hash.Index(30, codes), int)
    search = answers.PhotoSearch(encoder, photos)
    good = io.BytesIO()
    Image.fromarray(digits.arrays("database")[0][0]).save(good, "png")
    other = io.BytesIO()
    Image.new("RGB", (32, 32)).save(other, "ppm")
    cases = {
        "notes.png": (b"about cats " * 9, "not an image of a known kind"),
        "empty.png": (b"", "empty file"),
        "cut.png": (good.getvalue()[:60], "damaged"),
        "huge.png": (png_header(60_000, 60_000), "pixels"),
        "large.png": (png_header(6000, 6000), "6000x6000 pixels, above"),
        "photo.ppm": (other.getvalue(), "not an image of a known kind"),
    }
    for name, (content, reason) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError) as error:
            search.ask(path)
        text = str(error.value)
        assert text.startswith(f"{name} cannot be searched for: "), text
        assert reason in text and text.endswith("of up to 32 MiB can be.")
    path = tmp_path / "long.png"
    with open(path, "wb") as file:
        file.write(good.getvalue())
        file.truncate(answers.MAX_BYTES + 1)
    with pytest.raises(ValueError, match="long.png cannot .*: 32.0 MiB"):
        search.ask(path)
    with pytest.raises(ValueError, match="No such file"):
        search.ask(tmp_path / "gone.png")
    # And an image that is one finds itself.
    path.write_bytes(good.getvalue())
    assert search.ask(path).nearest[0] == (0, 0)
