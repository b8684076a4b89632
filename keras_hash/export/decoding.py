"""JPEG and PNG files from anywhere, decoded inside a TensorFlow graph.

To the very bytes that the reader of files gives (`data/images.py`); what it
cannot decode alike is refused. Kind, size, transparency and orientation are
read from the header, before anything is decoded: a few bytes may claim
gigabytes of pixels.
"""

import numpy as np
import tensorflow as tf

from keras_hash.data import headers

# What one request may hold: images, and bytes of their files. All together
# may have the pixels, times scans, of one that is as large as can be.
MAX_IMAGES = 1024
MAX_BYTES = 1 << 26
# Bytes of a segment of a JPEG: a frame of three components, a scan of four.
_HEAD = 17
# How much of a block of EXIF is read, and of its table.
_EXIF_LENGTH = 1 << 12
_EXIF_ENTRIES = 64
# What a marker of a JPEG says: what cannot be, a scan, and the rest. The end is
# one behind a scan alone.
_DAMAGED, _SCAN, _OTHER, _FILL, _FRAME, _END = range(6)
_MARKERS = np.full(256, _OTHER, "int32")
_MARKERS[:0xC0] = _MARKERS[0xD0:0xDA] = _DAMAGED
_MARKERS[0xDA], _MARKERS[0xFF] = _SCAN, _FILL
_MARKERS[0xC0:0xD0] = _FRAME
_MARKERS[[0xC4, 0xC8, 0xCC]] = _OTHER
# What follows 255 in coded data.
_CODED = np.isin(np.arange(256), [0, 1, *range(0xD0, 0xD8), 0xFF])
# Ways to decode a PNG.
_PLAIN, _ALPHA, _GREY, _GREY_ALPHA = range(4)


def inspect(index, content):
    """What the header of a file says, once that is known to be fine.

    Returns int64 `[5]`: pixels times scans; whether it is a JPEG; the exponent
    of its scale, or the way to decode a PNG; the orientation; and whether a PNG
    has fewer than 8 bits.
    """
    jpeg = tf.strings.substr(content, 0, 3) == headers.JPEG
    png = tf.strings.substr(content, 0, 8) == headers.PNG
    kind = tf.cond(jpeg | png, lambda: "", lambda: _named(content))
    message = ["`image_bytes` should be JPEG or PNG files. Received: element"]
    content = require(jpeg | png, [*message, index, "is", kind], content)
    return tf.cond(
        jpeg,
        lambda: _inspect_jpeg(index, content),
        lambda: _png(index, content),
    )


def _named(content):
    """What a file is that is neither JPEG nor PNG."""
    name = tf.where(
        tf.strings.length(content) == 0, "empty", "an unknown kind of file"
    )
    for magic, known in headers.OTHERS.items():
        starts = tf.strings.substr(content, 0, len(magic)) == magic
        name = tf.where(starts, known, name)
    return name


def checked(image_bytes):
    """Files of a request, of which there are not too many or too large."""
    count, size = tf.size(image_bytes), tf.strings.length(image_bytes)
    size = tf.reduce_sum(tf.cast(size, tf.int64))
    for fine, message in [
        (count > 0, ["`image_bytes` is empty: there is nothing to encode."]),
        (
            count <= MAX_IMAGES,
            [f"`image_bytes` should be at most {MAX_IMAGES} files:", count],
        ),
        (
            size <= MAX_BYTES,
            [f"`image_bytes` should be at most {MAX_BYTES} bytes:", size],
        ),
    ]:
        image_bytes = require(fine, message, image_bytes)
    return image_bytes


def decode(header, content):
    """The image of a file, upright, from what `inspect` said."""
    _, jpeg, way, turn, few = tf.unstack(header)

    def jpeg_at(scale):
        def branch():
            return tf.io.decode_jpeg(
                content, 3, scale, dct_method="INTEGER_ACCURATE"
            )

        return branch

    image = tf.cond(
        jpeg > 0,
        lambda: tf.switch_case(
            tf.cast(way, tf.int32), [jpeg_at(scale) for scale in (1, 2, 4, 8)]
        ),
        lambda: _decode_png(content, tf.cast(way, tf.int32), few > 0),
    )
    return _turned(image, turn)


def _inspect_jpeg(index, content):
    starts, place, fine = _segments(content)
    # Marker, length and what follows, of all segments at once.
    head = tf.strings.substr(content, 0, place)
    data = tf.pad(tf.io.decode_raw(head, tf.uint8), [[0, _HEAD]])
    rows = tf.gather(data, starts[:, None] + tf.range(_HEAD))
    rows = tf.cast(rows, tf.int64)
    marker, size = rows[:, 1], 256 * rows[:, 2] + rows[:, 3]
    weights = np.zeros((_HEAD, 5), "int64")
    # Frame: marker, depth, height, width, layers.
    weights[1, 0] = weights[4, 1] = weights[6, 2] = weights[8, 3] = 1
    weights[5, 2] = weights[7, 3] = 256
    weights[9, 4] = 1
    framed = tf.gather(_MARKERS == _FRAME, marker)
    frame = tf.gather(rows, tf.argmax(tf.cast(framed, tf.int32)))
    names = frame[10::3]
    frame = tf.reduce_sum(frame[:, None] * weights, axis=0)
    fine &= tf.math.count_nonzero(framed) == 1
    fine &= tf.reduce_all(~framed | (size >= 8))
    named = tf.reduce_all(rows[:, 4:10] == list(b"Exif\0\0"), axis=1)
    named &= (marker == 0xE1) & (size >= 8)
    first = tf.argmax(tf.cast(named, tf.int32))
    there = tf.reduce_any(named)
    exif = tf.where(there, tf.gather(starts, first) + 10, 0)
    length = tf.where(there, tf.cast(tf.gather(size, first), tf.int32) - 8, 0)
    kind, depth, height, width, layers = tf.unstack(frame)
    content = require(
        fine,
        ["Damaged JPEG: `image_bytes` element", index],
        content,
    )
    coded = (kind <= 0xC2) & (depth == 8)
    content = require(
        coded & ((layers == 1) | (layers == 3)),
        [
            "CMYK, or a JPEG of an unusual coding: `image_bytes` element",
            index,
            "should be grey or RGB",
        ],
        content,
    )
    # In coded data a zero follows each 255: the marker is nowhere else.
    rest = tf.strings.substr(content, place, 1 << 30)
    data = tf.io.decode_raw(rest, tf.uint8)
    again = (data[:-1] == 0xFF) & (data[1:] == 0xDA)
    scans = 1 + tf.math.count_nonzero(again)
    heads, ends = _parts(data)
    content = require(
        ends,
        ["Damaged JPEG: `image_bytes` element", index],
        content,
    )
    pixels = height * width
    scales = tf.constant([1, 2, 4, 8], tf.int64)
    scaled = -(-height // scales) * -(-width // scales)
    fits = scaled <= headers.MAX_PIXELS
    most = tf.constant([headers.MAX_WORK, headers.MAX_PROGRESSIVE], tf.int64)
    most = tf.gather(most, tf.cast(kind == 0xC2, tf.int32))
    small = tf.reduce_any(fits) & (pixels <= most) & (pixels > 0)
    content = _require_small(small, index, height, width, most, content)
    content = require(
        pixels * scans <= headers.MAX_WORK,
        ["JPEG of too many scans: `image_bytes` element", index, scans],
        content,
    )
    complete = tf.cond(
        kind == 0xC2,
        lambda: _is_complete(names[:layers], tf.concat([rows[-1:], heads], 0)),
        lambda: True,
    )
    content = require(
        complete,
        [
            "JPEG that lacks scans: `image_bytes` element",
            index,
            "should be saved again",
        ],
        content,
    )
    turn = _orientation(index, content, exif, length)
    scale = tf.argmax(tf.cast(fits, tf.int32))
    return tf.stack([pixels * scans, tf.ones_like(scale), scale, turn, 0])


def _segments(content):
    """Where the segments of a JPEG start, and the first scan's data; whether
    all of it is as it should be."""

    def step(parts, place, kind, starts):
        head = tf.strings.substr(content, place, 4)
        head = tf.io.decode_raw(
            head, tf.uint16, little_endian=False, fixed_length=4
        )
        marker, size = tf.unstack(tf.cast(head, tf.int32))
        kind = tf.where(
            marker < 0xFF00, _DAMAGED, tf.gather(_MARKERS, marker & 0xFF)
        )
        end = place + tf.where(kind == _FILL, 1, 2 + size)
        whole = (kind == _FILL) | ((size >= 2) & (end <= length))
        kind = tf.where(whole, kind, _DAMAGED)
        starts = starts.write(parts, place)
        return parts + 1, tf.minimum(end, length), kind, starts

    def more(parts, place, kind, starts):
        return (kind > _SCAN) & (parts < headers.MAX_PARTS)

    length = tf.strings.length(content)
    starts = tf.TensorArray(
        tf.int32, headers.MAX_PARTS, dynamic_size=False, element_shape=()
    )
    parts, place, kind, starts = tf.while_loop(
        more, step, (0, 2, _OTHER, starts), parallel_iterations=1
    )
    return starts.stack()[:parts], place, kind == _SCAN


def _is_complete(names, heads):
    """Whether the scans among the segments of a progressive JPEG send all that
    decoders may guess, for each component and to the last bit."""
    marker, size = heads[:, 1], 256 * heads[:, 2] + heads[:, 3]
    layers = heads[:, 4]
    # Others decoders refuse.
    scan = (marker == 0xDA) & (layers <= 4) & (size == 6 + 2 * layers)
    heads, layers = heads[scan], layers[scan][:, None]
    place = 5 + 2 * layers + np.arange(3)
    band = tf.gather(heads, place, batch_dims=1)[:, None]
    one = np.arange(headers.GUESSED)
    slots = np.arange(4) < layers
    named = (heads[:, 5:13:2, None] == names) & slots[..., None]
    sent = tf.reduce_any(named, axis=1)[..., None]
    sent &= (band[..., 0:1] <= one) & (one <= band[..., 1:2])
    # Of each coefficient the last scan counts: odd where it leaves no bits.
    number = 2 * tf.range(1, 1 + tf.size(layers, tf.int64))[:, None, None]
    number += tf.cast(band[..., 2:] % 16 == 0, tf.int64)
    last = tf.reduce_max(tf.where(sent, number, 0), axis=0)
    # A name that comes twice is that of the first component.
    once = tf.size(tf.unique(names)[0]) == tf.size(names)
    return tf.reduce_all(last % 2 == 1) & once


def _parts(data):
    """The heads of the segments behind the first scan of a JPEG, and whether
    they lead to its end: in broken ones decoders would fill up what is
    missing."""
    length = tf.size(data, tf.int64)
    marker = (data[:-1] == 0xFF) & tf.gather(
        ~_CODED, tf.cast(data[1:], "int32")
    )
    # Behind the last one there is none: zeros, which are damaged.
    places = tf.concat([tf.where(marker)[:, 0], [length]], 0)
    data = tf.pad(data, [[0, _HEAD]])

    def step(parts, start, kind, heads):
        place = places[tf.searchsorted(places, [start])[0]]
        head = tf.cast(tf.gather(data, place + np.arange(_HEAD)), tf.int64)
        marker, high, low = tf.unstack(head[1:4])
        end = place + 2 + 256 * high + low
        whole = (end >= place + 4) & (end <= length)
        kind = tf.where(whole, tf.gather(_MARKERS, marker), _DAMAGED)
        kind = tf.where(marker == 0xD9, _END, kind)
        return parts + 1, end, kind, heads.write(parts, head)

    def more(parts, start, kind, heads):
        going = (kind != _DAMAGED) & (kind != _END)
        return going & (parts <= headers.MAX_PARTS)

    zero = tf.zeros([], tf.int64)
    heads = tf.TensorArray(
        tf.int64, 1 + headers.MAX_PARTS, element_shape=(_HEAD,)
    )
    parts, _, kind, heads = tf.while_loop(
        more, step, (0, zero, _SCAN, heads), parallel_iterations=1
    )
    return heads.stack()[:parts], kind == _END


def _png(index, content):
    head = tf.io.decode_raw(
        tf.strings.substr(content, 8, 24),
        tf.int32,
        little_endian=False,
        fixed_length=24,
    )
    width, height, kinds = tf.unstack(tf.cast(head[2:5], tf.int64))
    depth, colour = kinds // (1 << 24) % 256, kinds // (1 << 16) % 256
    size = tf.strings.length(content)

    def step(parts, place, kind, exif, length, key):
        head = tf.strings.substr(content, place, 8)
        head = tf.io.decode_raw(
            head, tf.int32, little_endian=False, fixed_length=8
        )
        long, kind = tf.unstack(head)
        is_exif = (kind == _kind(b"eXIf")) & (exif == 0)
        exif = tf.where(is_exif, place + 8, exif)
        length = tf.where(is_exif, long, length)
        key |= (kind == _kind(b"tRNS")) & (long != 0)
        # What does not end inside is damaged.
        fits = (long >= 0) & (long <= size - place - 12)
        place = tf.where(fits, place + 12 + long, size)
        return parts + 1, place, kind, exif, length, key

    def more(parts, place, kind, exif, length, key):
        here = (kind != _kind(b"IDAT")) & (place < size)
        return here & (parts <= headers.MAX_PARTS)

    start = 0, tf.minimum(33, size), 0, 0, 0, False
    _, place, kind, exif, length, key = tf.while_loop(
        more, step, start, parallel_iterations=1
    )
    known = tf.reduce_any(colour == tf.constant([0, 2, 3, 4, 6], tf.int64))
    content = require(
        (kind == _kind(b"IDAT")) & known & (height > 0) & (width > 0),
        ["Damaged PNG: `image_bytes` element", index],
        content,
    )
    most = tf.constant(headers.MAX_PIXELS, tf.int64)
    # Both first: the product of two sides below 2**25 cannot wrap.
    small = (height <= most) & (width <= most) & (height * width <= most)
    content = _require_small(small, index, height, width, most, content)
    deep = depth == 16
    content = require(
        ~(key & deep & (colour == 2)),
        ["16 bits with a colour key: `image_bytes` element", index],
        content,
    )
    rest = tf.strings.substr(content, place, 1 << 30)
    late = tf.size(
        tf.raw_ops.StringSplitV2(input=[rest], sep=b"eXIf", maxsplit=1).values
    )
    content = require(
        (late < 2) | (exif > 0),
        ["EXIF behind the pixels of a PNG: `image_bytes` element", index],
        content,
    )
    turn = _orientation(index, content, exif, length)
    # A key has no meaning where there is alpha already.
    alpha = (colour == 4) | (colour == 6) | (key & (colour < 4))
    grey = deep & (colour == 0)
    way = tf.where(grey, _GREY, _PLAIN) + tf.where(alpha, 1, 0)
    way, few = tf.cast(way, tf.int64), tf.cast(depth < 8, tf.int64)
    return tf.stack([height * width, 0, way, turn, few])


def _decode_png(content, way, few):
    def plain():
        return tf.io.decode_png(content, 3)

    def alpha():
        image = tf.io.decode_png(content, 4)
        # Where libpng passes over transparency that is damaged, it fills up
        # with ones of the depth that the file has.
        values = image[..., 3]
        none = few & tf.reduce_all(values == values[0, 0])
        none &= tf.reduce_any(values[0, 0] == np.array([1, 3, 15], "uint8"))
        values = tf.where(none, tf.constant(255, tf.uint8), values)
        return _on_white(image[..., :3], values)

    def grey():
        image = tf.io.decode_png(content, 1, tf.uint16)
        return tf.repeat(_to_8_bits(image), 3, axis=-1)

    def grey_alpha():
        image = tf.io.decode_png(content, 4, tf.uint16)
        values = tf.cast(image[..., 3] // 256, tf.uint8)
        return _on_white(_to_8_bits(image[..., :3]), values)

    return tf.switch_case(way, [plain, alpha, grey, grey_alpha])


def _to_8_bits(pixels):
    # 65535 + 128 would wrap.
    wide = tf.minimum(pixels, 65535 - 128) + 128
    return tf.cast(wide // 257, tf.uint8)


def _on_white(pixels, alpha):
    pixels, alpha = tf.cast(pixels, tf.uint16), tf.cast(alpha, tf.uint16)
    alpha = alpha[..., None]
    mixed = (pixels * alpha + 255 * (255 - alpha) + 127) // 255
    return tf.cast(mixed, tf.uint8)


def _orientation(index, content, exif, length):
    """The orientation in the EXIF of a file, `length` bytes from `exif` on."""
    return tf.cond(
        length > 0,
        lambda: _read_orientation(index, content, exif, length),
        lambda: tf.constant(1, tf.int64),
    )


def _read_orientation(index, content, exif, length):
    block = tf.strings.substr(content, exif, tf.minimum(length, _EXIF_LENGTH))
    # A small TIFF file: a byte order, the place of a table, and there a count
    # and entries of 12 bytes each. Zeros are what lies beyond.
    data = tf.io.decode_raw(block, tf.uint8, fixed_length=_EXIF_LENGTH)
    data = tf.pad(tf.cast(data, tf.int32), [[0, 16 * _EXIF_ENTRIES]])
    following = tf.roll(data, -1, 0)
    little = tf.strings.substr(block, 0, 2) == b"II"
    # The 16-bit number at each place.
    numbers = tf.where(little, data + 256 * following, 256 * data + following)

    def wide(place):
        """The 32-bit number at a place, where it is below 2**16."""
        one, two = tf.gather(numbers, place), tf.gather(numbers, place + 2)
        low, high = tf.where(little, one, two), tf.where(little, two, one)
        return tf.where(high == 0, low, 1 << 30)

    table = wide(4)
    place = tf.minimum(table, _EXIF_LENGTH)
    count = tf.gather(numbers, place)
    order = tf.range(_EXIF_ENTRIES)
    entries = place + 2 + 12 * order
    end = tf.minimum(length, _EXIF_LENGTH)
    wanted = (order < count) & (entries + 12 <= end)
    wanted &= tf.gather(numbers, entries) == headers.ORIENTATION
    found = tf.reduce_any(wanted)
    first = tf.argmax(tf.cast(wanted, tf.int32), output_type=tf.int32)
    entry = tf.gather(entries, first)
    kind = tf.gather(numbers, entry + 2)
    value = tf.where(kind == 1, tf.gather(data, entry + 8), 0)
    value = tf.where(kind == 3, tf.gather(numbers, entry + 8), value)
    value = tf.where(kind == 4, wide(entry + 8), value)
    start = tf.strings.substr(block, 0, 4)
    tiff = (start == headers.TIFF[0]) | (start == headers.TIFF[1])
    # It may be where this does not look.
    beyond = (table > _EXIF_LENGTH) | (count > _EXIF_ENTRIES)
    cut = (length > _EXIF_LENGTH) & (place + 2 + 12 * count > _EXIF_LENGTH)
    value = require(
        ~tiff | found | ~(beyond | cut),
        ["EXIF of an unusual form: `image_bytes` element", index],
        value,
    )
    turns = tiff & found & (value >= 1) & (value <= 8)
    return tf.cast(tf.where(turns, value, 1), tf.int64)


def _turned(image, turn):
    """The image, turned as the EXIF orientation says."""
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


def _kind(name):
    """The kind of a PNG's chunk as a number."""
    return int.from_bytes(name)


def _require_small(small, index, height, width, most, content):
    message = [
        "Too many pixels: `image_bytes` element",
        index,
        "height, width and the most there may be:",
        tf.stack([height, width, most]),
    ]
    return require(small, message, content)


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
