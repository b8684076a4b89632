"""Damaged files: what `tools/fuzz.py` and the tests of the graph send."""

import hashlib
import re
import struct
import zlib

import numpy as np

# What stands in the place of a value in text.
TOKENS = (
    b"", b"null", b"true", b"-1", b"0", b"1e999", b"NaN", b"99999999999999999",
    b"[]", b"{}", b'""', b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"[[[[[[[[",
    "é\u2028".encode(), b"\xed\xb3\xbf", b"..", b"/", b"a" * 300,
)  # fmt: skip
_PNG = b"\x89PNG\r\n\x1a\n"


def mutate(random, contents, largest=14):
    """A content, damaged in one of several ways.

    An image may claim other sides than its body has, up to `2**largest`.
    """
    content = bytearray(contents[random.randint(len(contents))] or b"\0")
    size = len(content)
    way = random.randint(11)
    low, high = np.sort(random.randint(0, size, 2))
    if way == 0:
        for place in random.randint(0, size, random.randint(1, 9)):
            content[place] = random.randint(256)
    elif way == 1:
        content[low] ^= 1 << random.randint(8)
    elif way == 2:
        content = content[:low]
    elif way == 3:
        content[low:low] = random.bytes(random.randint(1, 65))
    elif way == 4:
        content = content[:low] + content[high:]
    elif way == 5:
        # Whole runs again: frames, scans, blocks.
        content = content[:high] + content[low:]
    elif way == 6:
        extreme = (0, 1, 0x7F, 0x80, 0xFF)
        for _ in range(random.randint(1, 5)):
            place = random.randint(min(size, 64))
            content[place] = extreme[random.randint(5)]
    elif way == 7:
        other = contents[random.randint(len(contents))] or b"\0"
        content = content[:low] + other[random.randint(len(other)) :]
    elif way == 8:
        _claim(random, content, largest)
    else:
        _value(random, content, low)
    return bytes(content)


def _claim(random, content, largest):
    """Sides that the body does not have, with nothing else wrong."""
    sides = [int(2 ** random.uniform(0, largest)) for _ in range(2)]
    frame = re.search(rb"\xff[\xc0\xc2]", content)
    if content.startswith(_PNG):
        content[16:24] = struct.pack(">II", *sides)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    elif frame and content[:2] == b"\xff\xd8":
        place = frame.start() + 5
        content[place : place + 4] = struct.pack(">HH", *sides)


def _value(random, content, low):
    """Another value in text, or one more."""
    token = TOKENS[random.randint(len(TOKENS))]
    found = list(re.finditer(rb'[\w.+-]+|"[^"\n]*"', content[low : low + 400]))
    if not found:
        content[low:low] = token
        return
    start, end = found[random.randint(len(found))].span()
    content[low + start : low + end] = token


def seal_png(content):
    """The file with right checksums, as far as its chunks go."""
    content, place = bytearray(content), len(_PNG)
    while place + 12 <= len(content):
        end = place + 8 + int.from_bytes(content[place : place + 4])
        if end + 4 > len(content):
            break
        checksum = zlib.crc32(content[place + 4 : end])
        content[end : end + 4] = struct.pack(">I", checksum)
        place = end + 4
    return bytes(content)


def seal_index(content):
    """The index file with the sha256 of what it holds."""
    start = content.find(b"\n") + 1
    if not start or len(content) < start + 65:
        return content
    digest = hashlib.sha256(content[start + 65 :]).hexdigest().encode()
    return content[:start] + digest + b"\n" + content[start + 65 :]


def seal_tar(content):
    """The archive with the checksums that its headers should have."""
    content = bytearray(content)
    for place in range(0, len(content) - 511, 512):
        if content[place + 257 : place + 262] == b"ustar":
            content[place + 148 : place + 156] = b" " * 8
            total = sum(content[place : place + 512])
            content[place + 148 : place + 156] = b"%06o\0 " % total
    return bytes(content)
