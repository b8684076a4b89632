"""An `Index` of image files that knows which encoder made its codes."""

import os
import pathlib

import numpy as np

from keras_hash import encoding
from keras_hash import progress
from keras_hash import zoo
from keras_hash.search import Index
from keras_hash.search import storage

# Files that are read at a time.
_BATCH = 64


class FileEncoder:
    """Codes of image files by the graph that is served, loaded once.

    Args:
        name: str, name in the zoo, or the path of an entry's folder.

    Raises:
        ValueError: no such entry, or a damaged one.
    """

    def __init__(self, name):
        self._encode = encoding.ServedEncoder(name)

    def __call__(self, paths):
        """Encodes some files.

        Args:
            paths: list of str.

        Returns:
            A triple: packed codes `uint8 [n, ceil(bits / 8)]` of the files that
            are images, their paths, and a dict from the other paths to reasons.
        """
        contents, refused = {}, {}
        for path in paths:
            try:
                contents[path] = pathlib.Path(path).read_bytes()
            except OSError as error:
                refused[path] = error.strerror or str(error)
        there = list(contents)
        codes, kept, bad = self._encode(list(contents.values()))
        refused |= {there[place]: reason for place, reason in bad.items()}
        return codes, [there[place] for place in kept], refused

    def queries(self, paths):
        """Encodes files that should all be images.

        Args:
            paths: list of str.

        Returns:
            packed codes `uint8 [n, ceil(bits / 8)]`.

        Raises:
            ValueError: one is no image, by name.
        """
        codes, starts = [], range(0, len(paths), _BATCH)
        for low in progress.track(starts, len(starts), "Encoding"):
            batch, _, refused = self(paths[low : low + _BATCH])
            for path, reason in refused.items():
                raise ValueError(
                    f"{path} is not an image that can be decoded: {reason}"
                )
            codes.append(batch)
        return np.concatenate(codes)


class PhotoIndex:
    """The index in a file, for one encoder.

    The file is that of `keras_hash.Index`, which passes over the field that is
    added to it here: who made the codes.

    Args:
        path: str or path of the file; a new index if it is not there.
        card: dict, card of the encoder.

    Attributes:
        index: the `keras_hash.Index`; its ids are paths.

    Raises:
        ValueError: no index, or one of the codes of another encoder.
    """

    def __init__(self, path, card):
        self.path = pathlib.Path(path)
        self.maker = zoo.maker(card)
        bits = card["bits"]
        similarity = zoo.similarity(card)
        if not self.path.exists():
            self.index = Index(bits, similarity=similarity)
            return
        self.index = Index.load(self.path)
        fields, _ = storage.read(self.path)
        # Written in Python, it does not say whose codes they are.
        before = fields.get("encoder", self.maker)
        holds = (self.index.bits, self.index.similarity)
        if before != self.maker or holds != (bits, similarity):
            whose = before["name"] if before != self.maker else "an encoder"
            if whose == self.maker["name"]:
                whose = f"{whose} with other weights"
            raise ValueError(
                f"{self.path} holds codes of {whose} ({holds[0]} bits, "
                f"{holds[1]}); {card['name']} makes {bits} bits, {similarity}. "
                "Search with the encoder that made it, or give another "
                "`--index`."
            )

    def extend(self, paths, encoder):
        """Adds the files that are not there yet, and saves.

        After Ctrl-C, what was encoded is saved.

        Args:
            paths: list of str.
            encoder: function that returns a `FileEncoder`, called if needed.

        Returns:
            A pair: how many were added, and a dict from the files that are no
            images to reasons.

        Raises:
            ValueError: the ids of the index are numbers, not paths.
        """
        there = set(self.index.ids.tolist())
        if there and not isinstance(next(iter(there)), str):
            raise ValueError(
                f"The ids in {self.path} are numbers, not paths: files cannot "
                "be added to it. Give another `--index`."
            )
        new = [path for path in paths if path not in there]
        if not new:
            return 0, {}
        encode, refused, before = encoder(), {}, len(self.index)
        starts = range(0, len(new), _BATCH)
        try:
            for low in progress.track(starts, len(starts), "Indexing"):
                codes, kept, bad = encode(new[low : low + _BATCH])
                refused |= bad
                if kept:
                    self.index.add(codes, kept)
        finally:
            if len(self.index) > before:
                self._save()
        return len(self.index) - before, refused

    def search(self, codes, k, radius=None):
        """The nearest items of each query.

        Args:
            codes: packed codes of the queries.
            k: int, items a query; `None`, with `radius`: all within it.
            radius: int, largest distance; `None` for any.

        Returns:
            list of lists of `(id, distance)`, nearest first.

        Raises:
            ValueError: as `keras_hash.Index`.
        """
        if radius is None:
            distances, ids = self.index.search(codes, k=k)
            pairs = zip(ids.tolist(), distances.tolist())
            return [list(zip(*pair)) for pair in pairs]
        bounds, distances, ids = self.index.range_search(codes, radius)
        pairs = list(zip(ids.tolist(), distances.tolist()))
        return [
            pairs[low:high][:k] for low, high in zip(bounds[:-1], bounds[1:])
        ]

    def _save(self):
        """Writes the file: beside, then renamed, once it says whose it is."""
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}.codes")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.index.save(beside)
            fields, arrays = storage.read(beside)
            storage.write(self.path, {**fields, "encoder": self.maker}, arrays)
        finally:
            beside.unlink(missing_ok=True)


def existing(path, card):
    """The index in a file that has to be there.

    Args:
        path: str or path.
        card: dict, card of the encoder.

    Returns:
        A `PhotoIndex`.

    Raises:
        ValueError: there is none, or as `PhotoIndex`.
    """
    if not pathlib.Path(path).exists():
        raise ValueError(
            f"There is no index {path}; build it with `keras-hash search "
            "--images` and a folder."
        )
    return PhotoIndex(path, card)
