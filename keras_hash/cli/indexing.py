"""The index of photos of `search`, `app` and `export`, for one encoder."""

import functools
import sys

from keras_hash import files
from keras_hash.cli import outputs


def opened(path, card, chosen=None):
    """The index in a file, a new one where there is none.

    The command's `--runtime` makes its codes; what others made fits where they
    are known to make the same, or by `--any-runtime`.
    """
    from keras_hash.search import pictures

    runtime = getattr(chosen, "runtime", "keras")
    fitting = card.same_as(runtime)
    if getattr(chosen, "any_runtime", False):
        fitting = None
    index = pictures.PhotoIndex(
        path, card.bits, card.similarity, card.maker, runtime, fitting
    )
    if not index.named:
        print(
            f"{path} does not say which encoder made its codes; they are taken "
            f"for those of {card.name}.",
            file=sys.stderr,
        )
    return index


def existing(path, card, chosen=None):
    """The index in a file that has to be there."""
    if not files.local(path).exists():
        raise ValueError(
            f"There is no index {path}; build it with `keras-hash search "
            "--images` and a folder."
        )
    return opened(path, card, chosen)


def protect(index, path, option):
    """Refuses to write over a photo of the index."""
    if path is not None and index.holds(path):
        raise ValueError(
            f"`{option}` would replace {path}, a photo of the index. Give "
            f"another name. Received: {option} {path}"
        )


def extend(index, paths, encode, prune):
    """Adds files, and prints how many are new, have changed or are gone.

    Returns the `Extension`.
    """

    @functools.cache
    def check():
        outputs.check_writable(index.path, "--index")

    def encoded(some):
        # Where nothing is new, an index may be one that cannot be written.
        check()
        return encode(some)

    if prune:
        check()
    try:
        done = index.extend(paths, encoded, prune=prune)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{len(index.index)} images are in {index.path}; the same command "
            "continues"
        ) from None
    changed = f"{done.changed} changed, " if done.changed else ""
    lines = [
        f"{index.path}: {outputs.counted(done.added, 'new image')}, {changed}"
        f"{len(index.index)} in all"
    ]
    if done.gone:
        what = "keras-hash search " + index.maker["name"]
        what = f"stay in it until `{what} --index {index.path} --prune`"
        what = "were dropped" if prune else what
        lines.append(
            f"gone: {outputs.counted(len(done.gone), 'image')}, such as "
            f"{done.gone[0]}; they {what}"
        )
    lines += [f"left out: {path}: {why}" for path, why in done.refused.items()]
    print(*lines, sep="\n", file=sys.stderr)
    return done
