"""NUS-WIDE from a folder, for TensorFlow Datasets."""

import re
import urllib.request
from concurrent import futures

import numpy as np
import tensorflow_datasets as tfds

from keras_hash.data import images
from keras_hash.data import label_sets
from keras_hash.data.builders import photos

# Photos are fetched by a few connections, a few hundred at a time in memory.
CONNECTIONS = 8
CHUNK = 256
TIMEOUT = 30


class Builder(photos.Photos):
    """NUS-WIDE: image, 81 labels, id."""

    LABELS = label_sets.NUS81
    HOMEPAGE = (
        "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/"
        "NUS-WIDE.html"
    )
    LICENCE = "research use; each photo has that of its owner"
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(
            name="local", description="The photos of the folder."
        ),
        tfds.core.BuilderConfig(
            name="urls",
            description="Others are fetched from Flickr where possible.",
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put `ImageList/Imagelist.txt`, `Groundtruth/AllLabels/` and the "
        "photos, in `Flickr/`, of NUS-WIDE into one folder; for the "
        "configuration `urls` also `NUS-WIDE-urls.txt`."
    )

    def _generate_examples(self, folder):
        files = read_list(folder)
        targets = read_targets(folder, len(files))
        urls = {}
        if self.builder_config.name == "urls":
            urls = read_urls(folder / "NUS-WIDE-urls.txt")
        ids = photo_ids(files)
        found = fetched = 0
        for i, image, from_url in _images(folder, files, urls):
            found += 1
            fetched += from_url
            yield (
                i,
                {
                    "image": image,
                    "labels": np.flatnonzero(targets[i]).tolist(),
                    "id": ids[i],
                },
            )
        self.info.metadata.update(
            listed=len(files), missing=len(files) - found, fetched=fetched
        )


def read_list(folder):
    """Reads the names of all photos."""
    path = folder / "ImageList" / "Imagelist.txt"
    return [line.replace("\\", "/") for line in photos.lines(path)]


def read_targets(folder, count):
    """Reads the labels of all photos."""
    for place in (folder, folder / "ConceptsList"):
        path = place / "Concepts81.txt"
        if path.exists():
            names = photos.lines(path)
            if set(names) != set(label_sets.NUS81):
                odd = sorted(set(names) ^ set(label_sets.NUS81))
                raise ValueError(f"{path}: unexpected or missing: {odd}")
    targets = np.zeros((count, len(label_sets.NUS81)), "uint8")
    for column, name in enumerate(label_sets.NUS81):
        path = folder / "Groundtruth" / "AllLabels" / f"Labels_{name}.txt"
        values = photos.lines(path)
        if len(values) != count or not set(values) <= {"0", "1"}:
            raise ValueError(
                f"{path} should hold a 0 or 1 for each of {count} photos. "
                f"Received: {len(values)} lines with {sorted(set(values))[:5]}"
            )
        targets[:, column] = np.array(values) == "1"
    return targets


def photo_ids(files):
    """Flickr's ids, made different from each other."""
    seen, ids = {}, []
    for file in files:
        name = re.sub(r"^.*_|\.\w+$", "", file.rpartition("/")[2])
        seen[name] = seen.get(name, 0) + 1
        ids.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return ids


def read_urls(path):
    """Reads where the photos were on Flickr."""
    urls = {}
    for line in photos.lines(path):
        file, *fields = line.split()
        key = "/".join(file.replace("\\", "/").split("/")[-2:])
        urls[key] = [field for field in fields if field.startswith("http")]
    return urls


def fetch(urls):
    """Downloads a photo from the first address that still has it."""
    for url in urls:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                # Flickr answers for deleted photos with a picture of its own.
                if "photo_unavailable" in answer.geturl():
                    continue
                return images.decode(answer.read())
        except (OSError, ValueError):
            continue
    return None


def _images(folder, files, urls):
    """Position, image and whether it was fetched, of all that are there."""

    def get(file):
        image = photos.encoded(folder / "Flickr" / file)
        if image is not None:
            return image, False
        return fetch(urls.get(file, [])), True

    with futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        for start in range(0, len(files), CHUNK):
            found = pool.map(get, files[start : start + CHUNK])
            for i, (image, fetched) in enumerate(found, start):
                if image is not None:
                    yield i, image, fetched
