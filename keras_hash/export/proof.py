"""Whether a SavedModel gives files the codes that the library gives."""

import io

import numpy as np
from PIL import Image

from keras_hash import codes
from keras_hash import files
from keras_hash.data import headers
from keras_hash.data import images


def differing(model, folder, benchmark, count=100):
    """Positions of the images that the graph gives another code as files.

    `count` images of the queries, spread, are sent as files: their own where
    those are JPEG or PNG, and written as both where they are not, or where the
    graph refuses a file, as it may by its bounds. `model` gives the codes that
    the files should have, as read by `data.images`.
    """
    import tensorflow as tf

    pool, size = benchmark.images, model.image_shape[:2]
    query = benchmark.parts["query"]
    chosen = query[:: -(-len(query) // count) or 1]
    with files.plain(folder) as place:
        served = tf.saved_model.load(str(place))

    def given(contents):
        """A code of each file, `None` of one that is refused."""
        if not contents:
            return []
        try:
            found = served.encode_bytes(tf.constant(contents))
            return [*found["code"].numpy()]
        except tf.errors.InvalidArgumentError:
            # A request is bounded: what is too much at once is not by halves.
            half = len(contents) // 2
            if not half:
                return [None]
            return given(contents[:half]) + given(contents[half:])

    def wrong(contents, found):
        """Whether files have other codes, or are refused."""
        if not contents:
            return []
        batch = [images.fitted(images.decode(one), size) for one in contents]
        wanted = codes.pack(model.codes_of_batch(np.stack(batch)))
        pairs = zip(wanted, found)
        return [b is None or bool((a != b).any()) for a, b in pairs]

    found = []
    for low in range(0, len(chosen), 50):
        part = chosen[low : low + 50]
        own = [_own(pool, place) for place in part]
        sent = [i for i, content in enumerate(own) if content is not None]
        answers = given([own[i] for i in sent])
        taken = {i: x for i, x in zip(sent, answers) if x is not None}
        bad = dict(zip(taken, wrong([own[i] for i in taken], taken.values())))
        for kind in ("PNG", "JPEG"):
            rest = [i for i in range(len(part)) if i not in taken]
            made = [_written(pool, part[i], size, kind) for i in rest]
            for i, one in zip(rest, wrong(made, given(made))):
                bad[i] = bad.get(i) or one
        found += [low + i for i in sorted(bad) if bad[i]]
    return found


def _own(pool, place):
    """The bytes of an image's own file, where it is a JPEG or a PNG."""
    if not isinstance(pool, images.ImageFiles):
        return None
    content = pool.content(place)
    try:
        headers.read(content)
    except ValueError:
        return None
    return content


def _written(pool, place, size, kind):
    """An image as the bytes of a file, of the model's size if it is larger."""
    image = np.asarray(pool[place])
    if image.shape[0] > size[0] and image.shape[1] > size[1]:
        image = np.rint(images.fitted(image, size)).astype("uint8")
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind)
    return stream.getvalue()
