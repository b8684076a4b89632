"""The one walk over folders: which files in them are images, in which order."""

import collections
import os
import re

from keras_hash import files
from keras_hash.data import headers

# Names of image files end in one of these, in any case.
KINDS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WebP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "HEIF": (".heic", ".heif", ".hif"),
    "AVIF": (".avif",),
}
_ENDINGS = sum(KINDS.values(), ())
# What file managers and archives leave behind, beside names with a dot first.
_CLUTTER = {"thumbs.db", "desktop.ini", "@eadir", "__macosx"}
HIDDEN, NO_IMAGE = "hidden", "not an image"


def refused(name):
    """Why a file or folder of this name is left out, or `None`."""
    if name.startswith(".") or name.lower() in _CLUTTER:
        return HIDDEN
    return None


def refused_file(name):
    """Why a file of this name is left out, or `None`."""
    ends_well = name.lower().endswith(_ENDINGS)
    return refused(name) or (None if ends_well else NO_IMAGE)


def walk(folder, names=None, depth=None):
    """The image files in and below a folder, sorted, and a dict from paths
    that are left out to reasons. `names` are those of the folders in it that
    count, all by default; `depth` says how far below it they may lie.

    Linked files and folders count as if they lay there. A folder is entered
    once, under its own path before that of a link to it.
    """
    root = files.local(folder)
    above = os.path.realpath(root)
    found, left_out, seen = [], {}, set()
    waiting, linked = [root], []
    while waiting or linked:
        place = waiting.pop() if waiting else linked.pop(0)
        real = os.path.realpath(place)
        # What holds the folder leads back to it.
        if real in seen or (seen and os.path.commonpath([real, above]) == real):
            left_out[place] = "repeated link"
            continue
        seen.add(real)
        try:
            inside = sorted(os.listdir(place))
        except OSError as error:
            left_out[place] = error.strerror
            continue
        for path in (place / name for name in inside):
            if path.parts[0] == "~":
                # In the working folder, not the home folder.
                path = path.absolute()
            if os.path.isdir(path) and not refused(path.name):
                level = len(path.parts) - len(root.parts)
                if depth is not None and level > depth:
                    continue
                if names is None or place != root or path.name in names:
                    (linked if path.is_symlink() else waiting).append(path)
            elif reason := _refused(path):
                left_out[path] = reason
            else:
                found.append(path)
    return sorted(found), dict(sorted(left_out.items()))


def _refused(path):
    """Why what is no folder to be entered is left out, or `None`."""
    if refused(path.name):
        return refused(path.name)
    if not os.path.exists(path):
        return "broken link"
    if not os.path.isfile(path):
        return "not a file"
    nameless = not os.path.splitext(path.name)[1]
    return None if nameless and _begins_well(path) else refused_file(path.name)


def _begins_well(path):
    """Whether a file, whose name has no ending, begins as images do."""
    try:
        with open(path, "rb") as file:
            return headers.is_image(file.read(12))
    except OSError:
        return False


def images(places):
    """The files given, whatever their names, and the images in folders given,
    as str, and a dict from what was left out to reasons."""
    paths, left_out = [], {}
    for place in map(files.local, places):
        if not place.exists():
            raise ValueError(f"No such file: {place}")
        found, others = walk(place) if place.is_dir() else ([place], {})
        paths += found
        left_out |= others
    if not paths:
        why = f"; left out: {by_reason(left_out)}" if left_out else ""
        raise ValueError(
            f"There are no images in {' '.join(map(str, places))}{why}."
        )
    return list(dict.fromkeys(map(str, paths))), left_out


def by_reason(left_out):
    """How many were left out by kind and why, in one line: `"12 .txt (not an
    image), 3 hidden, 1 broken link"`. A reason may end with what is said of
    one file alone."""
    kinds = collections.Counter()
    for name, reason in left_out.items():
        kind = re.split(r":| as |, ", reason)[0]
        if kind == NO_IMAGE:
            ending = os.path.splitext(name)[1].lower() or "without an ending"
            kind = f"{ending} ({NO_IMAGE})"
        kinds[kind] += 1
    return ", ".join(
        f"{count} {kind}{'s' if count > 1 and kind.endswith('link') else ''}"
        for kind, count in kinds.most_common()
    )
