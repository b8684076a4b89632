"""Photos for the builders: as their files are, turned where they say so."""

from keras_hash.data import images


def encoded(path):
    """A photo as a TFDS image feature takes it."""
    from PIL import ExifTags
    from PIL import Image

    path = str(path)
    if images.check(path) is not None:
        return None
    with Image.open(path) as image:
        plain = image.format == "JPEG" and image.mode in ("L", "RGB")
        try:
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
            upright = orientation == 1
        except Exception:
            # Damaged tags make Pillow raise nearly anything.
            upright = False
    return path if upright and plain else images.decode(path)


def lines(path):
    """The lines of a text file, less the empty ones."""
    if not path.exists():
        raise FileNotFoundError(f"The file {path} is missing.")
    text = path.read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]


def first(paths):
    """The first path that exists."""
    for path in paths:
        if path.exists():
            return path
    raise FileNotFoundError(
        f"One of these should exist: {', '.join(map(str, paths))}"
    )
