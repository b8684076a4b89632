"""Corel-5K from a folder, for TensorFlow Datasets."""

import pathlib

import tensorflow_datasets as tfds

from keras_hash.data import corel5k
from keras_hash.data.builders import photos


class Builder(tfds.core.GeneratorBasedBuilder):
    """Corel-5K: image, words, id."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put the official split of Corel-5K into one folder: `train_jpeg/`,"
        " `test_jpeg/` and `labels/`."
    )

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "labels": tfds.features.Sequence(
                        tfds.features.ClassLabel()
                    ),
                    "id": tfds.features.Text(),
                }
            ),
            license="research use (Corel photos)",
        )

    def _split_generators(self, dl_manager):
        folder = pathlib.Path(dl_manager.manual_dir)
        words, annotated = corel5k.read_labels(folder)
        self.info.features["labels"].feature.names = words
        return {
            split: self._generate_examples(folder, split, entries)
            for split, entries in annotated.items()
        }

    def _generate_examples(self, folder, split, entries):
        for name, numbers in entries.items():
            path = corel5k.photo(folder, split, name)
            image = photos.encoded(path)
            if image is None:
                raise ValueError(f"{path} is not a readable image.")
            yield (
                f"{split}/{name}",
                {
                    "image": image,
                    # A line may repeat a word.
                    "labels": sorted(set(numbers.tolist())),
                    "id": f"{split}/{name}",
                },
            )
