"""What lies near a photo in a photo index, as an answer and as HTML.

No web server is needed here: an image file goes in, plain values come out.
`page` puts them on a page.
"""

import dataclasses
import functools
import os
import pathlib
import stat
from concurrent import futures

import numpy as np

from keras_hash.codes import pack
from keras_hash.data import images
from keras_hash.html_report import rendering
from keras_hash.html_report.rendering import cut
from keras_hash.search import asymmetric

# Images that are shown at most.
MAX_SHOWN = 100
# Bytes of a photo to search for.
MAX_BYTES = 32 << 20
# Longest side of a thumbnail, and how many are kept: 20 MB.
_SIDE, _KEPT = 192, 2048


def check_within(name, value, low, high):
    """Refuses a number that is not an int from `low` to `high`."""
    if value != int(value) or not low <= value <= high:
        raise ValueError(
            f"`{name}` should be an int from {low} to {high}. Received: {value}"
        )


@dataclasses.dataclass(frozen=True)
class Answer:
    """What lies around a photo."""

    name: str
    # Pairs of path and distance: enough for the first `MAX_SHOWN` up to any
    # distance, in the order of `PhotoIndex.search`.
    nearest: list
    # How many items there are up to each distance, `[bits + 1]`.
    within: list

    def chosen(self, k, radius):
        """The nearest `k` items up to a distance, pairs of id and distance."""
        check_within("k", k, 1, MAX_SHOWN)
        check_within("radius", radius, 0, len(self.within) - 1)
        inside = [pair for pair in self.nearest if pair[1] <= radius]
        return inside[: int(k)]


class PhotoSearch:
    """Search of a photo index by image files."""

    def __init__(self, encoder, index, real=False):
        self._encode = encoder
        if real:
            self._encode = functools.partial(encoder, real=True)
        self._photos, self._index = index, index.index
        if not len(self._index):
            raise ValueError(
                f"{index.path} is empty; fill it with `keras-hash search "
                "--images` and a folder."
            )

    @property
    def bits(self):
        """Code length: the largest radius."""
        return self._index.bits

    def __len__(self):
        return len(self._index)

    def ask(self, path, name=None):
        """An `Answer` to an image file; a ValueError says why it is none."""
        path = str(path)
        name = pathlib.Path(path).name if name is None else str(name)
        codes, reason = None, _too_large(path)
        if reason is None:
            codes, _, refused = self._encode([path])
            reason = refused.get(0)
        if reason:
            raise ValueError(
                f"{name} cannot be searched for: {reason}. Photos of up to "
                f"{MAX_BYTES >> 20} MiB can be."
            )
        packed = pack(codes) if codes.dtype.kind == "f" else codes
        _, distances, _ = self._index.range_search(packed, self.bits)
        counts = np.bincount(distances, minlength=self.bits + 1)
        (nearest,) = self._photos.search(codes, asymmetric.CANDIDATES)
        return Answer(name, nearest, np.cumsum(counts).tolist())

    def gallery(self, answer, k, radius):
        """An answer as HTML: how many images lie within, and the nearest."""
        chosen = answer.chosen(k, radius)
        with futures.ThreadPoolExecutor(images.threads()) as pool:
            pictures = list(pool.map(_picture, [item for item, _ in chosen]))
        hits = [
            {
                "path": cut(item, rendering.LONG),
                # With its folder, which often is its class.
                "name": cut("/".join(pathlib.PurePath(str(item)).parts[-2:])),
                "distance": distance,
                "picture": picture,
            }
            for (item, distance), picture in zip(chosen, pictures)
        ]
        return rendering.render(
            "app/answer.html",
            summary=_summary(answer, len(chosen), radius),
            missing=sum(picture is None for picture in pictures),
            hits=hits,
        )


def refusal(error):
    """HTML that is shown in place of an answer."""
    return rendering.render("app/refusal.html", error=error)


def _too_large(path):
    try:
        size = os.path.getsize(path)
    except OSError as error:
        return error.strerror or str(error)
    if size > MAX_BYTES:
        return f"{size / 2**20:.1f} MiB"
    return None


def _summary(answer, shown, radius):
    inside, items = answer.within[radius], answer.within[-1]
    name = cut(answer.name)
    if radius == len(answer.within) - 1:
        return f"The nearest {shown:,} of {items:,} images to {name}."
    if not inside:
        closest = answer.nearest[0][1]
        return (
            f"None of {items:,} images is at distance {radius} or less from "
            f"{name}; the nearest is at {closest}."
        )
    be = "is" if inside == 1 else "are"
    all_of_them = "" if shown == inside else f"; the nearest {shown:,} are here"
    return (
        f"{inside:,} of {items:,} images {be} at distance {radius} or less "
        f"from {name}{all_of_them}."
    )


def _picture(item):
    """A thumbnail of an indexed file, or `None`."""
    # Ids that are numbers name no file.
    if not isinstance(item, str):
        return None
    try:
        status = os.stat(item)
    except (OSError, ValueError):
        return None
    # Reading a pipe or a device could wait forever.
    if not stat.S_ISREG(status.st_mode):
        return None
    return _read_picture(item, status.st_mtime_ns, status.st_size)


@functools.lru_cache(_KEPT)
def _read_picture(path, *_):
    try:
        return rendering.picture(path, _SIDE)
    except ValueError:
        return None
