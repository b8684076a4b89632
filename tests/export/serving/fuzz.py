"""Sends damaged files to a served graph, in a process of its own.

PYTHONPATH=tools python tests/export/serving/fuzz.py SAVED_MODEL \\
    [FILES COUNT SEED REPORT] ...
"""

import faulthandler
import json
import pathlib
import resource
import sys
import time

import numpy as np
import tensorflow as tf
from mutations import mutate

from keras_hash.data import images


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
