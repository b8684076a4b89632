"""Images of a dataset prepared by TensorFlow Datasets, read when asked for."""

import numpy as np

# A record starts with its length (8 bytes) and a checksum of it (4 bytes), and
# ends with a checksum (4 bytes).
HEAD, FRAME = 12, 16


class RecordImages:
    """A pool of images inside TFRecord files.

    It stands for an array `uint8 [n, height, width, 3]`: `len(pool)`,
    `pool.shape`, and `pool[indices]` for an int, a slice, ints or a mask.
    """

    dtype = np.dtype("uint8")

    def __init__(self, files, places, decode, size):
        self.files = [str(file) for file in files]
        self.places = np.asarray(places, "int64").reshape(-1, 3)
        self.decode, self.size = decode, tuple(size)

    @property
    def shape(self):
        """Shape of the array that the pool stands for."""
        return (len(self), *self.size, 3)

    def __len__(self):
        return len(self.places)

    def __getitem__(self, indices):
        indices = np.arange(len(self))[indices]
        images = np.empty((indices.size, *self.size, 3), "uint8")
        stream = self.dataset(indices.reshape(-1)).as_numpy_iterator()
        for place, image in enumerate(stream):
            images[place] = image
        return images.reshape(*indices.shape, *images.shape[1:])

    def take(self, rows):
        """A pool of some of the images."""
        return RecordImages(
            self.files, self.places[rows], self.decode, self.size
        )

    def dataset(self, indices):
        """Images as a dataset: read lazily, in parallel, in their order."""
        import tensorflow as tf

        def load(place):
            record = tf.numpy_function(self._record, [place], tf.string)
            image = self.decode(tf.ensure_shape(record, ()))
            return tf.ensure_shape(image, (*self.size, 3))

        return (
            tf.data.Dataset.from_tensor_slices(
                self.places[np.asarray(indices, int)]
            )
            .map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .prefetch(tf.data.AUTOTUNE)
        )

    def _record(self, place):
        file, offset, length = place
        with open(self.files[file], "rb") as stream:
            stream.seek(offset + HEAD)
            return stream.read(length)


def scan(files, parse):
    """Values of all records, read once without images, and their places."""
    import tensorflow as tf

    rows, places = [], []
    for number, file in enumerate(files):
        stream = tf.data.TFRecordDataset(str(file)).map(
            lambda record: (tf.strings.length(record), *parse(record)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        offset = 0
        for length, *values in stream.prefetch(
            tf.data.AUTOTUNE
        ).as_numpy_iterator():
            rows.append(tuple(values))
            places.append((number, offset, int(length)))
            offset += int(length) + FRAME
    return rows, np.array(places, "int64").reshape(-1, 3)
