"""Binary codes: the one convention that everything else relies on.

A code is `uint8 [n, ceil(bits / 8)]` in the bit order of `numpy.packbits` (the
first bit is the most significant), padding bits are 0, and a bit is 1 where the
real output is `>= 0`, which stands for +1; it is 0 otherwise, which stands for
-1. Zero therefore always means +1, and no distance is ever half a bit.
"""

import numbers

import keras
import numpy as np
from keras import ops

from keras_hash import selection
from keras_hash.similarity import check_labels

__all__ = [
    "check",
    "hamming",
    "levels",
    "num_bytes",
    "pack",
    "select_bits",
    "shorten",
    "sign",
    "unpack",
]

SIMILARITIES = ("hamming", "and")
_BIT_VALUES = np.array([128, 64, 32, 16, 8, 4, 2, 1], "int32")
_POPCOUNT = np.bitwise_count(np.arange(256, dtype="uint8")).astype("int32")


def check_int(value, name, least=1, most=None):
    """An argument as an int, or the error of all that are no such number."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    largest = np.iinfo("int64").max if most is None else most
    if not whole or not least <= value <= largest:
        between = f"of at least {least}"
        if most is not None or (whole and value > largest):
            between = f"from {least} to {largest}"
        raise ValueError(
            f"`{name}` should be an int {between}. Received: {name}={value!r}"
        )
    return int(value)


def check_choice(value, name, known):
    """Refuses an argument that is not one of the known values."""
    if value not in known:
        raise ValueError(
            f"`{name}` should be one of {known}. Received: {name}={value!r}"
        )


def as_array(value, name, dtype=None):
    """A value as an array, or the error that names what NumPy cannot take."""
    if np.ma.is_masked(value):
        raise ValueError(
            f"`{name}` should be there for every item. Received: a masked array"
        )
    try:
        if ops.is_tensor(value):
            # One that PyTorch follows or NumPy does not know too.
            value = ops.convert_to_numpy(value)
        return np.asarray(value, dtype)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        raise ValueError(
            f"`{name}` should be an array. Received: {name} of type "
            f"{type(value).__name__} ({error})"
        ) from error


def _real(value, name):
    """A value as an array of real numbers."""
    array = as_array(value, name)
    # Those of 16 bits and fewer that NumPy does not know have no kind.
    if array.dtype.kind not in "biuf" and "float" not in array.dtype.name:
        raise ValueError(
            f"`{name}` should hold real numbers. "
            f"Received: {name}.shape={array.shape}, dtype={array.dtype}"
        )
    return array


def num_bytes(bits):
    """The bytes that one code takes.

    Args:
        bits: int, code length, at least 1.

    Returns:
        int, `ceil(bits / 8)`.

    Raises:
        ValueError: `bits` is not a positive whole number.
    """
    return -(-check_int(bits, "bits") // 8)


def check(codes, bits, name="codes"):
    """Checks that an array holds packed codes of a given length.

    Args:
        codes: array to check.
        bits: int, code length.
        name: str, what the error calls the array.

    Returns:
        The codes as a C-contiguous numpy array `uint8 [n, ceil(bits / 8)]`.

    Raises:
        ValueError: wrong dtype, rank or width, or padding bits that are set.
    """
    bits = check_int(bits, "bits")
    width = num_bytes(bits)
    codes = as_array(codes, name)
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != width:
        raise ValueError(
            f"`{name}` should be packed codes, uint8 [n, {width}] for {bits} "
            "bits; `keras_hash.codes.pack` makes them from real outputs. "
            f"Received: {name}.shape={codes.shape}, dtype={codes.dtype}"
        )
    spare = 8 * width - bits
    if spare and (codes[:, -1] & ((1 << spare) - 1)).any():
        raise ValueError(
            f"`{name}` has bits set after its first {bits}: it was packed "
            "with another code length or another bit order. "
            f"Received: {name} with bits={bits}"
        )
    return np.ascontiguousarray(codes)


def sign(real):
    """The sign of real codes, with `sign(0) = +1`.

    Args:
        real: float array or tensor of any shape.

    Returns:
        +1 or -1 in the shape and dtype of `real`.

    Raises:
        ValueError: booleans, which `pack` takes as bits; of arrays also what
            are no real numbers, and NaN.
    """
    if not _is_tensor(real):
        real = _real(real, "real")
    if "bool" in str(real.dtype):
        raise ValueError(
            "`real` should be real codes; booleans are bits: `2 * keras.ops."
            "cast(bits, 'int8') - 1` makes signs of them. "
            "Received: real.dtype=bool"
        )
    if _is_tensor(real):
        return ops.cast(ops.where(real >= 0, 1, -1), real.dtype)
    if np.isnan(real).any():
        raise ValueError("`real` should not hold NaN. Received: NaN")
    return np.where(real >= 0, 1, -1).astype(real.dtype)


def pack(real):
    """Packs real codes, +-1 codes or booleans into bytes.

    Outputs of a sigmoid, all `>= 0`, are not centred: pass `2 * real - 1`, or
    `real - 0.5`. They are not refused, since a code may be all ones.

    Args:
        real: array or tensor `[n, bits]`: floats or signed ints, where `>= 0`
            becomes 1, or booleans, taken as the bits themselves.

    Returns:
        `uint8 [n, ceil(bits / 8)]`, an array or a tensor as given.

    Raises:
        ValueError: not two-dimensional, no bits, unsigned integers, or, of
            arrays, no real numbers, NaN or ints with a 0 and none below: bits,
            whose zeros would silently count as +1.
    """
    return _packed(real, "real")


def _packed(real, name):
    """`pack`, of an argument of that name."""
    tensor = _is_tensor(real)
    if tensor:
        dtype = keras.backend.standardize_dtype(real.dtype)
    else:
        real = _real(real, name)
        dtype = real.dtype.name
    if len(real.shape) != 2 or real.shape[1] == 0:
        raise ValueError(
            f"`{name}` should be [n, bits] with at least one bit. "
            f"Received: {name}.shape={tuple(real.shape)}"
        )
    unsigned = dtype.startswith("uint")
    if dtype.startswith("int") and not tensor and len(real):
        unsigned = real.min() == 0
    if unsigned:
        raise ValueError(
            f"`{name}` holds integers of which none is negative, and a sign is "
            "never 0; pass 0/1 bits as booleans (`bits.astype(bool)`). "
            f"Received: {name}.dtype={dtype}"
        )
    if not tensor:
        if np.isnan(real).any():
            rows = np.flatnonzero(np.isnan(real).any(axis=1))
            raise ValueError(
                f"`{name}` should not hold NaN. "
                f"Received: NaN in {len(rows)} rows, first in row {rows[0]}"
            )
        return np.packbits(real if dtype == "bool" else real >= 0, axis=1)
    ones = ops.cast(real if dtype == "bool" else real >= 0, "int32")
    bits = real.shape[1]
    ones = ops.pad(ones, [[0, 0], [0, -bits % 8]])
    ones = ops.reshape(ones, (-1, num_bytes(bits), 8))
    return ops.cast(ops.sum(ones * _BIT_VALUES, axis=-1), "uint8")


def unpack(codes, bits):
    """Unpacks codes into +1 and -1.

    Args:
        codes: array or tensor `uint8 [n, ceil(bits / 8)]`.
        bits: int, code length.

    Returns:
        `int8 [n, bits]`, an array or a tensor as given.

    Raises:
        ValueError: the codes do not fit `bits`; padding bits that are set are
            seen in arrays alone.
    """
    bits = check_int(bits, "bits")
    if not _is_tensor(codes):
        codes = check(codes, bits)
        ones = np.unpackbits(codes, axis=1, count=bits)
        return ones.astype("int8") * 2 - 1
    width = num_bytes(bits)
    _check_packed(codes, "codes", width, integers=True)
    values = ops.expand_dims(ops.cast(codes, "int32"), -1)
    ones = ops.bitwise_and(values // _BIT_VALUES, 1)
    ones = ops.reshape(ones, (-1, 8 * width))[:, :bits]
    return ops.cast(2 * ones - 1, "int8")


def check_bits(indices, bits, name="indices"):
    """The numbers of some bits of a code as an array, each at most once."""
    found = as_array(indices, name)
    whole = found.ndim == 1 and found.dtype.kind in "iu" and len(found)
    if (
        not whole
        or found.min() < 0
        or found.max() >= bits
        or len(set(found.tolist())) < len(found)
    ):
        raise ValueError(
            f"`{name}` should be different ints from 0 to {bits - 1}, at least "
            f"one. Received: {name}={indices!r}"
        )
    return found.astype("int64")


def shorten(codes, bits):
    """The first bits of packed codes, packed.

    They are codes of their own where a model was trained so (`nested`).

    Args:
        codes: array `uint8 [n, ceil(length / 8)]` of any longer length.
        bits: int, how many of the first bits to keep.

    Returns:
        `uint8 [n, ceil(bits / 8)]`.

    Raises:
        ValueError: `codes` are no packed codes, or shorter than that.
    """
    codes, width, bits = as_array(codes, "codes"), num_bytes(bits), int(bits)
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] < width:
        raise ValueError(
            f"`codes` should be packed codes, uint8 [n, {width}] or wider for "
            f"{bits} bits. Received: codes.shape={codes.shape}, "
            f"dtype={codes.dtype}"
        )
    short = codes[:, :width].copy()
    short[:, -1] &= 0xFF << (-bits % 8) & 0xFF
    return short


def select_bits(
    codes, bits, features=None, labels=None, quality=0.25, independence=1.0
):
    """Which bits of codes to keep: good ones that do not say the same.

    A good bit agrees between neighbours: the nearest images by `features`,
    those with a label in common, or with both the nearest of these. Bits that
    are the same for nearly all images are never kept.

    Args:
        codes: packed codes `uint8 [n, ceil(length / 8)]`, or real codes `[n,
            length]`, of images that show what will be searched.
        bits: int, how many to keep.
        features: float `[n, d]`, or `None`.
        labels: int `[n]` or multi-hot `[n, num_classes]`, or `None`.
        quality: float, at least 0, weight of the agreement of neighbours.
        independence: float, at least 0, weight of the information that two
            bits share.

    Returns:
        int64 `[bits]`, numbers of bits from 0, the most weighty first:
        `HashModel.shorten(indices=)` takes them.

    Raises:
        ValueError: codes, features or labels of other shapes, a weight below
            0, or fewer bits that tell images apart than `bits`.

    Reference: Liu et al., "Hash Bit Selection", CVPR 2013.
    """
    check_int(bits, "bits")
    codes = as_array(codes, "codes")
    if codes.ndim != 2 or len(codes) < 2:
        raise ValueError(
            "`codes` should be packed or real codes of at least 2 images. "
            f"Received: codes.shape={codes.shape}"
        )
    if codes.dtype != np.uint8:
        codes = _packed(codes, "codes")
    if labels is not None:
        labels = check_labels(labels, count=len(codes))
    if features is not None:
        features = as_array(features, "features", "float64")
        if features.ndim != 2 or len(features) != len(codes):
            raise ValueError(
                f"`features` should be [{len(codes)}, d], a row an image. "
                f"Received: features.shape={features.shape}"
            )
        if not np.isfinite(features).all():
            raise ValueError(
                "`features` should be finite. Received: NaN or inf"
            )
    for name, weight in (("quality", quality), ("independence", independence)):
        real = isinstance(weight, numbers.Real)
        if not real or not 0 <= weight < np.inf:
            raise ValueError(
                f"`{name}` should be a number of at least 0. "
                f"Received: {name}={weight!r}"
            )
    ones = np.unpackbits(codes, axis=1).astype("float64")
    return selection.chosen(ones, bits, features, labels, quality, independence)


def hamming(a, b):
    """Hamming distances between all pairs of two sets of codes.

    Args:
        a: packed codes, array or tensor `uint8 [n, bytes]`.
        b: packed codes, array or tensor `uint8 [m, bytes]`.

    Returns:
        `int32 [n, m]`, a tensor if either is one.

    Raises:
        ValueError: the codes have different widths or another dtype.
    """
    return _ones_of_pairs(a, b, "xor")


def levels(a, b, bits, similarity="hamming"):
    """How far apart all pairs of two sets of codes are: near ones are low.

    Args:
        a: packed codes, array or tensor `uint8 [n, bytes]`.
        b: packed codes, array or tensor `uint8 [m, bytes]`.
        bits: int, code length.
        similarity: `"hamming"`: the distance; `"and"`: `bits` less the ones in
            common, for codes whose ones are predicted labels.

    Returns:
        `int32 [n, m]` in 0..bits, a tensor if either is one.

    Raises:
        ValueError: the codes have another width or dtype, or an unknown
            similarity.
    """
    check_similarity(similarity)
    bits = check_int(bits, "bits")
    width = num_bytes(bits)
    a = a if _is_tensor(a) else check(a, bits, "a")
    b = b if _is_tensor(b) else check(b, bits, "b")
    if similarity == "hamming":
        return _ones_of_pairs(a, b, "xor", width)
    return bits - _ones_of_pairs(a, b, "and", width)


def check_similarity(similarity):
    """Refuses what is not one of `SIMILARITIES`."""
    check_choice(similarity, "similarity", SIMILARITIES)


def _check_packed(codes, name, width=None, integers=False):
    """Refuses what has another shape or type than packed codes; as `integers`
    those of ONNX and LiteRT, which know few types, are fine."""
    dtype, shape = str(codes.dtype), tuple(codes.shape)
    if _is_tensor(codes):
        dtype = keras.backend.standardize_dtype(codes.dtype)
    fits = len(shape) == 2 and (width or shape[1]) in (None, shape[1])
    fine = dtype == "uint8" or (integers and "int" in dtype)
    if not (fine and (fits or shape[1:] == (None,))):
        raise ValueError(
            f"`{name}` should be packed codes, uint8 "
            f"[n, {width or 'bytes'}]. "
            f"Received: {name}.shape={shape}, dtype={dtype}"
        )


def _ones_of_pairs(a, b, combine, width=None):
    """Ones of `a ^ b` or `a & b` for all pairs of packed codes, `int32`."""
    a = a if _is_tensor(a) else as_array(a, "a")
    b = b if _is_tensor(b) else as_array(b, "b")
    for name, value in (("a", a), ("b", b)):
        _check_packed(value, name, width)
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            "`a` and `b` should have codes of one length. "
            f"Received: a.shape={tuple(a.shape)}, b.shape={tuple(b.shape)}"
        )
    if _is_tensor(a) or _is_tensor(b):
        a = ops.cast(ops.convert_to_tensor(a), "int32")
        b = ops.cast(ops.convert_to_tensor(b), "int32")
        both = ops.bitwise_xor if combine == "xor" else ops.bitwise_and
        ones = ops.take(_POPCOUNT, both(a[:, None, :], b[None, :, :]))
        return ops.sum(ones, axis=-1)
    a, b = words(a).T[:, :, None], words(b).T[:, None, :]
    return ones_of_words(a, b, combine).astype("int32")


def levels_of_words(a, b, bits, similarity="hamming", dtype="int32"):
    """`levels` of codes as words, for inner loops, see `ones_of_words`."""
    if similarity == "hamming":
        return ones_of_words(a, b, "xor", dtype)
    return bits - ones_of_words(a, b, "and", dtype)


def ones_of_words(a, b, combine, dtype="int32"):
    """Ones of `a ^ b` (`combine="xor"`) or `a & b` (`"and"`).

    The words are the first axis, or come as a tuple; the rest broadcasts.
    Unsigned arrays give as many bytes as the counts need; signed TensorFlow
    tensors give `dtype`, inside a graph too. On a GPU that should be int64, as
    TensorFlow adds int32 on the CPU.
    """
    several = isinstance(a, (np.ndarray, tuple))
    count = len(a) if several else a.shape[0]
    if several and isinstance(a[0], np.ndarray):
        both = np.bitwise_xor if combine == "xor" else np.bitwise_and
        total = np.bitwise_count(both(a[0], b[0]))
        most = count * a[0].itemsize * 8
        if most > 255:
            total = total.astype("uint16" if most < 1 << 16 else "uint32")
        for word in range(1, count):
            total += np.bitwise_count(both(a[word], b[word]))
        return total
    import tensorflow as tf

    xor = combine == "xor"
    both = tf.bitwise.bitwise_xor if xor else tf.bitwise.bitwise_and
    total = 0
    for word in range(count):
        ones = tf.raw_ops.PopulationCount(x=both(a[word], b[word]))
        total += tf.cast(ones, dtype)
    return total


def words(codes):
    """Packed codes as machine words, filled up with zeros or, where they fit,
    in the same memory: a `uint32` for up to 4 bytes, else some `uint64`."""
    width = codes.shape[1]
    size = 4 if width <= 4 else 8
    if width % size:
        codes = padded(codes, width + -width % size)
    return np.ascontiguousarray(codes).view(f"uint{8 * size}")


def padded(codes, width):
    """A copy of codes, filled up with zero bytes to `[n, width]`."""
    return np.pad(codes, [(0, 0), (0, width - codes.shape[1])])


def group(rows):
    """Groups equal rows of bytes: the index of one row of each group, in the
    order of the bytes; the group of each row; the size of each group."""
    keys = np.ascontiguousarray(rows)
    if keys.shape[1] <= 8:
        # As one big-endian number a row: sorting numbers is much faster.
        padded = np.zeros((len(keys), 8), "uint8")
        padded[:, 8 - keys.shape[1] :] = keys
        keys = padded.view(">u8").ravel().astype("uint64")
    else:
        keys = keys.view([("", f"V{keys.shape[1]}")]).ravel()
    order = np.argsort(keys)
    keys = keys[order]
    starts = np.ones(len(keys), bool)
    starts[1:] = keys[1:] != keys[:-1]
    inverse = np.empty(len(keys), "int64")
    inverse[order] = np.cumsum(starts) - 1
    bounds = np.append(np.flatnonzero(starts), len(keys))
    return order[starts], inverse, np.diff(bounds)


def _is_tensor(x):
    return ops.is_tensor(x) or isinstance(x, keras.KerasTensor)
