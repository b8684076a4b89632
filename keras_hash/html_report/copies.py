"""Files that show the same, as a page or the app shows them side by side."""

import contextlib
import os

from keras_hash.html_report import rendering


def shown(groups):
    """What the template takes of each `search.duplicates.Group`."""
    return [
        [_file(group.keep, "keep")]
        + [_file(path, why) for path, why in group.copies.items()]
        for group in groups
    ]


def _file(path, why):
    picture = None
    with contextlib.suppress(OSError, ValueError):
        picture = rendering.picture(path, 180)
    size = f"{os.path.getsize(path) / 1000:,.0f} kB"
    return {"name": path, "why": why, "size": size, "picture": picture}
