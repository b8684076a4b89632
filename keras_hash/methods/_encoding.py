"""The encoding of `HashModel`: real and packed codes, and features."""

import contextlib
import functools
import threading

import keras
import numpy as np
from keras import ops

from keras_hash import codes
from keras_hash import forks
from keras_hash import progress
from keras_hash.data import reading
from keras_hash.methods import _training

_LOCK = threading.Lock()


def _one_at_a_time():
    """For threads: Keras on JAX writes the variables back after each batch,
    and what another one reads meanwhile is gone."""
    on_jax = keras.backend.backend() == "jax"
    return _LOCK if on_jax else contextlib.nullcontext()


class Encoding(_training.Trained):
    """A model that makes codes of all that `fit` takes, in batches."""

    def encode(self, images, batch_size=256, verbose="auto", mirror=False):
        """Packed codes of images.

        Args:
            images: array `[n, h, w, 3]` (or one image `[h, w, 3]`) of raw
                pixels in 0..255, integers or floats, of any size; a list of
                images, also of several sizes, or of paths of image files; a
                `keras_hash.data.ImageFiles`; a
                `tf.data.Dataset` of images, `(image, label)` pairs or dicts
                with `image`, batched or not; or a `PyDataset`, a generator,
                PyTorch's `DataLoader` or a dataset of Grain, of batches.
            batch_size: int, for arrays and unbatched datasets.
            verbose: `True`, `False`, or `"auto"`: a progress bar where the
                work is longer than a few batches.
            mirror: bool, whether the outputs of an image and of its mirror
                image are averaged: better codes in twice the time, which
                queries are worth. The database may be encoded without.

        Returns:
            `uint8 [n, ceil(bits / 8)]`.

        Raises:
            ValueError: wrong rank, channels or dtype, no images, NaN, values
                that are no raw pixels, a file that is no image, a dataset that
                never ends, or `mirror` where mirror images mean something else
                or there are none.
        """
        found = self.real_codes(images, batch_size, verbose, mirror)
        return codes.pack(found)

    def real_codes(self, images, batch_size=256, verbose="auto", mirror=False):
        """Real codes of images, centred at 0; their sign is the code.

        Args:
            images: as for `encode`.
            batch_size: as for `encode`.
            verbose: as for `encode`.
            mirror: as for `encode`.

        Returns:
            `float32 [n, bits]`.

        Raises:
            ValueError: as `encode`.
        """
        self.check_ready()
        forward = functools.partial(self.codes_of_batch, mirror=mirror)
        return self.encode_by(forward, images, batch_size, verbose)

    def _check_mirror(self, mirror):
        """Refuses `mirror` where the mirror image is not the same image."""
        if mirror and not self.mirrors:
            raise ValueError(
                "The mirror image means something else here, as that of a "
                "digit does, or has another hash: leave `mirror` out. "
                "Received: mirror=True"
            )
        if mirror and len(self.image_shape) != 3:
            raise ValueError(
                "Features have no mirror image: leave `mirror` out. "
                "Received: mirror=True"
            )

    def features(self, images, batch_size=256, verbose="auto"):
        """What the backbone makes of images.

        Args:
            images: as for `encode`.
            batch_size: as for `encode`.
            verbose: as for `encode`.

        Returns:
            `float32 [n, d]`.

        Raises:
            ValueError: as `encode`.
        """
        forward = self._features_of_batch()
        return self.encode_by(forward, images, batch_size, verbose)

    def _features_of_batch(self):
        """The backbone as a function of a batch, compiled."""
        if keras.backend.backend() != "tensorflow":

            def predict(images):
                with _one_at_a_time():
                    shown = self.backbone.predict_on_batch(images)
                return ops.cast(shown, "float32")

            return predict
        import tensorflow as tf

        def forward(images):
            shown = self.backbone(images, training=False)
            return ops.cast(shown, "float32")

        spec = tf.TensorSpec((None, *self.image_shape), "float32")
        return tf.function(forward, [spec], autograph=False)

    def encode_by(self, forward, images, batch_size=256, verbose="auto"):
        """What a function makes of images, fitted to this model in batches.

        Args:
            forward: function from float32 `[n, *image_shape]`, an array or a
                tensor, to one row an image.
            images: as for `encode`.
            batch_size: as for `encode`.
            verbose: as for `encode`.

        Returns:
            array `[n, ...]`, the rows of all images.

        Raises:
            ValueError: as `encode`.
        """
        forks.check()
        batch_size = codes.check_int(batch_size, "batch_size")
        rows = []
        with reading.errors_of_files():
            batches, steps = reading.read(
                images, None, batch_size, self.image_shape
            )
            for batch, _ in progress.track(batches, steps, "Encoding", verbose):
                rows.append(ops.convert_to_numpy(forward(batch)))
        if not rows:
            raise ValueError(
                "There are no images to encode: `images` is empty."
            )
        return np.concatenate(rows)

    def check_ready(self):
        """Refuses to make codes before there is anything to make them of."""

    def images_to_codes(self, images, mirror=False):
        """Real codes of one batch, inside a graph as well."""
        forward = functools.partial(self, training=False)
        outputs = self._with_mirror(forward, images, mirror)
        return ops.cast(self.outputs_to_codes(outputs), "float32")

    def _with_mirror(self, forward, images, mirror):
        """The outputs of images, or their mean with those of mirror images."""
        outputs = forward(images)
        if not mirror:
            return outputs
        turned = forward(ops.flip(images, axis=-2))
        return keras.tree.map_structure(
            lambda a, b: (a + b) / 2, outputs, turned
        )

    def codes_of_batch(self, images, mirror=False):
        """`images_to_codes` as an array, compiled where the backend compiles.

        Args:
            images: float32 `[n, *image_shape]`, an array or a tensor.
            mirror: bool, as for `encode`.

        Returns:
            `float32 [n, bits]`.

        Raises:
            ValueError: `mirror`, as `encode`.
        """
        forks.check()
        self._check_mirror(mirror)
        if self._engine is not None:
            return self._engine(images, mirror)
        if keras.backend.backend() != "tensorflow":
            # All images were looked at before: one batch may be nearly black.
            forward = super().predict_on_batch
            with _one_at_a_time():
                outputs = self._with_mirror(forward, images, mirror)
            return ops.convert_to_numpy(self.outputs_to_codes(outputs))
        if mirror not in self._graphs:
            import tensorflow as tf

            # A free batch size: one trace, and the graph that is exported.
            spec = tf.TensorSpec((None, *self.image_shape), "float32")
            make = functools.partial(self.images_to_codes, mirror=mirror)
            self._graphs[mirror] = tf.function(make, [spec], autograph=False)
        return self._graphs[mirror](images).numpy()

    def predict(self, x, *args, **kwargs):
        """What the loss takes, such as logits, batch by batch: no codes.

        `encode` gives packed codes, and `real_codes` real ones.

        Args:
            x: raw images `[n, h, w, 3]`, or a batched dataset of them or of
                pairs of them and labels.
            *args: as in `keras.Model.predict`.
            **kwargs: as in `keras.Model.predict`.

        Returns:
            What `call` returns for all images, as NumPy arrays `[n, ...]`.

        Raises:
            ValueError: arrays that are no raw pixels.
        """
        forks.check()
        with self._keeping_variables():
            return super().predict(self._checked(x), *args, **kwargs)

    def predict_on_batch(self, x):
        return super().predict_on_batch(self._checked(x))

    def _checked(self, x):
        """Arrays as the network takes them; what else Keras reads as it is."""
        x = reading.gathered(x, self.image_shape)
        if hasattr(x, "dtype") and hasattr(x, "shape"):
            return reading.check_images(x, self.image_shape)
        return x
