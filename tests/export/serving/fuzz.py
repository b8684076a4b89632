"""Sends damaged files to a served graph, in a process of its own.

python tests/export/serving/fuzz.py SAVED_MODEL [FILES COUNT SEED REPORT] ...
"""

import faulthandler
import json
import pathlib
import re
import resource
import struct
import sys
import time
import zlib

import numpy as np
import tensorflow as tf

from keras_hash.data import images


def mutate(random, contents):
    """A content, damaged in one of several ways."""
    content = bytearray(contents[random.randint(len(contents))])
    size = len(content)
    way = random.randint(9)
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
        other = contents[random.randint(len(contents))]
        content = content[:low] + other[random.randint(len(other)) :]
    else:
        # Sides that the body does not have, with nothing else wrong.
        sides = [int(2 ** random.uniform(0, 14)) for _ in range(2)]
        if content[:4] == b"\x89PNG":
            content[16:24] = struct.pack(">II", *sides)
            content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
        else:
            place = re.search(rb"\xff[\xc0\xc2]", content).start() + 5
            content[place : place + 4] = struct.pack(">HH", *sides)
    return bytes(content)


def fuzz(served, files, count, seed, report):
    """Sends mutations of files to the signatures of a graph.

    Each answer is compared with the reader of files: what that refuses has to
    be refused, what it decodes has to have the same code.
    """
    encode, encode_bytes = served["encode"], served["encode_bytes"]
    contents = [p.read_bytes() for p in sorted(pathlib.Path(files).iterdir())]
    found = {"decoded": 0, "refused": 0, "slowest": 0.0}
    random = np.random.RandomState(seed)
    started = time.perf_counter()

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    # Everything once as it is: this has to decode.
    for content in contents:
        encode_bytes(image_bytes=tf.constant([content]))
    before = peak()
    for number in range(count):
        content = mutate(random, contents)
        # Where a crash or a stall will have been.
        pathlib.Path(report).with_suffix(".now").write_bytes(content)
        begun = time.perf_counter()
        try:
            code = encode_bytes(image_bytes=tf.constant([content]))["code"]
            refusal = None
        except tf.errors.InvalidArgumentError as error:
            refusal = error.message
        except UnicodeDecodeError as error:
            # Messages may quote bytes of the file.
            refusal = str(error)
        seconds = time.perf_counter() - begun
        found["slowest"] = max(found["slowest"], seconds)
        assert seconds < 20, (number, seconds)
        try:
            pixels = images.decode(content)
        except ValueError as error:
            assert refusal, (number, str(error))
            found["refused"] += 1
            continue
        assert refusal is None, (number, refusal)
        found["decoded"] += 1
        alone = encode(image=tf.cast(pixels, tf.float32)[None])["code"]
        np.testing.assert_array_equal(code, alone, err_msg=str(number))
    found["seconds"] = time.perf_counter() - started
    found["mebibytes"] = (peak() - before) / 1024
    pathlib.Path(report).write_text(json.dumps(found))


if __name__ == "__main__":
    faulthandler.enable()
    signatures = tf.saved_model.load(sys.argv[1]).signatures
    for place in range(2, len(sys.argv), 4):
        files, count, seed, report = sys.argv[place : place + 4]
        fuzz(signatures, files, int(count), int(seed), report)
