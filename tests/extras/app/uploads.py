"""What is sent to a page: forms, and a file that claims too much."""

import struct
import zlib


def png_header(width, height):
    """A PNG file that claims to be large."""

    def chunk(kind, content):
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(
                b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
            ),
            chunk(b"IDAT", zlib.compress(bytes(1000))),
            chunk(b"IEND", b""),
        ]
    )


def multipart(name, content):
    body = (
        f'--x\r\nContent-Disposition: form-data; name="files"; '
        f'filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
    ).encode()
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    return {"data": body + content + b"\r\n--x--\r\n", "headers": headers}
