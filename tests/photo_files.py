"""Photo files of every kind, written by hand where Pillow would not."""

import io
import re
import struct
import zlib

import numpy as np
from PIL import Image

LAYERS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = {
    0: (1, 2, 4, 8, 16),
    2: (8, 16),
    3: (1, 2, 4, 8),
    4: (8, 16),
    6: (8, 16),
}


def chunk(kind, data):
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


def png(pixels, depth, colour, palette=b"", key=b"", extra=b"", late=b""):
    """A PNG of `[h, w, layers]`, with chunks before and behind its pixels."""
    height, width = pixels.shape[:2]
    rows = b""
    for row in pixels.reshape(height, -1):
        if depth < 8:
            ones = row[:, None] >> np.arange(depth)[::-1] & 1
            row = np.packbits(ones.astype("uint8").reshape(-1))
        rows += b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + (chunk(b"PLTE", palette) if palette else b"")
        + (chunk(b"tRNS", key) if key else b"")
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + late
        + chunk(b"IEND", b"")
    )


def pngs(random):
    """A PNG of each colour, depth and transparency, by name."""
    found = {}
    for colour, depths in DEPTHS.items():
        for depth in depths:
            shape = 13, 17, LAYERS[colour]
            pixels = random.randint(0, 1 << depth, shape)
            palette = random.bytes(3 << depth) if colour == 3 else b""
            key = struct.pack(f">{shape[2]}H", *pixels[3, 4])
            key = random.bytes(1 << depth) if colour == 3 else key
            name = f"png colour {colour} depth {depth}"
            found[name] = png(pixels, depth, colour, palette)
            if colour < 4:
                found[f"{name} key"] = png(pixels, depth, colour, palette, key)
            if colour in (0, 2) and depth < 16:
                # Of its numbers only as many bits count as a pixel has.
                key = struct.pack(f">{shape[2]}H", *(pixels[3, 4] | 0xA500))
                found[f"{name} odd key"] = png(pixels, depth, colour, key=key)
    return found


def exif(turn, order="<", kind=3, entries=0, place=8):
    """A block of EXIF: some entries, then the orientation."""
    mark = {"<": b"II", ">": b"MM"}[order]
    value = {
        1: bytes([turn, 0, 0, 0]),
        3: struct.pack(order + "HH", turn, 0),
        4: struct.pack(order + "I", turn),
    }[kind]
    table = struct.pack(order + "H", entries + 1)
    table += entries * struct.pack(order + "HHII", 0x0100, 4, 1, 7)
    table += struct.pack(order + "HHI", 0x0112, kind, 1) + value
    head = mark + struct.pack(order + "HI", 42, place)
    return head.ljust(place, b"\0") + table + bytes(4)


def saved(pixels, kind, mode=None, **settings):
    """What Pillow writes."""
    image = Image.fromarray(pixels)
    stream = io.BytesIO()
    (image.convert(mode) if mode else image).save(stream, kind, **settings)
    return stream.getvalue()


def segment(marker, data):
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def with_exif(jpeg, block):
    """A JPEG with a block of EXIF."""
    return jpeg[:2] + segment(0xE1, b"Exif\0\0" + block) + jpeg[2:]


def scans(jpeg):
    """Where the scans of a JPEG start and end."""
    found = re.finditer(rb"\xff\xda([^\xff]|\xff\0)*", jpeg)
    return [one.span() for one in found]


def without(jpeg, *numbers):
    """A JPEG from which some of its scans are cut."""
    cuts = [(0, 0), *(scans(jpeg)[number] for number in numbers)]
    starts = [start for start, _ in cuts[1:]] + [len(jpeg)]
    return b"".join(jpeg[end:start] for (_, end), start in zip(cuts, starts))


def changed(content, *changes):
    """A content with other bytes at some places."""
    content = bytearray(content)
    for place, value in changes:
        content[place] = value
    return bytes(content)


def lacking(random):
    """Progressive JPEGs that decoders would smooth, each in its own way."""
    scene = random.randint(0, 256, (30, 41, 3), "uint8")
    jpeg = saved(scene, "JPEG", progressive=True)
    grey = saved(scene, "JPEG", "L", progressive=True)
    frame, starts = jpeg.index(b"\xff\xc2"), [low for low, _ in scans(jpeg)]
    # The components' names in the frame and in the scans: 3 becomes 2.
    twins = [frame + 16, starts[0] + 9, starts[6] + 9]
    twins += [starts[2] + 5, starts[7] + 5]
    # Of the scans 2, 3, 7 and 8 have a component of colour, 4 the fine detail
    # of the light, 5 and 9 its next and its last bit.
    return {
        "last scan missing": without(jpeg, 9),
        "last scan of a colour missing": without(jpeg, 7),
        "last bits of a level missing": without(jpeg, 6),
        "a component missing": without(jpeg, 2, 7),
        "only coarse": without(jpeg, 1, 2, 3, 4, 5, 7, 8, 9),
        "last scan of grey missing": without(grey, -1),
        "another lowest bit": changed(jpeg, (starts[8] + 9, 0x21)),
        "another component": changed(jpeg, (starts[9] + 5, 2)),
        "another start": changed(jpeg, (starts[9] + 7, 2)),
        "another end": changed(jpeg, (starts[9] + 8, 8)),
        "twin components": changed(jpeg, *((place, 2) for place in twins)),
        "the end before the last scan": (
            without(jpeg, 9) + jpeg[slice(*scans(jpeg)[9])] + jpeg[-2:]
        ),
    }


def alike(random):
    """Files that the reader and the graph decode to the same bytes."""
    scene = np.asarray(
        Image.fromarray(random.randint(0, 256, (5, 6, 3), "uint8")).resize(
            (41, 30), Image.Resampling.BICUBIC
        )
    )
    noise = random.randint(0, 256, (30, 41, 3), "uint8")
    plain = saved(scene, "JPEG")
    staged = saved(scene, "JPEG", progressive=True)
    files = {
        name: content
        for name, content in pngs(random).items()
        if name != "png colour 2 depth 16 key"
    }
    for pixels, named in ((scene, "scene"), (noise, "noise")):
        for quality in (20, 90):
            for sampling in range(3):
                for progressive in (False, True):
                    files[
                        f"jpeg {named} {quality} {sampling} {progressive}"
                    ] = saved(
                        pixels,
                        "JPEG",
                        quality=quality,
                        subsampling=sampling,
                        progressive=progressive,
                    )
    for turn in range(10):
        for order in "<>":
            block = exif(turn, order)
            name = f"orientation {turn} {order}"
            files[f"jpeg {name}"] = with_exif(plain, block)
            extra = chunk(b"eXIf", block)
            files[f"png {name}"] = png(scene, 8, 2, extra=extra)
    for kind in (1, 4):
        for order in "<>":
            block = exif(6, order, kind)
            files[f"jpeg exif of kind {kind} {order}"] = with_exif(plain, block)
    for name, block in {
        "far": exif(6, place=3000),
        "behind others": exif(6, entries=40),
        "cut": exif(6)[:-8],
        "empty": b"",
        "no tiff": b"nothing of use",
        "unusual": exif(200),
    }.items():
        files[f"jpeg exif {name}"] = with_exif(plain, block)
    for mode in ("L", "1", "P", "LA", "RGBA"):
        files[f"png of Pillow {mode}"] = saved(scene, "PNG", mode)
    files |= {
        "jpeg grey": saved(scene, "JPEG", "L"),
        "jpeg of one pixel": saved(scene[:1, :1], "JPEG"),
        "jpeg comment": plain[:2] + segment(0xFE, b"a word") + plain[2:],
        "jpeg filled up": plain[:2] + b"\xff\xff\xff" + plain[2:],
        "jpeg profile": saved(scene, "JPEG", icc_profile=bytes(3000)),
        "jpeg progressive grey": saved(scene, "JPEG", "L", progressive=True),
        "jpeg progressive of one pixel": saved(
            scene[:1, :1], "JPEG", progressive=True
        ),
        "jpeg progressive of restarts": saved(
            scene, "JPEG", progressive=True, restart_marker_blocks=2
        ),
        # What comes later sends the last bits of these too.
        "jpeg without an early scan": without(staged, 4),
        "jpeg without the end of its detail": changed(
            staged, (scans(staged)[9][0] + 8, 9)
        ),
        "jpeg of late segments": (
            plain[:-2] + 256 * segment(0xFE, b"") + plain[-2:]
        ),
        "jpeg and another": plain + plain,
        "jpeg and more": plain + b"more",
        "jpeg exif twice": with_exif(with_exif(plain, exif(3)), exif(6)),
        "jpeg odd data": plain[:2] + segment(0xE5, b"\xff\xda" * 9) + plain[2:],
        "png text": png(scene, 8, 2, extra=chunk(b"tEXt", b"a\0b")),
        "png late text": png(scene, 8, 2, late=chunk(b"tEXt", b"a\0b")),
        "png gamma": png(scene, 8, 2, extra=chunk(b"gAMA", b"\0\0\x20\0")),
        "png bad checksum of a text": png(
            scene, 8, 2, extra=chunk(b"tEXt", b"a\0b")[:-1] + b"?"
        ),
    }
    return files


def by_the_reader(random):
    """Files that the reader alone takes, and what the graph says of them."""
    scene = random.randint(0, 256, (30, 41, 3), "uint8")
    plain = saved(scene, "JPEG")
    alpha = random.randint(0, 256, (30, 41, 4), "uint8")
    files = {
        "webp": (saved(scene, "WEBP"), "a WebP"),
        "webp alpha": (saved(alpha, "WEBP", lossless=True), "a WebP"),
        "gif": (saved(scene, "GIF"), "a GIF"),
        "bmp": (saved(scene, "BMP"), "a BMP"),
        "bmp palette": (saved(scene, "BMP", "P"), "a BMP"),
        "tiff": (saved(scene, "TIFF"), "a TIFF"),
        "tiff alpha": (saved(alpha, "TIFF"), "a TIFF"),
        "cmyk": (saved(scene, "JPEG", "CMYK"), "CMYK"),
        "cmyk progressive": (
            saved(scene, "JPEG", "CMYK", progressive=True),
            "CMYK",
        ),
        "png with late exif": (
            png(scene, 8, 2, late=chunk(b"eXIf", exif(6))),
            "EXIF behind the pixels",
        ),
        "exif of many entries": (
            with_exif(plain, exif(6, entries=80)),
            "EXIF of an unusual form",
        ),
        "exif far away": (
            with_exif(plain, exif(6, place=6000)),
            "EXIF of an unusual form",
        ),
    }
    return files


def refused(random):
    """Files that nobody takes, by name."""
    scene = random.randint(0, 256, (30, 41, 3), "uint8")
    jpeg, whole = saved(scene, "JPEG"), saved(scene, "PNG")
    sof = jpeg.index(b"\xff\xc0")
    huge = struct.pack(">II", 9000, 9000)
    header = chunk(b"IHDR", huge + bytes([8, 2, 0, 0, 0]))
    return {
        "empty": b"",
        "text": b"plain text that is long enough to be an image",
        "start of a jpeg": jpeg[:3],
        "half a jpeg": jpeg[: len(jpeg) // 2],
        "jpeg without end": jpeg[:-2],
        "jpeg of 12 bits": jpeg[: sof + 4] + b"\x0c" + jpeg[sof + 5 :],
        "jpeg without pixels": jpeg[: sof + 5] + bytes(4) + jpeg[sof + 9 :],
        "jpeg of two frames": jpeg[:sof] + jpeg[sof : sof + 19] + jpeg[sof:],
        "jpeg with rubbish": jpeg[:20] + b"rubbish" + jpeg[20:],
        "jpeg of segments": jpeg[:2] + 300 * segment(0xFE, b"") + jpeg[2:],
        "jpeg of late segments": (
            jpeg[:-2] + 257 * segment(0xFE, b"") + jpeg[-2:]
        ),
        "jpeg with a marker in its pixels": (
            jpeg[:-9] + b"\xff\xc0\x80\xb9" + jpeg[-5:]
        ),
        "jpeg too large": (
            jpeg[: sof + 5] + b"\xff\xff\xff\xff" + jpeg[sof + 9 :]
        ),
        # Of runs, the first of which ends the row.
        "bmp of few bytes": (
            saved(scene, "BMP", "P")[:18]
            + struct.pack("<IIHHI", 1 << 20, 60, 1, 8, 1)
            + saved(scene, "BMP", "P")[34:-2000]
            + bytes(120)
        ),
        "half a png": whole[: len(whole) // 2],
        "png without end": whole[:-12],
        "png of a wrong checksum": whole[:-20] + b"????" + whole[-16:],
        "png too large": whole[:8] + header + whole[33:],
        "png whose pixels have no end": (
            whole[:33]
            + chunk(b"IDAT", whole[41:-16][:-3])
            + chunk(b"IEND", b"")
        ),
        "png of too few rows": (
            whole[:8]
            + chunk(b"IHDR", struct.pack(">II", 41, 31) + whole[24:29])
            + whole[33:]
        ),
        "png of chunks": whole[:33] + 300 * chunk(b"tEXt", b"a") + whole[33:],
        "png with a key of 16 bits": png(
            scene.astype("int64") * 257, 16, 2, key=bytes(6)
        ),
        "png of an unknown need": (
            whole[:33] + chunk(b"NEED", b"") + whole[33:]
        ),
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'></svg>",
    }
