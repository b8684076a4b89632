"""Photos for the builders: as their files are, turned where they say so."""

import tensorflow_datasets as tfds

from keras_hash.data import headers
from keras_hash.data import images


class Photos(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A builder of photos of a folder, with ids and any number of labels."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    LABELS = ()
    HOMEPAGE = LICENCE = ""

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "labels": tfds.features.Sequence(
                        tfds.features.ClassLabel(names=list(self.LABELS))
                    ),
                    "id": tfds.features.Text(),
                }
            ),
            metadata=tfds.core.MetadataDict(),
            homepage=self.HOMEPAGE,
            license=self.LICENCE,
        )

    def _split_generators(self, dl_manager):
        return {"full": self._generate_examples(dl_manager.manual_dir)}


def encoded(path):
    """A path to be stored as it is, pixels, or `None` if it is not a photo."""
    if images.check(path) is not None:
        return None
    content = path.read_bytes()
    header = headers.read(content)
    plain = content.startswith(headers.JPEG) and header.layers in (1, 3)
    if plain and headers.orientation(header.exif) == 1:
        return str(path)
    return images.decode(content)


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
