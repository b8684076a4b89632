"""A file of arrays: checked by sha256, and mapped into memory on demand.

A line with the format's name and version, a line with the sha256 of all that
follows, the length of a JSON header in 8 bytes, the header, and the arrays,
each at a multiple of 64 bytes from the start of the file.
"""

import hashlib
import json
import mmap as mmap_lib

import numpy as np

from keras_hash import files

VERSION = 2
_NAME = b"keras_hash.Index "
_FIRST = len(_NAME) + 4
_ALIGN = 64


def write(path, fields, arrays):
    """Writes a dict that JSON can hold, and a dict of arrays."""
    arrays = {
        name: np.ascontiguousarray(
            array, np.asarray(array).dtype.newbyteorder("<")
        )
        for name, array in arrays.items()
    }
    # Places count from the end of the header, which is at such a multiple.
    places, size = {}, 0
    for name, array in arrays.items():
        places[name] = [array.dtype.str, list(array.shape), size]
        size += -(-array.nbytes // _ALIGN) * _ALIGN
    content = {"fields": fields, "arrays": places}
    header = files.to_json(content, indent=None).encode()
    start = _FIRST + 65 + 8
    header += b" " * (-(start + len(header)) % _ALIGN)
    parts = [len(header).to_bytes(8, "little"), header]
    for array in arrays.values():
        parts += [array.tobytes(), bytes(-array.nbytes % _ALIGN)]
    rest = b"".join(parts)
    digest = hashlib.sha256(rest).hexdigest().encode()
    first = _NAME + b"%3d\n" % VERSION
    files.write(path, b"".join([first, digest, b"\n", rest]))


def read(path, mmap=False):
    """The fields and the read-only arrays that `write` wrote, checked."""
    with open(files.local(path), "rb") as file:
        if file.read(len(_NAME)) != _NAME:
            raise ValueError("it is not one")
        file.seek(0)
        if mmap:
            access = mmap_lib.ACCESS_READ
            content = mmap_lib.mmap(file.fileno(), 0, access=access)
        else:
            content = file.read()
    version = content[len(_NAME) : _FIRST].strip()
    if version.isdigit() and int(version) > VERSION:
        raise ValueError(
            f"format {int(version)}; this keras_hash reads up to {VERSION}"
        )
    digest = hashlib.sha256(memoryview(content)[_FIRST + 65 :]).hexdigest()
    if (
        content[:_FIRST] != _NAME + b"%3d\n" % VERSION
        or content[_FIRST : _FIRST + 65] != digest.encode() + b"\n"
    ):
        raise ValueError("damaged: its sha256 does not match")
    start = _FIRST + 65 + 8
    length = int.from_bytes(content[start - 8 : start], "little")
    try:
        header = json.loads(content[start : start + length])
        arrays = {}
        for name, (dtype, shape, offset) in header["arrays"].items():
            count = int(np.prod(shape, dtype="int64"))
            offset += start + length
            array = np.frombuffer(content, dtype, count, offset)
            arrays[name] = array.reshape(shape)
        return dict(header["fields"]), arrays
    except Exception as error:
        # Of what other code wrote; NumPy raises nearly anything.
        raise ValueError(f"its header makes no sense: {error}") from error
