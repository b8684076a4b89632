"""Image files from anywhere, decoded inside a TensorFlow graph.

Format, size and number of scans are read from the header, before anything is
decoded: a file of a few bytes may claim gigabytes of pixels.
"""

import numpy as np
import tensorflow as tf

from keras_hash.data import images

# A progressive JPEG is decoded once for each scan that it claims to have; about
# ten are usual. Smaller images may have more of them.
MAX_SCANS = 16
_SHORTEST_HEADER = 26
_LONGEST_FRAME = 1 << 24
# Where EXIF is looked for in a JPEG, and how much of it is read.
_EXIF_WITHIN = 1 << 16
_EXIF_LENGTH = 1 << 12
_EXIF_ENTRIES = 64
_EXIF_ORIENTATION = 0x0112


def decode(index, content):
    """An image of a file, upright."""
    content = _guarded(index, content)
    image = tf.io.decode_image(content, channels=3, expand_animations=False)
    return _upright(image, content)


def _guarded(index, content):
    """The content, once its header shows a known format and a bounded size.

    What decodes has to take the returned tensor: it waits for the checks.
    """

    def starts(magic):
        return tf.strings.substr(content, 0, len(magic)) == magic

    is_jpeg = starts(b"\xff\xd8\xff")
    is_png = starts(b"\x89PNG\r\n\x1a\n")
    is_gif = starts(b"GIF8")
    known = is_jpeg | is_png | is_gif | starts(b"BM")
    whole = tf.strings.length(content) >= _SHORTEST_HEADER
    content = require(
        known & whole,
        ["Not a JPEG, PNG, GIF or BMP image: `image_bytes` element", index],
        content,
    )
    # Where each format keeps height and width, as weights of header bytes:
    # PNG big-endian at 20 and 16, GIF at 8 and 6, BMP at 22 and 18.
    places = np.zeros((6, _SHORTEST_HEADER), "int64")
    for row, (start, count) in enumerate(
        [(20, 4), (16, 4), (8, 2), (6, 2), (22, 4), (18, 4)]
    ):
        powers = 256 ** np.arange(count)
        places[row, start : start + count] = powers[::-1] if row < 2 else powers
    header = tf.strings.substr(content, 0, _SHORTEST_HEADER)
    header = tf.io.decode_raw(header, "uint8", fixed_length=_SHORTEST_HEADER)
    sides = tf.reduce_sum(places * tf.cast(header, tf.int64), axis=1)
    # The height of a BMP is negative when its rows run downwards.
    bmp = tf.minimum(sides[4:], 2**32 - sides[4:])
    sides = tf.where(is_png, sides[:2], tf.where(is_gif, sides[2:4], bmp))
    one = tf.constant(1, tf.int64)
    content, sides = tf.cond(
        is_gif, lambda: _first_frame(content, sides), lambda: (content, sides)
    )
    sides, scans = tf.cond(
        is_jpeg, lambda: _jpeg_sides(content), lambda: (sides, one)
    )
    # Both first: the product of two sides below 2**25 cannot wrap.
    small = tf.reduce_all(sides <= images.MAX_PIXELS)
    pixels = tf.reduce_prod(sides)
    content = require(
        small & (pixels <= images.MAX_PIXELS),
        [
            f"Image above {images.MAX_PIXELS} pixels: `image_bytes` element",
            index,
            "height and width:",
            sides,
        ],
        content,
    )
    return require(
        pixels * scans <= images.MAX_PIXELS * MAX_SCANS,
        ["JPEG of too many scans: `image_bytes` element", index, scans],
        content,
    )


def _jpeg_sides(content):
    """Height and width of a JPEG, and its number of scans or somewhat more.

    In coded data a zero follows each 255, so that the marker of a scan occurs
    nowhere else but in metadata.
    """
    data = tf.io.decode_raw(content, tf.uint8)
    scans = (data[:-1] == 0xFF) & (data[1:] == 0xDA)
    sides = tf.image.extract_jpeg_shape(content, tf.int64)[:2]
    return sides, tf.math.count_nonzero(scans)


def _first_frame(content, sides):
    """A GIF up to its second frame, and its largest sides.

    The decoder would read all frames and take the largest sides among them,
    whatever the header says.
    """
    # Following the blocks takes about 40 bytes for each.
    content = tf.strings.substr(content, 0, _LONGEST_FRAME)
    length = tf.strings.length(content)
    # Zeros behind the end, further than a block reaches, stop every chain.
    data = tf.pad(tf.io.decode_raw(content, tf.uint8), [[0, 1024]])
    data = tf.cast(data, tf.int32)
    size = length + 1024
    here = tf.range(size)
    # Each place leads to another, once as the start of a block and, `size`
    # later, as a piece of data. An extension is 0x21, its kind and data. Data
    # come in pieces that say how long they are; a block follows an empty one.
    block = tf.where(data == 0x21, here + 2 + size, here)
    piece = tf.minimum(here + 1 + data, size - 1)
    piece += tf.where(data > 0, size, 0)

    # Doubling finds where all chains end, and no content makes it slow.
    def twice(steps, _):
        further = tf.gather(steps, steps)
        return further, tf.reduce_any(further != steps)

    ends, _ = tf.while_loop(
        lambda _, more: more, twice, (tf.concat([block, piece], 0), True)
    )

    def table(flags):
        """Bytes of a colour table."""
        bits = tf.where(flags > 127, 6, 0)
        return tf.bitwise.left_shift(bits, tf.bitwise.bitwise_and(flags, 7))

    start = 13 + table(tf.gather(data, 10))
    first = tf.minimum(tf.gather(ends, start), length)
    # A frame is 0x2C, left, top, width and height in two bytes each, flags,
    # colours, a byte on the coding, and data.
    places = np.zeros((4, 10), "int32")
    places[0, 7:9] = places[1, 5:7] = 1, 256
    places[2, 0] = places[3, 9] = 1
    frame = places * tf.slice(data, [first], [10])
    height, width, kind, flags = tf.unstack(tf.reduce_sum(frame, axis=1))
    behind = tf.minimum(first + 11 + table(flags), length)
    height, width, end = tf.unstack(
        tf.where(
            kind == 0x2C,
            [height, width, tf.gather(ends, size + behind)],
            [0, 0, first],
        )
    )
    cut = tf.strings.substr(content, 0, tf.minimum(end, length)) + b";"
    frame = tf.cast([height, width], tf.int64)
    return cut, tf.maximum(sides, frame)


def _upright(image, content):
    """The image, turned as the EXIF orientation of a JPEG says."""
    # A JPEG keeps EXIF near its start, as a small TIFF file: a byte order, the
    # place of a table, and there a count and entries of 12 bytes each.
    is_jpeg = tf.strings.substr(content, 0, 2) == b"\xff\xd8"
    start = tf.strings.substr(content, 0, tf.where(is_jpeg, _EXIF_WITHIN, 0))
    parts = tf.raw_ops.StringSplitV2(
        input=[start], sep=b"Exif\0\0", maxsplit=1
    ).values
    exif = tf.concat([parts, ["", ""]], 0)[1]
    data = tf.io.decode_raw(exif, tf.uint8, fixed_length=_EXIF_LENGTH)
    # Zeros are what lies beyond: neither a tag nor an orientation.
    data = tf.pad(tf.cast(data, tf.int32), [[0, 16 * _EXIF_ENTRIES]])
    # The 16-bit number at each place.
    following = tf.roll(data, -1, 0)
    little = tf.strings.substr(exif, 0, 1) == b"I"
    numbers = tf.where(little, data + 256 * following, 256 * data + following)
    place = tf.gather(numbers, tf.where(little, 4, 6))
    place = tf.minimum(place, _EXIF_LENGTH)
    order = tf.range(_EXIF_ENTRIES)
    entries = place + 2 + 12 * order
    values = tf.gather(numbers, entries + 8)
    wanted = (
        (order < tf.gather(numbers, place))
        & (tf.gather(numbers, entries) == _EXIF_ORIENTATION)
        & (values <= 8)
    )
    turn = tf.reduce_max(tf.where(wanted, values, 0))
    # From the fifth on rows and columns change places; then the order of the
    # rows, or of the columns, is turned round.
    axes = np.array([[0, 1, 2]] * 5 + [[1, 0, 2]] * 4)
    steps = np.ones((9, 3), "int32")
    steps[[3, 4, 7, 8], 0] = -1
    steps[[2, 3, 6, 7], 1] = -1
    image = tf.strided_slice(
        tf.transpose(image, tf.gather(axes, turn)),
        [0, 0, 0],
        [0, 0, 0],
        tf.gather(steps, turn),
        begin_mask=7,
        end_mask=7,
    )
    return tf.ensure_shape(image, [None, None, 3])


def require(condition, message, value):
    """The value, or an invalid-argument error unless the condition holds."""
    # The bare operation: `tf.debugging.Assert` adds two functions to the
    # saved graph for each check.
    check = tf.raw_ops.Assert(
        condition=condition,
        data=[tf.convert_to_tensor(part) for part in message],
        summarize=8,
    )
    # In a graph it is an operation to wait for; run eagerly it has raised.
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(value)
