"""Encoded pictures of many kinds."""

import io

import numpy as np
from PIL import Image


def file_of(image, kind="PNG", **settings):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind, **settings)
    return stream.getvalue()


def scenes(random):
    """Photographs, roughly: patches, a gradient and noise."""
    for height, width in ((32, 32), (48, 64), (33, 21)):
        coarse = random.randint(0, 200, (4, 4, 3)).astype("uint8")
        smooth = Image.fromarray(coarse).resize((width, height))
        noise = random.randint(0, 56, (height, width, 3))
        yield np.asarray(smooth) + noise.astype("uint8")


def pictures(folder, images):
    """Files of many kinds."""
    folder.mkdir()
    for number, image in enumerate(images):
        grey = image.mean(axis=2).astype("uint8")
        deep = grey.astype("uint16") * 257
        kinds = {
            "png": file_of(image),
            "grey.png": file_of(grey),
            "deep.png": file_of(deep),
            "jpeg": file_of(image, "JPEG", quality=85),
            "progressive.jpeg": file_of(image, "JPEG", progressive=True),
            "grey.jpeg": file_of(grey, "JPEG"),
            "palette.png": file_of(image[..., 0] // 64 * 64),
            "alpha.png": file_of(np.dstack([image, grey])),
        }
        for kind, content in kinds.items():
            (folder / f"{number}.{kind}").write_bytes(content)
