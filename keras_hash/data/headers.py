"""What JPEG and PNG files say of themselves, before anything is decoded.

The exported graph walks through them by the same rules (`export/decoding.py`):
what is refused here it refuses too, and besides what it cannot decode alike. A
decoder gets the file without what each of them treats in its own way: metadata,
chunks whose checksum is wrong, second pictures.
"""

import dataclasses
import itertools
import re
import struct
import zlib

# A decoded image takes 12 bytes a pixel before it is resized: 384 MiB at most.
MAX_PIXELS = 1 << 25
# Pixels times scans of a JPEG: each scan goes through all of them.
MAX_WORK = 1 << 29
# Of a progressive JPEG all coefficients are held, 6 bytes a pixel.
MAX_PROGRESSIVE = 1 << 27
# Segments of a JPEG before its first scan, or behind it; chunks of a PNG before
# its pixels.
MAX_PARTS = 256
# Bytes behind the last row of a PNG, which decoders go through for nothing.
MAX_BEHIND = 1 << 26
# Coefficients of a progressive JPEG, the first ones, that decoders guess where
# the scans leave them out; each in its own way.
GUESSED = 10
ORIENTATION = 0x0112
TIFF = b"II*\0", b"MM\0*"
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
# What else people send, by how it begins: to be named where it is refused.
OTHERS = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"RIFF": "a WebP",
    TIFF[0]: "a TIFF",
    TIFF[1]: "a TIFF",
    b"\0\0\0": "a HEIC or AVIF",
}
# First row and column of each pass over a PNG, plain or interlaced, and steps.
_PASSES = (
    [(0, 0, 1, 1)],
    [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ],
)
# Depths and channels of each kind of PNG.
_DEPTHS = {
    0: (1, 2, 4, 8, 16),
    2: (8, 16),
    3: (1, 2, 4, 8),
    4: (8, 16),
    6: (8, 16),
}
_LAYERS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# In coded data 255 is followed by 0, by a restart or by more of itself.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Header:
    """What is known of a file before it is decoded.

    `scale` is by how much a JPEG is made smaller while it is decoded, and
    `content` the file as decoders get it. `layers` and `depth` are channels and
    bits of one, `key` the colour key of a grey PNG.
    """

    height: int
    width: int
    layers: int
    depth: int
    exif: bytes
    content: bytes
    scale: int = 1
    key: int | None = None


def is_image(start):
    """Whether the first 12 bytes are those of a kind that is read."""
    known = JPEG, PNG, b"GIF8", b"BM", *TIFF
    webp = start[:4] == b"RIFF" and start[8:] == b"WEBP"
    return start.startswith(known) or webp or start[4:8] == b"ftyp"


def read(content):
    """The `Header` of a JPEG or PNG, `None` of another kind of file."""
    if content.startswith(JPEG):
        return _jpeg(content)
    return _png(content) if content.startswith(PNG) else None


def orientation(exif):
    """The orientation in a block of EXIF, 1 to 8; 1 where there is none."""
    if not exif.startswith(TIFF):
        return 1
    order = "little" if exif.startswith(b"II") else "big"

    def number(place, size):
        return int.from_bytes(exif[place : place + size], order)

    table = number(4, 4)
    for entry in range(number(table, 2)):
        place = table + 2 + 12 * entry
        if len(exif) < place + 12:
            break
        if number(place, 2) == ORIENTATION:
            # As bytes, two bytes or four.
            size = {1: 1, 3: 2, 4: 4}.get(number(place + 2, 2), 0)
            turn = number(place + 8, size)
            return turn if 1 <= turn <= 8 else 1
    return 1


def _jpeg(content):
    exif, frame, kept = b"", None, [content[:2]]
    place = 2
    for _ in range(MAX_PARTS):
        if content[place : place + 2] == b"\xff\xff":
            # Bytes that fill up.
            place += 1
            continue
        segment, marker = _segment(content, place)
        if marker == 0xDA:
            break
        place += len(segment)
        data = segment[4:]
        if marker == 0xE1 and not exif and data.startswith(b"Exif\0\0"):
            exif = data[6:]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if frame is not None or len(data) < 6:
                raise ValueError("damaged: a second frame, or half of one")
            frame = marker, data
        # What decoders use of an application's data: JFIF's and Adobe's.
        plain = not 0xE0 <= marker <= 0xEF and marker != 0xFE
        jfif = marker == 0xE0 and data.startswith(b"JFIF\0") and len(data) > 13
        adobe = marker == 0xEE and data.startswith(b"Adobe") and len(data) > 11
        if plain or jfif or adobe:
            kept.append(segment)
    else:
        raise ValueError(f"a JPEG of more than {MAX_PARTS} segments")
    if frame is None:
        raise ValueError("damaged: a scan before the frame")
    scans, heads = _scans(content, place)
    content = b"".join([*kept, content[place:]])
    header = _checked_jpeg(frame, exif, scans, content)
    marker, data = frame
    names = data[6 : 6 + 3 * header.layers : 3]
    if marker == 0xC2 and not _is_complete(names, heads):
        raise ValueError("a JPEG that lacks scans; save it again")
    return header


def _checked_jpeg(frame, exif, scans, content):
    marker, data = frame
    depth, layers = data[0], data[5]
    height, width = (int.from_bytes(data[i : i + 2]) for i in (1, 3))
    if marker > 0xC2 or depth != 8:
        raise ValueError("a JPEG of an unusual coding; save it as baseline")
    pixels = height * width
    scale = next((s for s in (1, 2, 4, 8) if _fits(height, width, s)), None)
    if not pixels:
        raise ValueError("damaged: a JPEG without pixels")
    largest = MAX_PROGRESSIVE if marker == 0xC2 else MAX_WORK
    if scale is None or pixels > largest:
        raise ValueError(f"{width}x{height} pixels, above {largest}")
    if pixels * scans > MAX_WORK:
        raise ValueError(f"a JPEG of too many scans, {scans}")
    return Header(height, width, layers, depth, exif, content, scale)


def _fits(height, width, scale):
    return -(-height // scale) * -(-width // scale) <= MAX_PIXELS


def _segment(content, place):
    """A segment of a JPEG, and its marker."""
    marker = content[place + 1] if len(content) > place + 3 else 0
    length = int.from_bytes(content[place + 2 : place + 4])
    segment = content[place : place + 2 + length]
    alone = marker < 0xC0 or 0xD0 <= marker <= 0xD9
    if segment[:1] != b"\xff" or alone or not 2 <= length == len(segment) - 2:
        raise ValueError("damaged: a segment of the JPEG is cut or no segment")
    return segment, marker


def _scans(content, place):
    """The scans of a JPEG, counted to the end of the file, and what stands at
    the head of each that a decoder comes to."""
    first, heads = None, []
    for _ in range(1 + MAX_PARTS):
        segment, marker = _segment(content, place)
        if marker == 0xDA:
            heads.append(segment[4:])
        place += len(segment)
        first = first or place
        found = _MARKER.search(content, place)
        if found is None:
            raise ValueError("damaged: the JPEG has no end")
        place = found.start()
        if content[place + 1] == 0xD9:
            return 1 + content.count(b"\xff\xda", first), heads
    raise ValueError(f"a JPEG of more than {MAX_PARTS} parts after the first")


def _is_complete(names, heads):
    """Whether all that decoders may guess of a progressive JPEG is sent, for
    each component and to the last bit."""
    known = set()
    for head in heads:
        if len(head) not in (6, 8, 10, 12) or len(head) != 4 + 2 * head[0]:
            # Decoders refuse it.
            continue
        first, last, bits = head[-3:]
        band = range(first, min(last + 1, GUESSED))
        sent = {(name, one) for name in head[1:-3:2] for one in band}
        # What is below the bits of the last scan is not known any more.
        known = known - sent if bits & 15 else known | sent
    wanted = {(name, one) for name in names for one in range(GUESSED)}
    # A name that comes twice is that of the first component.
    return wanted <= known and len(set(names)) == len(names)


def _png(content):
    chunks = _chunks(content)
    kind, data, fine = next(chunks)
    if kind != b"IHDR" or len(data) != 13 or not fine:
        raise ValueError("damaged: the PNG has no header")
    width, height, depth, colour, *coding, laced = struct.unpack(">2I5B", data)
    usual = depth in _DEPTHS.get(colour, ()) and coding == [0, 0] and laced < 2
    if not usual or not height * width:
        raise ValueError("damaged: the header of the PNG makes no sense")
    if height * width > MAX_PIXELS:
        raise ValueError(f"{width}x{height} pixels, above {MAX_PIXELS}")
    kept, exif, key, coded = [(kind, data)], b"", b"", []
    for number, (kind, data, fine) in enumerate(chunks):
        optional = kind[0] & 32
        known = optional or (fine and kind in (b"PLTE", b"IDAT", b"IEND"))
        if not (kind.isalpha() and known):
            raise ValueError("damaged: a chunk of the PNG")
        if number >= MAX_PARTS and not coded:
            raise ValueError(f"a PNG of more than {MAX_PARTS} chunks")
        if kind == b"eXIf" and not exif:
            exif = data
        if kind == b"IDAT":
            coded.append((number, data))
        elif not coded and kind == b"PLTE":
            kept.append((kind, data))
        elif not coded and kind == b"tRNS" and data:
            if (colour, depth) == (2, 16):
                raise ValueError("a PNG of 16 bits with a colour key")
            if fine and not key and _is_key(data, colour, kept):
                key = data if colour == 3 else _masked(data, depth)
                kept.append((kind, key))
    if not coded:
        raise ValueError("damaged: the PNG has no pixels")
    # They end with the first chunk of another kind.
    first, _ = coded[0]
    pixels = [d for i, (number, d) in enumerate(coded) if number == first + i]
    layers = _LAYERS[colour]
    size = _size(height, width, depth * layers, _PASSES[laced])
    rows = _inflated(pixels, size)
    kept += [(b"IDAT", rows), (b"IEND", b"")]
    clean = b"".join([PNG, *(_chunk(*one) for one in kept)])
    key = int.from_bytes(key) if colour == 0 and key else None
    return Header(height, width, layers, depth, exif, clean, key=key)


def _size(height, width, bits, passes):
    """Bytes of the rows of a PNG, each with one that says how it is coded."""
    size = 0
    for top, left, down, right in passes:
        rows = -(-max(0, height - top) // down)
        across = -(-max(0, width - left) // right)
        size += rows * (1 + -(-across * bits // 8)) if across else 0
    return size


def _inflated(chunks, size):
    """The rows of a PNG, all of them, coded again without compression.

    Pieces are read, and what lies behind the last row is judged, as libpng does
    it: errors there count for nothing, but the end has to be there.
    """
    stream, rows, behind, over = zlib.decompressobj(), bytearray(), 0, False
    for piece in itertools.chain.from_iterable(map(_pieces, chunks)):
        try:
            if len(rows) < size:
                rows += stream.decompress(piece, size - len(rows))
                piece = stream.unconsumed_tail
        except zlib.error as error:
            reason = f"damaged: the pixels of the PNG, {error}"
            raise ValueError(reason) from error
        if len(rows) < size and not stream.eof:
            continue
        try:
            while piece and not (stream.eof or over or behind > MAX_BEHIND):
                behind += len(stream.decompress(piece, 1 << 16))
                piece = stream.unconsumed_tail
                # It asks no further where nothing came first.
                over = not behind
        except zlib.error:
            over = True
        if stream.eof or over or behind > MAX_BEHIND:
            break
    if len(rows) < size:
        raise ValueError("damaged: the PNG has too few pixels")
    if behind > MAX_BEHIND:
        raise ValueError("damaged: a PNG of more pixels than its header says")
    if not (stream.eof or over):
        raise ValueError("damaged: the pixels of the PNG have no end")
    return zlib.compress(bytes(rows), 0)


def _pieces(chunk, size=8192):
    """What libpng reads of a chunk at a time."""
    return [chunk[i : i + size] for i in range(0, len(chunk), size)]


def _masked(key, depth):
    """The colours of a key, of which as many bits count as a pixel has."""
    mask = (1 << depth) - 1
    pairs = (int.from_bytes(key[i : i + 2]) for i in range(0, len(key), 2))
    return b"".join((colour & mask).to_bytes(2) for colour in pairs)


def _is_key(data, colour, kept):
    """Whether transparency is of the length that its kind of PNG has."""
    palette = next((len(d) // 3 for kind, d in kept if kind == b"PLTE"), 0)
    lengths = {0: [2], 2: [6], 3: range(1, palette + 1)}
    return len(data) in lengths.get(colour, ())


def _chunks(content):
    """Kind, data and whether the checksum holds, of each chunk to the end."""
    place = len(PNG)
    while True:
        length = int.from_bytes(content[place : place + 4])
        kind = content[place + 4 : place + 8]
        end = place + 8 + length
        if len(content) < end + 4:
            raise ValueError("damaged: the PNG is cut")
        data = content[place + 8 : end]
        checksum = int.from_bytes(content[end : end + 4])
        yield kind, data, checksum == zlib.crc32(kind + data)
        if kind == b"IEND":
            return
        place = end + 4


def _chunk(kind, data):
    checksum = zlib.crc32(kind + data).to_bytes(4)
    return len(data).to_bytes(4) + kind + data + checksum
