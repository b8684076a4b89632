"""Image files of all kinds to `uint8 [h, w, 3]`, and lazy pools of them."""

import contextlib
import os
import pathlib
from concurrent import futures

import numpy as np

# A decoded image takes 12 bytes a pixel before it is resized: 384 MiB at most.
MAX_PIXELS = 1 << 25


def decode(path):
    """Decodes one image file; its content, not its name, says what it is.

    The image is turned as its EXIF orientation says; transparency becomes
    white; grey, palette and CMYK images become RGB; 16 bits are scaled to 8;
    of an animation the first frame counts.
    """
    with _opened(path) as image:
        return np.asarray(_turned(image))


def read(path, size):
    """Decodes one image file and resizes it, bilinear with antialias."""
    from PIL import Image

    height, width = size
    with _opened(path) as image:
        # Pillow's filters widen where they shrink: antialias.
        return np.asarray(
            _turned(image).resize((width, height), Image.Resampling.BILINEAR)
        )


def thumbnail(picture, side, square=False):
    """A file or pixels to be looked at, small: the longest side is `side`.

    Smaller pictures stay as they are. `square` puts the whole on black.
    """
    from PIL import Image

    if not isinstance(picture, (str, os.PathLike)):
        pixels = np.clip(np.asarray(picture, "float32"), 0, 255)
        return _shrunk(Image.fromarray(pixels.astype("uint8")), side, square)
    with _opened(picture) as image:
        # A JPEG is decoded at no more than twice the size that is wanted.
        image.draft(None, (2 * side, 2 * side))
        return _shrunk(_turned(image), side, square)


def _shrunk(image, side, square):
    from PIL import ImageOps

    if square:
        side = min(side, max(image.size))
        return np.asarray(ImageOps.pad(image, (side, side)))
    image.thumbnail((side, side))
    return np.asarray(image)


def check(path):
    """Whether `decode` would work, at less cost where the format allows."""
    try:
        with _opened(path) as image:
            # The whole file is still parsed, but JPEGs skip most arithmetic.
            image.draft(None, tuple(max(1, side // 8) for side in image.size))
            _rgb(image)
    except ValueError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def pair(size):
    """A size as height and width."""
    sides = (size, size) if isinstance(size, (int, np.integer)) else size
    try:
        height, width = (int(side) for side in sides)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise ValueError(
            "`size` should be (height, width), or one int for a square. "
            f"Received: size={size!r}"
        )
    return height, width


class ImageFiles:
    """A pool of image files that are read when they are asked for.

    It stands for an array `uint8 [n, height, width, 3]`: `len(pool)`,
    `pool.shape`, and `pool[indices]` for an int, a slice, ints or a mask.

    Args:
        paths: sequence of paths.
        size: int or `(height, width)` that all images are resized to.

    Raises:
        ValueError: a size that makes no sense; later, where an image is asked
            for, as `decode`.
    """

    dtype = np.dtype("uint8")

    def __init__(self, paths, size):
        self.paths = [str(path) for path in paths]
        self.size = pair(size)

    @property
    def shape(self):
        """Shape of the array that the pool stands for."""
        return (len(self), *self.size, 3)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, indices):
        indices = np.arange(len(self))[indices]
        images = np.empty((indices.size, *self.size, 3), "uint8")
        for row, image in enumerate(self._images(indices.reshape(-1))):
            images[row] = image
        return images.reshape(*indices.shape, *self.shape[1:])

    def dataset(self, indices):
        """Images as a dataset: read lazily, in parallel, in their order.

        Args:
            indices: int `[k]`.

        Returns:
            An unbatched `tf.data.Dataset` of `uint8 [height, width, 3]`.
        """
        import tensorflow as tf

        return (
            tf.data.Dataset.from_tensor_slices(np.asarray(indices, "int64"))
            .map(
                lambda index: tf.ensure_shape(
                    self._tensor(index), self.shape[1:]
                ),
                num_parallel_calls=threads(),
                deterministic=True,
            )
            .prefetch(tf.data.AUTOTUNE)
        )

    def _read(self, index):
        return read(self.paths[index], self.size)

    def _images(self, indices):
        with futures.ThreadPoolExecutor(threads()) as pool:
            yield from pool.map(self._read, indices)

    def _tensor(self, index):
        import tensorflow as tf

        return tf.numpy_function(self._read, [index], tf.uint8)


def threads():
    """Threads that read files: Pillow works outside of Python's lock."""
    return min(32, 2 + (os.cpu_count() or 1))


@contextlib.contextmanager
def _opened(path):
    """The image with its header read; one kind of error, with the name."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width}x{height} pixels, above {MAX_PIXELS}")
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"{path}: more than {MAX_PIXELS} pixels") from None
    except Exception as error:
        # Damaged files make Pillow's readers raise nearly anything.
        raise ValueError(f"{path}: {_reason(path, error)}") from error


def _reason(path, error):
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        empty = pathlib.Path(path).stat().st_size == 0
        return "empty file" if empty else "not an image of a known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, ValueError):
        return str(error)
    return f"damaged: {error or type(error).__name__}"


def _rgb(image):
    """An opened image as 8-bit RGB."""
    from PIL import Image

    image.load()
    if image.mode.startswith("I"):
        return _from_16_bits(np.asarray(image))
    if image.mode == "F":
        raise ValueError("float pixels have no known range; use 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _from_16_bits(pixels):
    from PIL import Image

    pixels = pixels.astype("int64")
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError("pixels of more than 16 bits; use 8 or 16 bits")
    grey = ((pixels + 128) // 257).astype("uint8")
    return Image.fromarray(grey).convert("RGB")


def _turned(image):
    """An opened image as RGB, upright."""
    from PIL import ImageOps

    image.load()
    # Damaged tags make Pillow raise nearly anything; they spoil no pixels.
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return _rgb(image)
