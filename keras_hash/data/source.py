"""Labelled images that callbacks read again after each epoch."""

import numpy as np
from keras import ops

from keras_hash import similarity
from keras_hash.data import images as pixels
from keras_hash.data import reading


class Source:
    """Labelled images, arrays or `tf.data`, read again each time by batches."""

    def __init__(self, data, name, pictures=None):
        self.name = name
        self.pictures = pictures
        self.dataset = None
        # The positions that are read, sorted; all if `None`.
        self.chosen = None
        self._count = None
        if reading.is_dataset(data):
            reading.finite(data, name)
            self.dataset = reading.pairs(data, name)
            if int(data.cardinality()) == 0:
                raise self._empty()
            return
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise ValueError(
                f"`{name}` should be a pair of arrays (images, labels) or a "
                "tf.data.Dataset of (image, label). "
                f"Received: {name} of type {type(data).__name__}"
            )
        images, labels = data
        if isinstance(images, pixels.ImageFiles):
            images = images.paths
        if ops.is_tensor(images):
            # Some backends' cannot be read by positions.
            images = ops.convert_to_numpy(images)
        kept = hasattr(images, "dtype") or isinstance(images, (list, tuple))
        self.images = images if kept else np.asarray(images)
        if len(self.images) == 0:
            raise self._empty("no images and labels")
        self.labels = similarity.check_labels(
            reading.label_of(labels),
            name=f"{name}_labels",
            count=len(self.images),
            unlabelled=True,
        )
        self._set_count(len(self.images))

    def _empty(self, received="an empty dataset"):
        return ValueError(f"`{self.name}` has no images. Received: {received}")

    def _set_count(self, count):
        self._count = count
        if self.pictures is not None and len(self.pictures) != count:
            raise ValueError(
                f"`images` should have a picture for each of the {count} "
                f"items of `{self.name}`. Received: {len(self.pictures)}"
            )

    def count(self, rank):
        """The number of items; a dataset may be read once to find it."""
        if self._count is not None:
            return self._count
        batched = reading.is_batched(self.dataset, self.name, rank)
        count = int(self.dataset.cardinality())
        if batched or count < 0:
            labels = self.dataset.map(lambda *pair: reading.label_of(pair[1]))
            count = sum(
                len(label) if batched else 1
                for label in labels.as_numpy_iterator()
            )
        if count == 0:
            raise self._empty()
        self._set_count(count)
        return count

    def choose(self, subset, seed, rank):
        """Takes a part of the items, which `seed` draws, or all of them."""
        self.chosen = None
        if subset is not None and subset < self.count(rank):
            self.chosen = np.sort([*self.sample(subset, seed, rank)])

    def sample(self, size, seed, rank):
        """The positions of some of the items that are read."""
        pool = self.chosen
        if pool is None:
            pool = np.arange(self.count(rank))
        order = np.random.RandomState(seed).permutation(len(pool))
        return set(pool[order[:size]].tolist())

    def peek(self, shape):
        """Labels to check before the work: of an array all, else the first; of
        the images the first ones are looked at."""
        if self.dataset is None:
            for _ in reading.read(self.images[:32], None, 32, shape)[0]:
                return self.labels
        found = reading.stream(self.dataset.take(1), self.name, 1, len(shape))[
            0
        ]
        for images, labels in found:
            reading.fitted(images[:32], shape)
            return reading.flat(labels)
        raise self._empty()

    def batches(self, size, rank):
        """Positions, images, labels and pictures of each batch, in order."""
        seen = 0
        for positions, images, labels in self._read(size, rank):
            if self.pictures is not None:
                pictures = self.pictures
                if isinstance(pictures, (list, tuple)):
                    pictures = [pictures[place] for place in positions]
                else:
                    pictures = pictures[positions]
            else:
                pictures = images if rank == 3 else None
            seen += len(positions)
            yield positions, images, labels, pictures
        if not seen:
            raise self._empty()

    def _read(self, size, rank):
        if self.dataset is None:
            found = [(self.images, self.labels)]
        else:
            found = reading.stream(self.dataset, self.name, size, rank)[0]
        start = 0
        for images, labels in found:
            labels = reading.flat(labels)
            rows = np.arange(len(images))
            if self.chosen is not None:
                low, high = np.searchsorted(
                    self.chosen, (start, start + len(images))
                )
                rows = self.chosen[low:high] - start
            for low in range(0, len(rows), size):
                part = rows[low : low + size]
                # A slice reads faster than scattered rows.
                whole = self.chosen is None
                some = slice(low, low + size) if whole else part
                yield start + part, _rows(images, some), labels[part]
            start += len(images)
            if self.chosen is not None and start > self.chosen[-1]:
                return


def _rows(images, rows):
    """Some of the images: an array of an array, a list of a list."""
    if not isinstance(images, (list, tuple)):
        return np.asarray(images[rows])
    return (
        images[rows] if isinstance(rows, slice) else [images[i] for i in rows]
    )
