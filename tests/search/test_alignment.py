"""The second look: which photos are one, by their pixels."""

import io

import numpy as np
import pytest
from PIL import Image
from PIL import ImageDraw
from PIL import ImageEnhance
from PIL import ImageOps
from sklearn import datasets

from keras_hash.search import alignment


@pytest.fixture(scope="module")
def photos():
    """The two photos of scikit-learn."""
    found = datasets.load_sample_images().images
    return [Image.fromarray(photo) for photo in found]


def stored(photo):
    file = io.BytesIO()
    photo.save(file, "jpeg", quality=20)
    return Image.open(file)


def cropped(photo, share):
    x, y = (round(share * side / 2) for side in photo.size)
    return photo.crop((x, y, photo.width - x, photo.height - y))


def written_on(photo):
    photo = photo.copy()
    draw = ImageDraw.Draw(photo)
    draw.text((20, 30), "Summer 1998", fill="white", font_size=36)
    return photo


COPIES = {
    "stored": stored,
    "smaller": lambda photo: photo.resize((97, 61)),
    "mirrored": ImageOps.mirror,
    "grey": ImageOps.grayscale,
    "cropped": lambda photo: cropped(photo, 0.1),
    "cropped at a corner": lambda photo: photo.crop((64, 43, 640, 427)),
    "turned": lambda photo: cropped(photo.rotate(3), 0.1),
    "brighter": lambda photo: ImageEnhance.Brightness(photo).enhance(1.3),
    "written on": written_on,
    "mirrored and smaller": lambda photo: ImageOps.mirror(
        photo.resize((200, 120))
    ),
}


def thumbnail(photo):
    return alignment.Thumbnail(np.asarray(photo.convert("RGB")))


@pytest.mark.parametrize("kind", COPIES)
def test_copies(photos, kind):
    for photo in photos:
        one, other = thumbnail(photo), thumbnail(COPIES[kind](photo))
        found = alignment.correlations(one, other)
        assert alignment.is_copy(one, other), found
        # Whichever comes first.
        np.testing.assert_allclose(
            alignment.correlations(other, one), found, atol=1e-5
        )


def test_parts_of_one_photo_are_not_copies(photos):
    """As near as photos of one place can come."""
    parts = []
    for photo in photos:
        for x in (0, 213, 426):
            for y in (0, 213):
                parts.append(thumbnail(photo.crop((x, y, x + 213, y + 213))))
    taken = [
        alignment.is_copy(parts[i], parts[j])
        for i in range(len(parts))
        for j in range(i)
    ]
    assert sum(taken) == 0
    noise = np.random.RandomState(0).randint(0, 256, (2, 90, 90, 3))
    noise = [alignment.Thumbnail(x.astype("uint8")) for x in noise]
    assert not alignment.is_copy(*noise)


def test_photos_of_one_colour():
    grey, white, paper = (
        alignment.Thumbnail(np.full((40, 30, 3), level, "uint8"))
        for level in (128, 255, 254)
    )
    assert alignment.is_copy(white, paper) and not alignment.is_copy(
        white, grey
    )
    colours = np.zeros((40, 30, 3), "uint8"), np.zeros((40, 30, 3), "uint8")
    colours[0][..., 0], colours[1][..., 2] = 120, 120
    assert not alignment.is_copy(*map(alignment.Thumbnail, colours))
    edge = np.full((40, 30, 3), 255, "uint8")
    edge[:20] = 0
    assert not alignment.is_copy(white, alignment.Thumbnail(edge))
