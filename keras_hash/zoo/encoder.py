"""Codes of image files by the graph that is served."""

import pathlib
import re

import numpy as np

from keras_hash import progress
from keras_hash.codes import check_int
from keras_hash.codes import num_bytes
from keras_hash.zoo import entries


class ServedEncoder:
    """The SavedModel of an entry, loaded once; threads may share it."""

    def __init__(self, name):
        import tensorflow as tf

        entries.verify_files(name)
        card = entries.card(name)
        self.bits = card.bits
        # The functions live as long as what holds their variables.
        self._saved = tf.saved_model.load(
            str(entries.entry_folder(name) / str(card.version))
        )
        self._encode = self._saved.signatures["encode_bytes"]

    def __call__(self, contents):
        """Codes of the images among bytes, their positions, and why not others.

        The graph refuses a batch as a whole; halving finds what it refuses.
        """
        import tensorflow as tf

        codes = np.zeros((len(contents), num_bytes(self.bits)), "uint8")
        refused = {}
        spans = [(0, len(contents))] if contents else []
        while spans:
            low, high = spans.pop()
            images = tf.constant(contents[low:high])
            try:
                codes[low:high] = self._encode(image_bytes=images)["code"]
            except tf.errors.InvalidArgumentError as error:
                if high - low == 1:
                    refused[low] = _reason(error)
                    continue
                middle = (low + high) // 2
                spans += [(middle, high), (low, middle)]
        kept = [place for place in range(len(contents)) if place not in refused]
        return codes[kept], kept, refused


class FileEncoder(ServedEncoder):
    """The same for files, by their paths."""

    def __call__(self, paths):
        """Codes of the images among files, their paths, and why not others."""
        contents, refused = {}, {}
        for path in paths:
            try:
                contents[path] = pathlib.Path(path).read_bytes()
            except OSError as error:
                refused[path] = error.strerror or str(error)
        there = list(contents)
        codes, kept, bad = super().__call__(list(contents.values()))
        refused |= {there[place]: reason for place, reason in bad.items()}
        return codes, [there[place] for place in kept], refused

    def queries(self, paths, batch_size=64):
        """Codes of files that should all be images; names one that is not."""
        check_int(batch_size, "batch_size")
        codes, starts = [], range(0, len(paths), batch_size)
        for low in progress.track(starts, len(starts), "Encoding"):
            batch, _, refused = self(paths[low : low + batch_size])
            for path, reason in refused.items():
                raise ValueError(
                    f"{path} is not an image that can be decoded: {reason}"
                )
            codes.append(batch)
        return np.concatenate(codes)


def _reason(error):
    """What a graph's error says is wrong."""
    lines = [line.strip() for line in error.message.splitlines()]
    noise = ("Graph", "Detected", "<")
    line = next(line for line in lines if line and not line.startswith(noise))
    # Names of operations, and the place in a batch of one.
    line = re.sub(r"\{\{.*?\}\} *|assertion failed: |[][]", "", line)
    return re.sub(r": `image_bytes` element 0( ?)", r",\1", line).rstrip(",")


def encode_files(name, paths, batch_size=64):
    """Packed codes of image files, by the graph that is served.

    Args:
        name: str, name in the zoo, or the path of an entry's folder.
        paths: sequence of paths of JPEG, PNG, GIF or BMP files.
        batch_size: int, files read at a time.

    Returns:
        `uint8 [n, ceil(bits / 8)]`.

    Raises:
        ValueError: no such entry, or a file that cannot be decoded, by name.
    """
    return FileEncoder(name).queries(list(paths), batch_size)
