"""What is no image is told from those around it."""

import numpy as np
import pytest

from keras_hash.zoo import encoder as encoding
from tests.extras.corpus.inputs import huge
from tests.extras.corpus.inputs import png
from tests.extras.corpus.outputs import NAME


@pytest.fixture(scope="module")
def encoder():
    return encoding.FileEncoder(NAME)


@pytest.mark.parametrize("bad", [(), (0,), (6,), (1, 2, 5), range(7)])
def test_bad_images_are_found_among_good_ones(images, encoder, bad):
    contents = [png(image) for image in images[0][:7]]
    for place, place_in in enumerate(bad):
        contents[place_in] = [b"no image at all, but long enough", huge()][
            place % 2
        ]
    codes, kept, refused = encoder(contents)
    good = [place for place in range(7) if place not in bad]
    assert kept == good and sorted(refused) == sorted(bad)
    np.testing.assert_array_equal(codes, images[1][good])
    for place, reason in refused.items():
        huge_one = contents[place] == huge()
        wanted = "pixels, above" if huge_one else "not an image of a known kind"
        assert wanted in reason


def test_one_bad_image_costs_no_call(images, encoder, monkeypatch):
    sizes = []
    network = encoder._encode

    def counted(batch, *settings):
        sizes.append(len(batch))
        return network(batch, *settings)

    monkeypatch.setattr(encoder, "_encode", counted)
    contents = [png(images[0][0])] * 64
    contents[37] = b"bad"
    codes, kept, refused = encoder(contents)
    assert len(codes) == len(kept) == 63 and list(refused) == [37]
    assert sizes == [63]
    sizes.clear()
    codes, kept, refused = encoder([])
    assert codes.shape == (0, 4) and not kept and not refused and not sizes
