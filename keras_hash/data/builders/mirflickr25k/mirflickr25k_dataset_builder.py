"""MIRFLICKR-25K from a folder, for TensorFlow Datasets."""

from keras_hash.data import label_sets
from keras_hash.data.builders import photos

COUNT = 25_000


class Builder(photos.Photos):
    """MIRFLICKR-25K: image, 38 labels, id."""

    LABELS = label_sets.MIR38
    HOMEPAGE = "https://press.liacs.nl/mirflickr/"
    LICENCE = "Creative Commons; each photo has that of its owner"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack mirflickr25k.zip and mirflickr25k_annotations_v080.zip of "
        "https://press.liacs.nl/mirflickr/ into one folder."
    )

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
