"""The index of photos of `search`, `app` and `export`, for one encoder."""

import sys

from keras_hash import files


def opened(path, card):
    """The index in a file, a new one where there is none."""
    from keras_hash.search import pictures

    return pictures.PhotoIndex(path, card.bits, card.similarity, card.maker)


def existing(path, card):
    """The index in a file that has to be there."""
    if not files.local(path).exists():
        raise ValueError(
            f"There is no index {path}; build it with `keras-hash search "
            "--images` and a folder."
        )
    return opened(path, card)


def extend(index, paths, encode):
    """Adds files, and prints how many are new and what was left out."""
    try:
        added, refused = index.extend(paths, encode)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{len(index.index)} images are in {index.path}; the same command "
            "continues"
        ) from None
    print(
        f"{index.path}: {added} new images, {len(index.index)} in all",
        file=sys.stderr,
    )
    for path, reason in refused.items():
        print(f"left out: {path}: {reason}", file=sys.stderr)
