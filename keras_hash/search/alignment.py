"""Whether two photos are one: how well the pixels of one fit on the other.

Codes tell what may be a copy, and photos of one series have codes as near as
copies do. So the grey values of one photo, made small, are laid over those of
the other, whole and as parts of it, mirrored and turned a little; a copy
correlates at one of these places, in what is bright and in its finer detail.
"""

import numpy as np
from PIL import Image
from PIL import ImageFilter

SIDE = 32
# A copy correlates so well, and so well without its coarsest parts; or so where
# the perceptual hash says the same. tools/bench/duplicates.py measures it.
LEAST, LEAST_IF_LIKELY = (0.93, 0.8), (0.83, 0.64)
# Photos whose grey values differ less have nothing to be laid over each other.
_FLAT = 1.0
# Parts by their share of the side, and turns in degrees at the middle share.
_SHARES = (1.0, 0.94, 0.88, 0.82)
_TURNS = (-5, -2.5, 2.5, 5)


class Thumbnail:
    """Pixels `uint8 [h, w, 3]` as they are compared: small, whole and parts."""

    def __init__(self, source):
        self.colour = source.reshape(-1, 3).mean(axis=0)
        image = Image.fromarray(source).convert("L")
        image = image.resize((2 * SIDE, 2 * SIDE), Image.Resampling.BOX)
        self.planes = _planes(image, SIDE)
        self.is_flat = self.planes[0].std() < _FLAT
        self.parts = {}
        for share in _SHARES:
            side = round(share * SIDE)
            made = [_planes(image, side)]
            if share == _SHARES[2]:
                made += [_planes(_turned(image, turn), side) for turn in _TURNS]
            made += [plane[:, :, ::-1] for plane in made]
            self.parts[side] = _unit(np.stack(made, axis=1))


def _planes(image, side):
    """Grey values, and these less their surroundings, `[2, side, side]`."""
    image = image.resize((side, side), Image.Resampling.BILINEAR)
    blurred = image.filter(ImageFilter.GaussianBlur(SIDE / 12))
    whole = np.asarray(image, "float32")
    return np.stack([whole, whole - np.asarray(blurred, "float32")])


def _turned(image, degrees):
    """A photo turned, without the corners that come in."""
    cut = round(0.06 * image.width)
    box = cut, cut, image.width - cut, image.height - cut
    return image.rotate(degrees, Image.Resampling.BILINEAR).crop(box)


def _unit(planes):
    """Rows of pixels less their mean, of length 1; rows of one value are 0."""
    rows = planes.reshape(*planes.shape[:-2], -1)
    rows = rows - rows.mean(axis=-1, keepdims=True)
    size = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.maximum(size, 0.5 * rows.shape[-1] ** 0.5)


def correlations(one, other):
    """The best correlation of two `Thumbnail`s, in brightness and, there, in
    detail: two floats up to 1."""
    best = -1.0, -1.0
    for whole, part in ((one, other), (other, one)):
        for side, templates in part.parts.items():
            windows = np.lib.stride_tricks.sliding_window_view(
                whole.planes, (side, side), axis=(1, 2)
            )
            windows = _unit(windows.reshape(2, -1, side, side))
            found = windows @ templates.transpose(0, 2, 1)
            place = np.unravel_index(found.min(axis=0).argmax(), found[0].shape)
            best = max(best, tuple(found[:, *place].tolist()), key=min)
    return best


def is_copy(one, other, is_likely=False):
    """Whether one of two `Thumbnail`s shows the photo of the other, more easily
    so where that is likely before."""
    if one.is_flat or other.is_flat:
        near = np.abs(one.colour - other.colour).max() < 3
        return bool(near and one.is_flat and other.is_flat)
    found = correlations(one, other)
    least = LEAST_IF_LIKELY if is_likely else LEAST
    return all(value >= low for value, low in zip(found, least))
