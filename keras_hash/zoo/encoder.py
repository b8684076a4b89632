"""Codes of image files, by an entry of the zoo."""

import os
from concurrent import futures

import numpy as np

from keras_hash import progress
from keras_hash.zoo import entries


class FileEncoder:
    """The encoder of an entry, loaded once; threads may share it."""

    def __init__(self, name, runtime="keras"):
        from keras_hash.data import images

        self._model = entries.load(name, runtime=runtime)
        self.bits = self._model.bits
        # The first calls compile: here, not in several threads at once.
        images.fitted(np.zeros((1, 1, 3), "uint8"), self._model.image_shape[:2])
        self._encode(np.zeros((1, *self._model.image_shape), "float32"))

    def _encode(self, batch, mirror=False, real=False):
        from keras_hash.codes import pack

        found = self._model.codes_of_batch(batch, mirror)
        return found if real else pack(found)

    def __call__(self, sources, mirror=False, real=False):
        """Codes of the images among files, given as paths or as bytes.

        Returns the codes, packed or `real` ones, the positions of their files,
        and a dict from the positions of the others to reasons.
        """
        from keras_hash.codes import pack
        from keras_hash.data import images

        with futures.ThreadPoolExecutor(images.threads()) as pool:
            found = list(pool.map(self._read, sources))
        refused = {
            i: one for i, one in enumerate(found) if isinstance(one, str)
        }
        kept = [place for place in range(len(found)) if place not in refused]
        if not kept:
            none = np.zeros((0, self.bits), "float32")
            return none if real else pack(none), [], refused
        batch = np.stack([found[place] for place in kept])
        return self._encode(batch, mirror, real), kept, refused

    def _read(self, source):
        """The pixels of a file as the network takes them, or why not."""
        from keras_hash.data import images

        try:
            pixels = images.decode(source)
        except ValueError as error:
            name = "" if isinstance(source, bytes) else f"{os.fspath(source)}: "
            return str(error).removeprefix(name)
        return images.fitted(pixels, self._model.image_shape[:2])

    def many(
        self,
        paths,
        batch_size=64,
        all_images=False,
        mirror=False,
        real=False,
    ):
        """Codes of the images among many files, their positions, and a dict
        from the paths of the others to reasons; or the first one's error."""
        from keras_hash.codes import check_int

        batch_size = check_int(batch_size, "batch_size")
        if not len(paths):
            raise ValueError("There are no files to encode. Received: []")
        codes, kept, refused = [], [], {}
        starts = range(0, len(paths), batch_size)
        for low in progress.track(starts, len(starts), "Encoding"):
            batch = paths[low : low + batch_size]
            found, places, bad = self(batch, mirror, real)
            for place, reason in bad.items():
                if all_images:
                    raise ValueError(
                        f"{batch[place]} is not an image that can be decoded: "
                        f"{reason}"
                    )
                refused[batch[place]] = reason
            codes.append(found)
            kept += [low + place for place in places]
        return np.concatenate(codes), kept, refused

    def queries(self, paths, batch_size=64, mirror=False, real=False):
        """Codes of files that should all be images; names one that is not."""
        return self.many(paths, batch_size, True, mirror, real)[0]


def encode_files(name, paths, batch_size=64, mirror=False, runtime="keras"):
    """Packed codes of image files, by an entry of the zoo.

    Args:
        name: str, name in the zoo, or the path of an entry's folder.
        paths: sequence of paths of files: JPEG, PNG, WebP, GIF, BMP or TIFF,
            and HEIC or AVIF where Pillow, or pillow-heif, reads them.
        batch_size: int, files read at a time.
        mirror: bool, as for `HashModel.encode`.
        runtime: str, as for `keras_hash.load`.

    Returns:
        `uint8 [n, ceil(bits / 8)]`.

    Raises:
        ValueError: no such entry or runtime, a file that cannot be decoded, by
            name, or `mirror` where mirror images mean something else.
        ImportError: the package of an extra is missing.
    """
    known = str, bytes, os.PathLike
    several = hasattr(paths, "__iter__") and not isinstance(paths, known)
    paths = list(paths) if several else paths
    if several:
        # Bytes would be taken for what is in a file.
        paths = [os.fsdecode(p) if isinstance(p, bytes) else p for p in paths]
    wrong = [p for p in paths if not isinstance(p, known)] if several else []
    if wrong or not several:
        kind = type(wrong[0] if wrong else paths).__name__
        raise ValueError(
            "`paths` should be a list of paths of files; `HashModel.encode` "
            f"takes arrays. Received: {'one of ' if wrong else ''}type {kind}"
        )
    return FileEncoder(name, runtime).queries(paths, batch_size, mirror)
