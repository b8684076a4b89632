"""Codes, labels and thumbnails as files for TensorBoard's Projector."""

import io

import numpy as np
from PIL import Image
from tensorboard.plugins import projector

from keras_hash import codes as codes_lib
from keras_hash import files
from keras_hash.data import images


def write(folder, bits, items, class_names=None):
    """Writes items, `(position, code, label, picture)`, as files.

    The file that names the others comes last. `folder` is a path, or a URL that
    TensorFlow writes to.

    Coordinates are -1 and 1: the squared Euclidean distance is four times the
    Hamming distance, and the cosine distance orders as it does.
    """
    import tensorflow as tf

    def put(name, content):
        if files.is_url(folder):
            with tf.io.gfile.GFile(
                f"{folder.rstrip('/')}/{name}", "wb"
            ) as file:
                file.write(content)
        else:
            files.write(folder / name, content)

    positions, codes, labels, pictures = zip(*items)
    signs = codes_lib.unpack(np.stack(codes), bits)
    lines = ["\t".join(map(str, row)) for row in signs.tolist()]
    put("codes.tsv", "\n".join(lines) + "\n")
    lines = ["label\tposition"]
    for position, label in zip(positions, labels):
        lines.append(f"{label_text(label, class_names)}\t{position}")
    put("metadata.tsv", "\n".join(lines) + "\n")
    config = projector.ProjectorConfig()
    shown = config.embeddings.add()
    shown.tensor_name = f"codes ({bits} bits)"
    shown.tensor_path = "codes.tsv"
    shown.metadata_path = "metadata.tsv"
    if pictures[0] is not None:
        pictures = images.of_one_side(pictures)
        side = len(pictures[0])
        put("sprite.png", _sprite(pictures))
        shown.sprite.image_path = "sprite.png"
        shown.sprite.single_image_dim.extend([side, side])
    put("projector_config.pbtxt", str(config))


def label_text(label, class_names=None):
    """A label, or the labels of an item, on one line."""
    several = np.ndim(label) > 0
    classes = np.flatnonzero(label).tolist() if several else [int(label)]
    # -1 is an item without a label.
    classes = [one for one in classes if one >= 0]
    # A model without labels does not know how many names there should be.
    names = [" ".join(name.split()) for name in class_names or ()]
    classes = [names[one] if one < len(names) else one for one in classes]
    # Names may be of several words.
    apart = ", " if names else " "
    return apart.join(map(str, classes)) or "none"


def _sprite(pictures):
    """Equal squares, row by row on one square sheet, as PNG."""
    side = len(pictures[0])
    columns = int(np.ceil(np.sqrt(len(pictures))))
    sheet = np.zeros((columns * side, columns * side, 3), "uint8")
    for place, picture in enumerate(pictures):
        top, left = side * (place // columns), side * (place % columns)
        sheet[top : top + side, left : left + side] = picture
    content = io.BytesIO()
    Image.fromarray(sheet).save(content, "png", compress_level=3)
    return content.getvalue()
