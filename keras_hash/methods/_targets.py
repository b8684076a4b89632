"""Methods that give every class one fixed target code."""

import numpy as np
from keras import ops

from keras_hash import codebooks
from keras_hash import codes
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


class TargetLoss(_losses.CodeLoss):
    """Base of losses with a code book: `function(labels, codes, centres)`."""

    def prepare(self, num_classes, codebook="random", seed=0):
        """Draws the code book.

        Args:
            num_classes: int, number of classes or labels.
            codebook: the target codes, +1 and -1, `[num_classes, bits]`, or
                the name of a construction: `"hadamard"`, `"balanced"`,
                `"max_min"`, `"random"` or `"separated"`.
            seed: int, of the construction.
        """
        book = drawn(codebook, self.bits, num_classes, seed)
        if not isinstance(codebook, str):
            self.settings["codebook"] = book.astype(int).tolist()
        return {"centres": book}


class Saved(str):
    """A construction whose book comes with the weights of a saved model."""


class TargetModel(HashModel):
    """Base of models with a code book, which is kept as a weight.

    Of nested codes it is put together of a book for the bits between two
    lengths each, so that its first bits are a book too.

    It is saved with the model. From a config alone it is 0 until weights are
    loaded or a loss asks for it: it takes seconds to draw for many classes.
    """

    # Whether the loss was made before the weights were loaded.
    _early = False

    @classmethod
    def from_config(cls, config, custom_objects=None):
        if isinstance(config.get("codebook"), str):
            config = {**config, "codebook": Saved(config["codebook"])}
        return super().from_config(config, custom_objects)

    def compile_from_config(self, config):
        self._early = True
        super().compile_from_config(config)

    def _feed(self, training=False, class_weight=None):
        # Before Keras runs the loss without values: on PyTorch those of the
        # book would be zeros there.
        self._use_book()
        return super()._feed(training, class_weight)

    # Keras tells whether it trains where the signature asks for that.
    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        self._use_book()
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def _use_book(self):
        """Makes the loss anew, of the book that was loaded."""
        if self._early:
            self._early = False
            if self._method_loss is not None:
                self._method_loss = self.default_loss()

    def finish(self):
        given = self.settings["codebook"]
        book = self._drawn(given)
        if not isinstance(given, str):
            self.settings["codebook"] = book.astype(int).tolist()
        classes = np.arange(self.num_classes, dtype="int32")
        self.codebook = codebooks.CodeBook(book, classes, name="codebook")
        super().finish()

    def _drawn(self, codebook):
        """A book whose first bits are a book of each of the nested lengths."""
        seed = self.settings["seed"]
        if not isinstance(codebook, str) or not self.nested:
            return drawn(codebook, self.bits, self.num_classes, seed)
        widths = np.diff((0, *self.lengths))
        return np.concatenate(
            [
                drawn(codebook, int(width), self.num_classes, seed + place)
                for place, width in enumerate(widths)
            ],
            axis=1,
        )

    def default_loss(self):
        # The book that was saved, should a construction ever change.
        book = ops.convert_to_numpy(self.codebook.codes)
        if self._early and not book.any():
            return super().default_loss()
        if not book.any():
            book = self._drawn(str(self.settings["codebook"]))
            self.codebook.codes.assign(book)
        return super().default_loss(codebook=book)


def drawn(codebook, bits, num_classes, seed):
    """A code book from its name or as an array, checked, in float32."""
    if isinstance(codebook, str):
        if codebook not in codebooks.CONSTRUCTIONS:
            raise ValueError(
                "`codebook` should be +1 and -1, or one of "
                f"{sorted(codebooks.CONSTRUCTIONS)}. "
                f"Received: codebook={codebook!r}"
            )
        if isinstance(codebook, Saved):
            return np.zeros((num_classes, bits), "float32")
        make = codebooks.CONSTRUCTIONS[codebook]
        return make(bits, num_classes, seed).astype("float32")
    codebook = codes.as_array(codebook, "codebook", "float32")
    fits = codebook.shape == (num_classes, bits)
    if not fits or not (np.abs(codebook) == 1).all():
        raise ValueError(
            f"`codebook` should be +1 and -1 of shape ({num_classes}, {bits}). "
            f"Received: codebook.shape={codebook.shape}"
        )
    return codebook
