"""Pictures of retrieval: what is drawn, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from keras_hash import figures


def test_gallery_frames(tmp_path, rng):
    images = rng.randint(0, 256, (2, 8, 8, 3)).astype("uint8")
    neighbours = rng.randint(0, 256, (2, 3, 8, 8, 3)).astype("uint8")
    relevant = np.array([[True, True, False], [True, False, False]])
    path = tmp_path / "gallery.png"
    figures.gallery(
        images, neighbours, np.zeros((2, 3), int), relevant, path, title="t"
    )
    pixels = np.array(Image.open(path).convert("RGB")).reshape(-1, 3)
    for color, expected in ((figures.RIGHT, 3), (figures.WRONG, 3)):
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (pixels == rgb).all(axis=1).sum() > 50 * expected
    with pytest.raises(ValueError, match="should agree"):
        figures.gallery(images, neighbours, np.zeros((2, 4)), relevant, path)


def test_found_files_are_drawn(tmp_path, digit_files):
    queries = sorted(digit_files.glob("query*.png"))[:2]
    photos = sorted(digit_files.glob("photos/*/*.png"))
    found = [[(photos[0], 0), ("gone/away.png", 3)], []]
    path = tmp_path / "found.png"
    figures.found_files(queries, found, path, title="a title")
    pixels = np.array(Image.open(path).convert("L"))
    assert 0.05 < (pixels < 40).mean() < 0.8
    with pytest.raises(ValueError, match="should agree"):
        figures.found_files(queries, found[:1], path)
