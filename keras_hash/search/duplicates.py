"""What to do with files that show the same: which to keep, move or link."""

import collections
import contextlib
import dataclasses
import errno
import filecmp
import functools
import json
import os
import shutil

from PIL import Image

from keras_hash import files
from keras_hash import progress
from keras_hash.data import images
from keras_hash.search import alignment

SAME_BYTES = "same bytes"
# Beside what was moved: one line of JSON a file, from where to where.
LIST = "moved.jsonl"


@dataclasses.dataclass(frozen=True)
class Group:
    """Files that show the same as the one that is kept."""

    keep: str
    # From the paths of the others to why, such as "same bytes".
    copies: dict


def one_name(paths):
    """Paths of different files: one of each, a link only where it is alone."""
    found = {}
    for path in sorted(paths, key=os.path.islink):
        found.setdefault(os.path.realpath(path), path)
    chosen = set(found.values())
    return [path for path in paths if path in chosen]


def same_bytes(paths):
    """From the best file of each content to the others of the same bytes."""
    by_size = collections.defaultdict(list)
    # What cannot be read is left out where photos are encoded.
    for path in paths:
        with contextlib.suppress(OSError):
            by_size[os.path.getsize(path)].append(path)
    by_content = collections.defaultdict(list)
    for size, alike in by_size.items():
        for path in alike if size and len(alike) > 1 else ():
            with contextlib.suppress(OSError):
                by_content[files.sha256(path)].append(path)
    found = {}
    for alike in by_content.values():
        best, *others = sorted(alike, key=rank)
        # Two names of one file take the room of one.
        others = [path for path in others if not os.path.samefile(best, path)]
        if others:
            found[best] = others
    return found


def groups(pairs, same, rank, fits=None, show=False):
    """What is kept, and what shows the same as that: a list of `Group`.

    Of all files in pairs, the best one is kept and what makes a pair with it
    may go; then the best one of those that are left, and so on. So nothing goes
    that is like the one kept only by way of others.

    Args:
        pairs: dict from pairs of paths to why they show the same.
        same: what `same_bytes` returned: those others are in no pairs.
        rank: function from a path to what sorts it: the least is the best.
        fits: optional function that takes a closer look at a pair, asked for no
            more pairs than it must be.
        show: as in `progress.track`, of these looks.
    """
    near = collections.defaultdict(dict)
    for (one, other), why in pairs.items():
        near[one][other] = near[other][one] = why
    left, found = {*near, *same}, []
    order = sorted(left, key=rank)
    for keep in progress.track(order, len(order), "Second look", show):
        if keep not in left:
            continue
        own = {
            path: why
            for path, why in sorted(near[keep].items())
            if path in left and (fits is None or fits(_pair(keep, path, pairs)))
        }
        left -= {keep, *own}
        copies = dict.fromkeys(same.get(keep, ()), SAME_BYTES)
        for path, why in own.items():
            copies |= dict.fromkeys([path, *same.get(path, ())], why)
        if copies:
            found.append(Group(keep, copies))
    return found


def _pair(one, other, pairs):
    """Two paths as they are in pairs."""
    return (one, other) if (one, other) in pairs else (other, one)


def second_look(likely=(), refused=None):
    """A function that says whether two files fit on each other, pixel by pixel.

    `likely` has pairs that are known to be near otherwise. `refused` gets files
    that are none any more, with reasons.
    """
    refused = {} if refused is None else refused

    @functools.lru_cache(maxsize=1 << 12)
    def thumbnail(path):
        try:
            return alignment.Thumbnail(images.decode(path))
        except ValueError as error:
            refused[path] = str(error).removeprefix(f"{path}: ")
            return None

    def fits(pair):
        first, second = map(thumbnail, pair)
        seen = first is not None and second is not None
        return seen and alignment.is_copy(first, second, pair in likely)

    return fits


def rank(path):
    """The order in which files are kept: before links to others, most pixels,
    colours before grey, then most bytes, then the oldest, then by name."""
    pixels, is_grey = 0, False
    # Damaged files can have the same bytes too.
    with contextlib.suppress(OSError, ValueError):
        small = images.thumbnail(path, 32).astype("int16")
        is_grey = bool((small.max(axis=-1) - small.min(axis=-1)).max() <= 8)
        with Image.open(path) as image:
            pixels = image.width * image.height
    status = os.stat(path)
    order = -pixels, is_grey, -status.st_size, status.st_mtime_ns, path
    return os.path.islink(path), *order


def move(paths, folder):
    """Moves files into a folder, and writes a list from which `undo` brings
    them back. A kill at any moment leaves each file in one of both places, and
    in the list. Returns how many were moved, and those that could not, with
    reasons."""
    folder, count, failed = files.local(folder), 0, {}
    paths = [os.path.abspath(path) for path in paths]
    if not paths:
        return count, failed
    above = os.path.commonpath(map(os.path.dirname, paths))
    with (
        # Two at once would choose the same free names.
        files.locked(folder / LIST),
        open(folder / LIST, "a+", encoding="utf-8") as listed,
    ):
        _sweep(folder / LIST)
        listed.seek(0)
        if (before := listed.read()) and not before.endswith("\n"):
            # A kill has cut the last line: its file was not moved.
            listed.truncate(len(before[: before.rfind("\n") + 1].encode()))
        for path in paths:
            target = _free(folder / os.path.relpath(path, above))
            # The folder itself may be moved before this is undone.
            line = {"from": path, "to": os.path.relpath(target, folder)}
            end = os.fstat(listed.fileno()).st_size
            # Before the file, so that none is moved without a line.
            listed.write(json.dumps(line) + "\n")
            listed.flush()
            os.fsync(listed.fileno())
            try:
                _rename(path, target)
                count += 1
            except OSError as error:
                failed[path] = error.strerror or str(error)
                listed.truncate(end)
    return count, failed


def _free(target):
    """A path where there is nothing, with a number where there was."""
    free, number = target, 1
    while os.path.lexists(free):
        number += 1
        free = target.with_name(f"{target.stem} ({number}){target.suffix}")
    return free


def _rename(path, target):
    """Moves a file, also to another disk: it is there before it is gone."""
    target = files.local(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(path, target)
    except OSError as error:
        if os.path.lexists(target) or not (
            os.path.islink(path) or os.path.isfile(path)
        ):
            raise
        if error.errno != errno.EXDEV:
            raise
        with files.beside(target) as new:
            shutil.copy2(path, new, follow_symlinks=False)
        try:
            os.unlink(path)
        except OSError:
            os.unlink(target)
            raise


def undo(folder):
    """Moves back what `move` has moved. Returns how many files came back, and
    those that could not, with reasons."""
    place = files.local(folder) / LIST
    _check_there(place)
    with files.locked(place):
        return _undone(place)


def _check_there(place):
    if not place.exists():
        raise ValueError(
            f"There is no {LIST} in {place.parent}: give the folder to which "
            "`keras-hash duplicates --move` has moved files."
        )


def _undone(place):
    # Who waited for another one may find that all is done.
    _check_there(place)
    _sweep(place)
    back, kept, failed = set(), [], {}
    lines = _listed(place)
    for line, path, moved in reversed(lines):
        there, here = map(os.path.lexists, (path, moved))
        if there and here and _is_copy(moved, path):
            if path in back:
                # Of two that were moved from there: the other one came back.
                failed[moved] = f"the same file is {path} again"
            else:
                # To another disk it was stopped halfway.
                os.unlink(moved)
        elif here and not there:
            try:
                _rename(moved, path)
                back.add(path)
            except OSError as error:
                kept.append(line)
                failed[moved] = error.strerror or str(error)
        elif here or not there:
            kept.append(line)
            failed[moved] = "it is not there any more"
            if there:
                failed[moved] = f"there is another {path} now"
        # Else it was stopped before it was moved, or moved back already.
    if not kept:
        place.unlink()
    elif len(kept) < len(lines):
        files.write(place, "".join(reversed(kept)))
    return len(back), failed


def _sweep(place):
    """Removes what a kill amid a move to another disk left beside files."""
    listed = []
    with contextlib.suppress(ValueError):
        listed = _listed(place) if place.exists() else []
    for folder in {os.path.dirname(p) for _, *both in listed for p in both}:
        files.sweep(folder)


def _is_copy(one, other):
    """Whether two paths are files of the same bytes, or links to one place, and
    not the same entry of a folder."""
    first, second = (
        os.path.join(os.path.realpath(folder), name)
        for folder, name in map(os.path.split, (one, other))
    )
    if first == second:
        return False
    if os.path.islink(one) or os.path.islink(other):
        links = os.path.islink(one) and os.path.islink(other)
        return links and os.readlink(one) == os.readlink(other)
    return filecmp.cmp(one, other, shallow=False)


def _listed(place):
    """The lines of a list, with the paths from where and to where."""
    found = []
    # What is not UTF-8 is no JSON either.
    text = place.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not line.endswith("\n"):
            # It was being written when its file was still there.
            continue
        try:
            paths = json.loads(line)
            files.check_shape(paths, {"from": str, "to": str}, "line")
            moved = os.path.join(place.parent, paths["to"])
            found.append((line, paths["from"], moved))
        except ValueError:
            raise ValueError(
                f"Line {number} of {place} is damaged: remove it, and move its "
                f"file back yourself. Received: {line.strip()!r}"
            ) from None
    return found


def link(found):
    """Replaces files by hard links to those of the same bytes that are kept.

    Each is compared once more before, and symbolic links, which take no room,
    stay. Returns how many were replaced, and those that could not, with
    reasons.
    """
    count, failed = 0, {}
    for one, other in found:
        if os.path.islink(other):
            continue
        try:
            if files.sha256(one) != files.sha256(other):
                failed[other] = f"it or {one} has changed"
                continue
            with files.beside(other) as new:
                os.link(os.path.realpath(one), new)
        except OSError as error:
            failed[other] = error.strerror
            continue
        count += 1
    return count, failed
