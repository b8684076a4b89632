"""Methods that give every class one fixed target code."""

import numpy as np
from keras import ops

from keras_hash import codebooks
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


class TargetLoss(_losses.CodeLoss):
    """Base of losses with a code book: `function(labels, codes, book, ...)`.

    Args:
        bits: int, code length.
        num_classes: int.
        codebook: `+1` and `-1`, `[num_classes, bits]`, or the name of a
            construction in `codebooks.CONSTRUCTIONS`.
        seed: int, of the construction.
        settings: dict, constants of the method.
        name: str.
        **kwargs: see `_losses.CodeLoss`.

    Raises:
        ValueError: no such construction, or a code book that does not fit.
    """

    def __init__(
        self, bits, num_classes, codebook, seed, settings, name, **kwargs
    ):
        super().__init__(bits, settings, name, **kwargs)
        self.num_classes, self.seed = num_classes, seed
        self.construction = codebook
        self.codebook = drawn(codebook, bits, num_classes, seed)

    def call(self, y_true, y_pred):
        self._check(y_true, y_pred)
        book = ops.convert_to_tensor(self.codebook)
        return type(self).function(y_true, y_pred, book, **self.settings)

    def get_config(self):
        chosen = self.construction
        if not isinstance(chosen, str):
            chosen = self.codebook.astype(int).tolist()
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "codebook": chosen,
            "seed": self.seed,
        }


class TargetModel(HashModel):
    """Base of models with a code book, which is kept as a weight.

    A subclass sets `loss_class`, and calls `set_targets` before `finish`.
    """

    def set_targets(self, codebook, seed, settings):
        """Draws the code book and keeps the settings.

        Args:
            codebook: array, or the name of a construction.
            seed: int, of the construction.
            settings: dict, constants of the method.
        """
        book = drawn(codebook, self.bits, self.num_classes, seed)
        if not isinstance(codebook, str):
            codebook = book.astype(int).tolist()
        self.settings = {"codebook": codebook, "seed": seed, **settings}
        classes = np.arange(self.num_classes, dtype="int32")
        self.codebook = codebooks.CodeBook(book, classes, name="codebook")

    def default_loss(self):
        # The book that was saved, should a construction ever change.
        book = ops.convert_to_numpy(self.codebook.codes)
        settings = {**self.settings, "codebook": book}
        return self.loss_class(self.bits, self.num_classes, **settings)


def drawn(codebook, bits, num_classes, seed):
    """A code book from its name or as an array, checked.

    Args:
        codebook: array-like of +1 and -1, or the name of a construction.
        bits: int.
        num_classes: int.
        seed: int.

    Returns:
        `float32 [num_classes, bits]`.

    Raises:
        ValueError: no such construction, another shape, or other values.
    """
    if isinstance(codebook, str):
        if codebook not in codebooks.CONSTRUCTIONS:
            raise ValueError(
                "`codebook` should be +1 and -1, or one of "
                f"{sorted(codebooks.CONSTRUCTIONS)}. "
                f"Received: codebook={codebook!r}"
            )
        make = codebooks.CONSTRUCTIONS[codebook]
        return make(bits, num_classes, seed).astype("float32")
    codebook = np.asarray(codebook, "float32")
    fits = codebook.shape == (num_classes, bits)
    if not fits or not (np.abs(codebook) == 1).all():
        raise ValueError(
            f"`codebook` should be +1 and -1 of shape ({num_classes}, {bits}). "
            f"Received: codebook.shape={codebook.shape}"
        )
    return codebook
