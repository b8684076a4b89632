"""Methods that give every class one fixed target code."""

import numpy as np
from keras import ops

from keras_hash import codebooks
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
                `"max_min"` or `"random"`.
            seed: int, of the construction.
        """
        book = drawn(codebook, self.bits, num_classes, seed)
        if not isinstance(codebook, str):
            self.settings["codebook"] = book.astype(int).tolist()
        return {"centres": book}


class TargetModel(HashModel):
    """Base of models with a code book, which is kept as a weight."""

    def finish(self):
        loss = super().default_loss()
        self.settings["codebook"] = loss.settings["codebook"]
        classes = np.arange(self.num_classes, dtype="int32")
        self.codebook = codebooks.CodeBook(
            loss.prepared["centres"], classes, name="codebook"
        )
        super().finish()

    def default_loss(self):
        # The book that was saved, should a construction ever change.
        book = ops.convert_to_numpy(self.codebook.codes)
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
