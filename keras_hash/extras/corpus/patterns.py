"""Files by patterns of their names, on every file system alike."""

import os
import re

from keras_hash.extras.corpus import filesystems

_WILD = re.compile(r"[*?\[]")
_PIECES = re.compile(r"(\*\*/|\*\*|\*|\?|\[[^]]+\])")
_KINDS = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def found(pattern, in_folder):
    """The files that a pattern names; hidden ones only by their whole name.

    Args:
        pattern: str, `**/` for any folders or none, `*` and `?` for parts of a
            name, `[ab]` or `[!ab]` for one character; or the path of a file or
            of a folder (elsewhere than on this machine it ends with `/`).
        in_folder: function from the path of a file to bool: whether a folder
            stands for it.

    Returns:
        A pair: the folder that the pattern starts with, `""` for the current
        one, and a dict from paths to sizes in bytes.
    """
    wild = _WILD.search(pattern)
    if not wild and (pattern.endswith("/") or _is_folder(pattern)):
        base, matches = pattern.rstrip("/") or "/", in_folder
    else:
        base = _parent(pattern[: wild.start()] if wild else pattern)
        matches = re.compile(regex(pattern), re.DOTALL).fullmatch
    if not wild and filesystems.is_local(pattern) and os.path.isfile(pattern):
        return base, {pattern: os.path.getsize(pattern)}
    hits = {}
    for path, size in filesystems.listing(base or "."):
        path = path if base else path.removeprefix("./")
        hidden = os.path.basename(path).startswith(".")
        if matches(path) and (path == pattern or not hidden):
            hits[path] = size
    return base, hits


def regex(pattern):
    """A pattern of names as a regular expression.

    Args:
        pattern: str, see `found`.

    Returns:
        str.
    """
    return "".join(
        _class(piece)
        if len(piece) > 2 and piece[0] == "[" and piece[-1] == "]"
        else _KINDS.get(piece) or re.escape(piece)
        for piece in _PIECES.split(pattern)
    )


def common(folders):
    """The folder that all folders are or lie in.

    Args:
        folders: list of str.

    Returns:
        str, `""` for the current one.
    """
    shared = []
    for names in zip(*(folder.split("/") for folder in folders)):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return "/".join(shared)


def _is_folder(path):
    return filesystems.is_local(path) and os.path.isdir(path)


def _parent(path):
    folder, slash, _ = path.rpartition("/")
    return folder or slash


def _class(piece):
    inside = piece[1:-1].replace("\\", "\\\\")
    return f"[^{inside[1:]}]" if inside[0] == "!" else f"[{inside}]"
