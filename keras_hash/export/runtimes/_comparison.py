"""How far the codes of an exported file are those of its model."""

import dataclasses

import numpy as np

from keras_hash import codes
from keras_hash import evaluation
from keras_hash.data.images import some
from keras_hash.export.runtimes import _conversion


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        images: int, how many were encoded both ways.
        bits: int, code length.
        bits_differing: float in 0..1, share of all bits.
        codes_differing: float in 0..1, share of images with another code.
        mean_distance: float, mean Hamming distance of the two codes, in bits.
        largest_distance: int, the largest one.
        map: float or `None`, mAP of the exported encoder on a benchmark,
            queries and database both encoded by it.
        map_change: float or `None`, that less the mAP of the model.
    """

    images: int
    bits: int
    bits_differing: float
    codes_differing: float
    mean_distance: float
    largest_distance: int
    map: float | None = None
    map_change: float | None = None

    def __str__(self):
        if not self.codes_differing:
            text = f"All codes of {self.images:,} images agree bit for bit"
        else:
            text = (
                f"Of {self.images:,} images, {100 * self.codes_differing:.3g} "
                "% get another code "
                f"({100 * self.bits_differing:.3g} % of all bits differ, "
                f"{self.mean_distance:.3g} of {self.bits} on average, "
                f"{self.largest_distance} at most)"
            )
        if self.map is not None:
            text += f"; mAP {self.map:.4f} ({self.map_change:+.4f})"
        return text + "."


def compare(model, path, images, benchmark=None, reference=None):
    """Encodes images by a model and by a file made of it.

    Args:
        model: a `HashModel`, loaded from an entry: a file holds weights as
            entries keep them, those of a model in training differ a little.
        path: file or folder of `convert`, or an `Exported`.
        images: raw images `[n, h, w, 3]`, not those that an int8 file was
            calibrated with.
        benchmark: optional `keras_hash.data.Benchmark`, for the mAP.
        reference: optional float, the mAP of the model on it where that is
            known; measured by default.

    Returns:
        A `Comparison`.

    Raises:
        ValueError: as `load`, and no images.
        ImportError: the package of an extra is missing.
    """
    exported = path
    if not isinstance(path, _conversion.Exported):
        exported = _conversion.Exported(path, model)
    before, after = model.encode(images), exported.encode(images)
    found = compare_codes(before, after, model.bits)
    if benchmark is None:
        return found

    def measured(encoder):
        report, _ = evaluation.measure(encoder, benchmark)
        return report.metrics["map"]

    if reference is None:
        reference = measured(model)
    after = measured(exported)
    return dataclasses.replace(found, map=after, map_change=after - reference)


def compare_codes(before, after, bits):
    """How far two sets of packed codes of the same images are apart.

    Args:
        before: packed codes `uint8 [n, ceil(bits / 8)]`.
        after: the codes that another runtime made of the same images.
        bits: int, code length.

    Returns:
        A `Comparison`.

    Raises:
        ValueError: codes that do not fit `bits`, of other numbers of images, or
            of none.
    """
    before, after = codes.check(before, bits), codes.check(after, bits)
    if len(before) != len(after) or not len(before):
        raise ValueError(
            "`before` and `after` should be codes of the same images. "
            f"Received: {len(before)} and {len(after)}"
        )
    distances = np.bitwise_count(before ^ after).sum(axis=1)
    return Comparison(
        images=len(distances),
        bits=bits,
        bits_differing=float(distances.mean() / bits),
        codes_differing=float((distances > 0).mean()),
        mean_distance=float(distances.mean()),
        largest_distance=int(distances.max()),
    )


def sample(benchmark, count=1000, representative=0):
    """Images of a benchmark to compare on, and others to calibrate with.

    Args:
        benchmark: a `keras_hash.data.Benchmark`.
        count: int, images to compare on: queries, evenly over their order, and
            images of the database where those are too few.
        representative: int, images to calibrate with: from the training set,
            and none of the former.

    Returns:
        A pair of arrays `uint8 [n, h, w, 3]`, of `keras_hash.data.ImageFiles`
        where images have their own sizes; fewer where the benchmark has fewer,
        but never a query to calibrate with.
    """
    query = np.asarray(benchmark.parts["query"])
    train = np.setdiff1d(benchmark.parts["train"], query)
    # A fixed draw: the same file each time.
    train = np.random.RandomState(0).permutation(train)
    # Where all others are training images, at least half stay to compare on.
    most = len(train) - min(len(train) // 2, max(0, count - len(query)))
    calibrate = train[: min(representative, most)]
    places = np.linspace(0, len(query) - 1, min(count, len(query)))
    check = query[places.astype(int)]
    others = np.setdiff1d(
        benchmark.parts["database"], np.concatenate([query, calibrate])
    )
    others = others[: max(0, count - len(check))]
    chosen = np.concatenate([check, others])
    return some(benchmark.images, chosen), some(benchmark.images, calibrate)
