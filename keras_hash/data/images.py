"""The one reader of image files, to `uint8 [h, w, 3]`, and lazy pools of them.

Every way in takes what this makes of a file, or does the same in a graph
(`export/decoding.py`), and a test holds the two equal bit for bit.
"""

import atexit
import collections
import contextlib
import functools
import gc
import io
import os
import stat
from concurrent import futures

import keras
import numpy as np
from keras import ops

from keras_hash import devices
from keras_hash import files
from keras_hash import forks
from keras_hash.data import headers

# Formats of Pillow beside JPEG and PNG, and how many pixels they may have.
_FORMATS = ("WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF")
_MAX_OTHERS = 1 << 26
# Pixels of a side that images are resized to.
_LONGEST = 1 << 14


def decode(source):
    """Decodes a file, by its path or its bytes, to `uint8 [h, w, 3]`.

    The image is turned as its EXIF orientation says; transparency becomes
    white; grey, palette and CMYK images become RGB; 16 bits are scaled to 8;
    of an animation the first frame counts. A JPEG above 2**25 pixels is decoded
    at 1/2, 1/4 or 1/8 of its sides, the first that fits. What cannot be decoded
    is a `ValueError`, with the path where one was given.
    """
    return np.asarray(_upright(source))


def fit(pixels, size):
    """Pixels of one height and width, for batches that need one: what a model
    does itself (float, bilinear, antialias), rounded once."""
    return np.clip(np.round(fitted(pixels, size)), 0, 255).astype("uint8")


def fit_in_graph(image, size):
    """`fit` in a `tf.data` pipeline, with any backend; floats stay floats."""
    import tensorflow as tf

    fitted = tf.image.resize(image, size, antialias=True)
    if image.dtype.is_floating:
        return tf.cast(fitted, image.dtype)
    return tf.cast(tf.clip_by_value(tf.round(fitted), 0, 255), image.dtype)


def fitted(pixels, size):
    """Pixels `[h, w, 3]` as a model of that size takes them, float32."""
    forks.check()
    size = tuple(size)
    if pixels.shape[:2] == size:
        return pixels.astype("float32")
    if keras.backend.backend() != "tensorflow":
        return _resized(pixels, size).astype("float32", copy=False)
    if pixels.dtype == np.uint8:
        return _resizer(size)(pixels).numpy()
    return ops.convert_to_numpy(resize(pixels[None], size))[0]


def _resized(pixels, size):
    """`resize` of one image by NumPy: others compile for each height and width
    anew, and keep it."""
    for axis, length in enumerate(size):
        places, weights = _taps(pixels.shape[axis], length)
        weights = weights[..., None] if axis else weights[..., None, None]
        pixels = sum(
            pixels.take(place, axis) * weight
            for place, weight in zip(places, weights)
        )
    return pixels


@functools.lru_cache(256)
def _taps(length, new):
    """Places and weights, `[taps, new]`, that make a line of another length."""
    scale = length / new
    reach = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    places = np.floor(centres - reach).astype("int64")
    places = places + np.arange(int(np.ceil(2 * reach)) + 1)[:, None]
    weights = np.maximum(1 - np.abs(places + 0.5 - centres) / reach, 0)
    weights *= (places >= 0) & (places < length)
    weights = (weights / weights.sum(axis=0)).astype("float32")
    return places.clip(0, length - 1), weights


@functools.cache
def _resizer(size):
    """`resize` of one image of any size, compiled: called for many, the Python
    around its operations takes most of the time."""
    import tensorflow as tf

    spec = tf.TensorSpec((None, None, 3), "uint8")
    return tf.function(
        lambda pixels: resize(pixels[None], size)[0], [spec], autograph=False
    )


def resize(images, size):
    """Resizes images to a height and width, bilinear with antialias."""
    if tuple(images.shape[1:3]) == tuple(size):
        return images
    return ops.image.resize(
        ops.cast(images, "float32"),
        size,
        interpolation="bilinear",
        antialias=True,
        data_format="channels_last",
    )


def faults(low, high, whole):
    """What tells that float images are no raw pixels, and how to mend it.

    Of the least and largest value of a batch, and whether all are whole
    numbers: NumPy's, or tensors in a graph. Black frames pass, and so does what
    resampling makes beyond 0 and 255.
    """
    scaled = (low >= -1) & (high <= 1) & ~whole
    return [
        (
            scaled & (low >= 0),
            "should be raw pixels in 0..255; multiply those in 0..1 by 255",
        ),
        (
            scaled & (low < 0),
            "should be raw pixels in 0..255; take (x + 1) * 127.5 of those in "
            "-1..1",
        ),
        (
            (low < -1) & (high <= 16),
            "should be raw pixels in 0..255, without mean and deviation taken "
            "off: models do that themselves",
        ),
        (
            high > 511,
            "should be raw pixels in 0..255; divide those of 16 bits by 257",
        ),
    ]


def check_values(pixels, raw=True):
    """Refuses arrays that are not finite, or no raw pixels in 0..255."""
    if pixels.dtype == np.uint8 or not pixels.size:
        return
    low, high = pixels.min(), pixels.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = ~np.isfinite(pixels).all(axis=tuple(range(1, pixels.ndim)))
        raise ValueError(
            "`images` should be finite. Received: NaN or infinity in "
            f"{bad.sum()} of {len(pixels)} images, first in image "
            f"{np.flatnonzero(bad)[0]} of the batch"
        )
    if raw:
        check_range(low, high, are_whole(pixels, low, high))


def are_whole(pixels, low, high):
    """Whether all are whole numbers; of integers and of pixels that lie beyond
    -1..1, whose fractions say nothing, they are taken to be."""
    small = pixels.dtype.kind not in "iu" and low >= -1 and high <= 1
    return not small or bool((pixels == np.floor(pixels)).all())


def check_range(low, high, whole):
    """Refuses what lies between these values, if that is no raw pixels."""
    found = faults(low, high, np.bool_(whole))
    if np.issubdtype(np.asarray(low).dtype, np.integer):
        meant = found[-1][1]
        found = [(low < 0, meant.split(";")[0]), (high > 255, meant)]
    for fault, meant in found:
        if fault:
            raise ValueError(
                f"`images` {meant}. Received: values from {low} to {high}"
            )


def thumbnail(picture, side, square=False):
    """A file or pixels to be looked at, small: the longest side is `side`.

    Smaller pictures stay as they are. `square` puts the whole on black.
    """
    from PIL import Image

    if isinstance(picture, (str, os.PathLike)):
        # A JPEG is decoded at no more than twice the size that is wanted.
        image = _upright(picture, 2 * side)
    else:
        pixels = np.clip(np.asarray(picture, "float32"), 0, 255)
        image = Image.fromarray(pixels.astype("uint8"))
    if square:
        side = min(side, max(image.size))
        whole = Image.new(image.mode, (side, side))
        image = contained(image, side)
        whole.paste(image, [round((side - n) / 2) for n in image.size])
        return np.asarray(whole)
    image.thumbnail((side, side))
    return np.asarray(image)


def of_one_side(squares):
    """Squares on black ones of the largest side among them, an array."""
    side = max(map(len, squares))
    gaps = [side - len(square) for square in squares]
    pads = [[(n // 2, n - n // 2)] * 2 + [(0, 0)] for n in gaps]
    return np.stack([np.pad(s, pad) for s, pad in zip(squares, pads)])


def contained(image, side):
    """A Pillow image whose longest side is `side`, the other at least 1."""
    from PIL import Image

    longest = max(image.size)
    size = [max(1, round(n / longest * side)) for n in image.size]
    return image.resize(size, Image.Resampling.BICUBIC)


def check(path):
    """Why `decode` would not work, or `None`; at less cost for a JPEG."""
    try:
        # The whole file is still parsed, without most of the arithmetic.
        _upright(path, 1)
    except ValueError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def pair(size):
    """A size as height and width."""
    sides = (size, size) if isinstance(size, (int, np.integer)) else size
    try:
        height, width = (int(side) for side in sides)
    except (TypeError, ValueError, OverflowError):
        height = width = 0
    if not 1 <= min(height, width) <= max(height, width) <= _LONGEST:
        raise ValueError(
            "`image_size` should be (height, width), or one int for a square, "
            f"up to {_LONGEST} pixels. Received: image_size={size!r}"
        )
    return height, width


class ImageFiles:
    """A pool of image files that are read when they are asked for.

    It stands for a list of images `uint8 [h, w, 3]` of their own sizes:
    `len(pool)`, `pool[i]` for one image, and `pool[indices]` for a list, by a
    slice, ints or a mask. `pool.take(indices)` is a pool of some, of which none
    is read; `HashModel.encode` takes pools.

    Args:
        paths: sequence of paths.

    Raises:
        ValueError: where an image is asked for, as `decode`.
    """

    def __init__(self, paths):
        self.paths = [os.fspath(path) for path in paths]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, indices):
        indices = np.arange(len(self))[indices]
        if not indices.ndim:
            return self._read(indices)
        return list(self.iterate(indices))

    def take(self, indices):
        """A pool of some of the images.

        Args:
            indices: a slice, ints or a mask.

        Returns:
            A pool.
        """
        indices = np.arange(len(self))[indices]
        return ImageFiles([self.paths[index] for index in indices])

    def iterate(self, indices):
        """Images one by one, read by several threads.

        Args:
            indices: int `[k]`.

        Yields:
            `uint8 [h, w, 3]`, in the order of the indices.
        """
        # A few ahead of the one that is asked for, however many there are.
        ahead, reads = 4 * threads(), collections.deque()
        with futures.ThreadPoolExecutor(threads()) as pool:
            for index in indices:
                reads.append(pool.submit(self._read, index))
                if len(reads) > ahead:
                    yield reads.popleft().result()
            while reads:
                yield reads.popleft().result()

    def dataset(self, indices):
        """Images as a dataset: read lazily, in parallel, in their order.

        Args:
            indices: int `[k]`.

        Returns:
            An unbatched `tf.data.Dataset` of `uint8 [h, w, 3]`.
        """
        tf = devices.tensorflow("A dataset of files", "call `iterate`")
        _freed_at_exit()
        return (
            tf.data.Dataset.from_tensor_slices(np.asarray(indices, "int64"))
            .map(
                lambda index: tf.ensure_shape(
                    tf.numpy_function(self._read, [index], tf.uint8),
                    (None, None, 3),
                ),
                num_parallel_calls=threads(),
                deterministic=True,
            )
            # Not more than that: photos of cameras take 36 MB each.
            .prefetch(threads())
        )

    def content(self, index):
        """The bytes of the file of one image.

        Args:
            index: int, its position.

        Returns:
            bytes.

        Raises:
            OSError: the file is not there any more.
        """
        return files.local(self.paths[index]).read_bytes()

    def _read(self, index):
        return decode(self.paths[index])


def some(images, indices):
    """Some of the images of a benchmark, of files as a pool."""
    if isinstance(images, ImageFiles):
        return images.take(indices)
    return images[indices]


@functools.cache
def _freed_at_exit():
    """Frees iterators when Python ends: one that is left would wait for threads
    that read files, and these for Python, which has stopped by then."""
    import tensorflow as tf

    kind = type(iter(tf.data.Dataset.range(0)))

    @atexit.register
    def free():
        for one in gc.get_objects():
            # Without a look at `__class__`, at which some objects fail.
            if type(one) is kind:
                del one._iterator_resource


def threads():
    """Threads that read files: Pillow works outside of Python's lock."""
    return min(32, 2 + (os.cpu_count() or 1))


def _upright(source, least=None):
    """The image as RGB of 8 bits, upright; one kind of error, with the name.

    A JPEG is decoded at a scale that leaves its sides `least` pixels.
    """
    name = "" if isinstance(source, bytes) else f"{source}: "
    try:
        content = source
        if name:
            path = files.local(source)
            if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
                # A pipe, for example, which would be waited for.
                raise ValueError("not a file")
            content = path.read_bytes()
        if not content:
            raise ValueError("empty file")
        header = headers.read(content)
        if header is None:
            return _other(content)
        image = _opened(header, least)
        with contextlib.closing(image):
            return _turned(_rgb(image, header), header.exif)
    except Exception as error:
        # Damaged files make Pillow's readers raise nearly anything.
        raise ValueError(f"{name}{_reason(error)}") from error


def _opened(header, least):
    """A JPEG or PNG, opened by Pillow."""
    from PIL import JpegImagePlugin
    from PIL import PngImagePlugin

    file = io.BytesIO(header.content)
    if not header.content.startswith(headers.JPEG[:2]):
        return PngImagePlugin.PngImageFile(file)
    image = JpegImagePlugin.JpegImageFile(file)
    scale = header.scale
    if least is not None:
        while scale < 8 and 2 * scale * least <= min(image.size):
            scale *= 2
    if scale > 1:
        image.draft(None, tuple(max(1, side // scale) for side in image.size))
    return image


def _rgb(image, header=None):
    """An opened image as 8-bit RGB."""
    from PIL import Image

    image.load()
    key = header and header.key
    if image.mode.startswith("I"):
        return _from_16_bits(np.asarray(image), key)
    if image.mode == "F":
        raise ValueError("float pixels have no known range; use 8 or 16 bits")
    if key is not None and image.mode == "L":
        # Pillow scales the pixels to 8 bits, and not the key.
        image.info["transparency"] = key * 255 // ((1 << header.depth) - 1)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _from_16_bits(pixels, key=None):
    from PIL import Image

    pixels = pixels.astype("int64")
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError("pixels of more than 16 bits; use 8 or 16 bits")
    grey = (pixels + 128) // 257
    grey = grey if key is None else np.where(pixels == key, 255, grey)
    return Image.fromarray(grey.astype("uint8")).convert("RGB")


def _turned(image, exif):
    """An image, upright, by the orientation of its EXIF."""
    from PIL import ImageOps

    turn = headers.orientation(exif)
    if turn > 1:
        image.getexif()[headers.ORIENTATION] = turn
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _other(content):
    """An image of another format, which no graph decodes."""
    from PIL import Image
    from PIL import ImageOps

    if content[4:8] == b"ftyp":
        try:
            import pillow_heif

            pillow_heif.register_heif_opener()
        except ImportError:
            if content[8:12] != b"avif" or "AVIF" not in _known():
                raise ValueError(
                    "a HEIC or AVIF image, which needs "
                    '`pip install "keras-hash[heif]"`'
                ) from None
    with Image.open(io.BytesIO(content), formats=_known()) as image:
        width, height = image.size
        if width * height > _MAX_OTHERS:
            raise ValueError(f"{width}x{height} pixels, above {_MAX_OTHERS}")
        # Pillow fills up one by one what runs of a BMP leave out.
        run = image.format in ("BMP", "DIB") and width * height // 256
        if run > len(content):
            raise ValueError(f"damaged: a BMP, {width}x{height} in few bytes")
        image.load()
        # Damaged tags make Pillow raise nearly anything; they spoil no pixels.
        with contextlib.suppress(Exception):
            ImageOps.exif_transpose(image, in_place=True)
        return _rgb(image)


def _known():
    """Those of the formats that are there: AVIF and HEIF need not be."""
    from PIL import Image

    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _reason(error):
    from PIL import Image
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known kind"
    if isinstance(error, Image.DecompressionBombError):
        return f"above {_MAX_OTHERS} pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, ValueError):
        return str(error)
    return f"damaged: {error or type(error).__name__}"
