"""Code books: the target codes that methods give to classes and sub-classes."""

import warnings

import keras
import numpy as np


def cpbc(bits, num_classes):
    """Centre-point-based construction of class centres.

    The code is cut into one block of `H = bits / num_classes` bits a class;
    the centre of a class has +1 in its own block and -1 elsewhere, so any two
    centres differ in exactly `2 * H` bits. Codes with one bit flipped stay
    apart between classes only for `H >= 3`.

    Args:
        bits: int, code length, a multiple of `num_classes`.
        num_classes: int, at least 2.

    Returns:
        `int8 [num_classes, bits]` of +1 and -1.

    Raises:
        ValueError: `num_classes` does not divide `bits`, or is below 2.

    Reference: Luo et al., "Deep Supervised Hashing by Classification for Image
    Retrieval", ICONIP 2021, section 3.2.
    """
    if num_classes < 2:
        raise ValueError(
            "`num_classes` should be at least 2. "
            f"Received: num_classes={num_classes}"
        )
    if bits < num_classes or bits % num_classes:
        near = max(round(bits / num_classes), 3) * num_classes
        raise ValueError(
            "CPBC gives every class the same number of bits, so `bits` should "
            f"be a multiple of `num_classes`, for example bits={near}. "
            f"Received: bits={bits}, num_classes={num_classes}"
        )
    per_class = bits // num_classes
    if per_class < 3:
        warnings.warn(
            f"CPBC with {per_class} bits a class (bits={bits}, "
            f"num_classes={num_classes}) puts codes of different classes as "
            f"near as {2 * per_class - 2} bits, while codes of one class lie "
            "up to 2 apart: retrieval suffers even if every image is "
            f"classified correctly. Use bits={3 * num_classes} or more.",
            stacklevel=2,
        )
    owner = np.repeat(np.arange(num_classes), per_class)
    return np.where(owner == np.arange(num_classes)[:, None], 1, -1).astype(
        "int8"
    )


def subclasses(centres):
    """The sub-class codes of DSHC: each centre, then it with one bit flipped.

    Args:
        centres: `int8 [num_classes, bits]` of +1 and -1.

    Returns:
        A pair: codes `int8 [num_classes * (bits + 1), bits]`, and the class of
        each as `int32 [num_classes * (bits + 1)]`. The sub-classes of a class
        stand together, its centre first.

    Reference: Luo et al. 2021, section 3.2.
    """
    num_classes, bits = centres.shape
    flips = np.ones((bits + 1, bits), "int8")
    flips[np.arange(1, bits + 1), np.arange(bits)] = -1
    codes = centres[:, None, :] * flips[None]
    classes = np.repeat(np.arange(num_classes, dtype="int32"), bits + 1)
    return codes.reshape(-1, bits), classes


@keras.saving.register_keras_serializable(package="keras_hash")
class CodeBook(keras.layers.Layer):
    """Target codes and their classes, kept as weights that are not trained.

    They are saved with a model, so a loaded model never draws them anew.

    Args:
        codes: `int8 [size, bits]` of +1 and -1.
        classes: `int32 [size]`, the class of each code.
    """

    def __init__(self, codes, classes, **kwargs):
        super().__init__(trainable=False, dtype="float32", **kwargs)
        for name, value in (("codes", codes), ("classes", classes)):
            weight = self.add_weight(
                name=name,
                shape=value.shape,
                dtype="float32" if name == "codes" else "int32",
                initializer="zeros",
                trainable=False,
            )
            weight.assign(value)
            setattr(self, name, weight)
        self.built = True
