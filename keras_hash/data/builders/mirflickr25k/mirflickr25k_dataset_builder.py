"""MIRFLICKR-25K from a folder, for TensorFlow Datasets."""

import tensorflow_datasets as tfds

from keras_hash.data import label_sets
from keras_hash.data.builders import photos

COUNT = 25_000


class Builder(tfds.core.GeneratorBasedBuilder):
    """MIRFLICKR-25K: image, 38 labels, id."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack mirflickr25k.zip and mirflickr25k_annotations_v080.zip of "
        "https://press.liacs.nl/mirflickr/ into one folder."
    )

    def _info(self):
        return photos.info(
            self,
            label_sets.MIR38,
            homepage="https://press.liacs.nl/mirflickr/",
            license="Creative Commons; each photo has that of its owner",
        )

    def _split_generators(self, dl_manager):
        folder = dl_manager.manual_dir
        return {"full": self._generate_examples(folder)}

    def _generate_examples(self, folder):
        images = photos.first([folder / "mirflickr", folder])
        annotations = photos.first(
            [
                folder / "mirflickr25k_annotations_v080",
                folder / "annotations",
                folder,
            ]
        )
        labels = read_labels(annotations)
        stored = 0
        for number in range(1, COUNT + 1):
            image = photos.encoded(images / f"im{number}.jpg")
            if image is None:
                continue
            stored += 1
            yield (
                number,
                {
                    "image": image,
                    "labels": labels.get(number, []),
                    "id": f"im{number}",
                },
            )
        self.info.metadata.update(listed=COUNT, missing=COUNT - stored)


def read_labels(folder):
    """Reads the annotation files."""
    labels = {}
    for name in label_sets.MIR38:
        path = folder / f"{name}.txt"
        for line in photos.lines(path):
            if not line.isdecimal() or not 1 <= int(line) <= COUNT:
                raise ValueError(
                    f"{path}: every line should be a number from 1 to {COUNT}. "
                    f"Received: {line!r}"
                )
            labels.setdefault(int(line), []).append(name)
    return labels
