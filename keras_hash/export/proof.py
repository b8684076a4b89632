"""Whether a SavedModel gives files the codes that the library gives."""

import io

import numpy as np
from PIL import Image

from keras_hash import codes
from keras_hash import files
from keras_hash.data import headers
from keras_hash.data import images


def differing(model, folder, benchmark, count=100):
    """Positions of the files that the graph gives another code, or refuses.

    `count` images of the queries, spread, are sent as files: their own where
    those are JPEG or PNG, and written as both where they are not. `model` gives
    the codes that the files should have, as read by `data.images`.
    """
    import tensorflow as tf

    query = benchmark.parts["query"]
    chosen = query[:: -(-len(query) // count) or 1]
    contents = [file for place in chosen for file in _files(benchmark, place)]
    with files.plain(folder) as place:
        served = tf.saved_model.load(str(place))
    found = []
    for low in range(0, len(contents), 50):
        part = contents[low : low + 50]
        batch = np.stack(
            [
                images.fitted(images.decode(one), model.image_shape[:2])
                for one in part
            ]
        )
        wanted = codes.pack(model.codes_of_batch(batch))
        try:
            given = served.encode_bytes(tf.constant(part))["code"].numpy()
        except tf.errors.InvalidArgumentError:
            given = ~wanted
        wrong = (given != wanted).any(axis=1)
        found += (low + np.flatnonzero(wrong)).tolist()
    return found


def _files(benchmark, place):
    """One image as the bytes of files."""
    pool = benchmark.images
    if isinstance(pool, images.ImageFiles):
        content = pool.content(place)
        try:
            header = headers.read(content)
        except ValueError:
            header = None
        if header is not None and header.layers < 4:
            return [content]
    written = []
    for kind in ("PNG", "JPEG"):
        stream = io.BytesIO()
        Image.fromarray(np.asarray(pool[place])).save(stream, kind)
        written.append(stream.getvalue())
    return written
