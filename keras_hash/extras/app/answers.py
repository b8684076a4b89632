"""What lies near a photo in a photo index, as an answer and as HTML.

No web server is needed here: an image file goes in, plain values come out.
`page` puts them on a page.
"""

import copy
import dataclasses
import functools
import os
import pathlib
import stat
from concurrent import futures

import numpy as np

from keras_hash.codes import pack
from keras_hash.data import images
from keras_hash.html_report import copies
from keras_hash.html_report import rendering
from keras_hash.html_report.rendering import cut
from keras_hash.search import asymmetric
from keras_hash.search import duplicates

# Images that are shown at most, and photos that are asked for at once.
MAX_SHOWN, MAX_ASKED = 100, 12
# Pairs of near codes whose pixels are compared, the nearest first: 10 seconds;
# and those after which no more are looked for.
_PAIRS, _MOST = 5000, 50_000_000
# Bytes of a photo to search for.
MAX_BYTES = 32 << 20
# Longest side of a thumbnail, and how many are kept: 20 MB.
_SIDE, _KEPT = 192, 2048


def check_within(name, value, low, high):
    """Refuses a number that is not an int from `low` to `high`."""
    # NaN is at no end of a range.
    if not low <= value <= high or value != int(value):
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
    # Of the photo that was asked for.
    path: str = ""

    def chosen(self, k, radius):
        """The nearest `k` items up to a distance, pairs of id and distance."""
        return [self.nearest[place] for place in self.places(k, radius)]

    def places(self, k, radius):
        """Where these are in `nearest`."""
        check_within("k", k, 1, MAX_SHOWN)
        check_within("radius", radius, 0, len(self.within) - 1)
        far = enumerate(distance for _, distance in self.nearest)
        return [place for place, level in far if level <= radius][: int(k)]


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
        return Answer(name, nearest, np.cumsum(counts).tolist(), path)

    def more(self, asked, hit):
        """An `Answer` to an image that was found, by its place: that of an
        answer among those that are shown, and its own there."""
        try:
            number, place = map(int, str(hit).split(":"))
            item, _ = asked[number].nearest[place]
        except (ValueError, LookupError, AttributeError) as error:
            raise ValueError("That image is not shown any more.") from error
        if not _is_file(item):
            raise ValueError(f"{cut(item)} is not here any more.")
        return self.ask(item, "/".join(pathlib.PurePath(item).parts[-2:]))

    def copies(self, radius):
        """Groups of files whose codes are so near and whose pixels fit."""
        check_within("radius", radius, 0, self.bits)
        items = {self._photos.place(i): i for i in self._index.ids.tolist()}
        # All pairs of many files of the same bytes would hide the others.
        same = duplicates.same_bytes(list(filter(_is_file, items)))
        index = copy.copy(self._index)
        index.remove([items[p] for others in same.values() for p in others])
        near, seen, pairs = [], 0, {}
        for block in index.pairs(int(radius)):
            order = np.argsort(block[2], kind="stable")[:_PAIRS]
            near += zip(*(side[order].tolist() for side in block))
            near = sorted(near, key=lambda pair: pair[2])[:_PAIRS]
            seen += len(block[2])
            if seen > _MOST:
                break
        for *items, far in near:
            paths = tuple(self._photos.place(item) for item in items)
            if all(map(_is_file, paths)):
                pairs[paths] = f"{far} bits differ"
        rank, fits = functools.cache(duplicates.rank), duplicates.second_look()
        found = duplicates.groups(pairs, same, rank, fits)
        return rendering.render(
            "app/copies.html",
            groups=copies.shown(found[:MAX_SHOWN]),
            count=len(found),
            more=seen > _PAIRS,
        )

    def galleries(self, asked, k, radius):
        """Answers, or texts of what was wrong, as HTML one after the other."""
        return "".join(
            refusal(one)
            if isinstance(one, str)
            else self.gallery(one, k, radius, number, len(asked) > 1)
            for number, one in enumerate(asked)
        )

    def gallery(self, answer, k, radius, number=0, query=False):
        """An answer as HTML: how many images lie within, and the nearest; with
        the `query` itself. `number` is its place among others."""
        places = answer.places(k, radius)
        chosen = [answer.nearest[place] for place in places]
        with futures.ThreadPoolExecutor(images.threads()) as pool:
            pictures = list(pool.map(_picture, [item for item, _ in chosen]))
        hits = [
            {
                "path": cut(item, rendering.LONG),
                # With its folder, which often is its class.
                "name": cut("/".join(pathlib.PurePath(str(item)).parts[-2:])),
                "distance": distance,
                "picture": picture,
                "hit": f"{number}:{place}" if _is_file(item) else None,
            }
            for place, (item, distance), picture in zip(
                places, chosen, pictures
            )
        ]
        return rendering.render(
            "app/answer.html",
            summary=_summary(answer, len(chosen), radius),
            missing=sum(picture is None for picture in pictures),
            hits=hits,
            query=_picture(answer.path) if query else None,
            name=cut(answer.name),
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
        # Real codes may order them otherwise.
        closest = min(far for _, far in answer.nearest)
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
    if not _is_file(item):
        return None
    status = os.stat(item)
    return _read_picture(item, status.st_mtime_ns, status.st_size)


def _is_file(item):
    """Whether an id names a file: reading a pipe could wait forever."""
    try:
        return isinstance(item, str) and stat.S_ISREG(os.stat(item).st_mode)
    except (OSError, ValueError):
        return False


@functools.lru_cache(_KEPT)
def _read_picture(path, *_):
    try:
        return rendering.picture(path, _SIDE)
    except ValueError:
        return None
