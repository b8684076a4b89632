"""How a pool of images is split into queries, training set and database.

`PROTOCOLS` names every split that `keras_hash.data.load` can make. A split is a
function of labels, ids and the publisher's split names alone.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_hash.data import draws
from keras_hash.data import label_sets


@dataclasses.dataclass(frozen=True)
class Split:
    """What a protocol chooses from a pool.

    Attributes:
        rows: int `[n]`, positions in the pool, in the order of the ids.
        targets: labels of these rows, with the columns of the protocol.
        labels: list of str, names of the columns or classes; empty if the pool
            had none.
        parts: dict from part name to int indices into `rows`.
    """

    rows: np.ndarray
    targets: np.ndarray
    labels: list
    parts: dict


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One way to split a dataset, as data.

    Attributes:
        dataset: str, name of the dataset.
        name: str, name of the protocol.
        query: str, what the queries are.
        train: str, what the training images are.
        database: str, what the database is.
        counts: dict, images of `"train"`, `"query"` and `"database"` where the
            dataset is complete.
        labels: str, the label set.
        draw: function from labels and split names, `[n]` each, to index arrays
            for the four parts.
        label_names: tuple of str, the labels that are kept; all if empty.
        only_labelled: bool, whether images without a label are left out.
        fields: tuple of str, label fields of the source, where it has several.
        seed: int, seed of the draw, or `None` where nothing is drawn.
        k: int, where the papers cut the ranking for mAP, or `None` for no cut.
        papers: tuple of str, papers and code that use it.
        notes: str, how it differs from the published lists.
        version: int, raised whenever the split changes.
    """

    dataset: str
    name: str
    query: str
    train: str
    database: str
    counts: dict
    labels: str
    draw: Callable
    label_names: tuple = ()
    only_labelled: bool = False
    fields: tuple = ()
    seed: int | None = None
    k: int | None = None
    papers: tuple = ()
    notes: str = ""
    version: int = 1

    def split(self, targets, ids, splits=None, labels=()):
        """Splits a pool; the order of its rows does not matter.

        Args:
            targets: int `[n]`, or multi-hot `[n, num_classes]`.
            ids: str `[n]`, different from each other.
            splits: str `[n]`, the publisher's splits, where they are needed.
            labels: sequence of str, names of the columns or classes, where the
                protocol keeps some of them.

        Returns:
            A `Split`.

        Raises:
            ValueError: ids repeat, a label is not there, or the pool has too
                few images.
        """
        targets, ids = np.asarray(targets), np.asarray(ids)
        if len(np.unique(ids)) < len(ids):
            raise ValueError(
                f"`ids` should differ from each other. Received: {len(ids)} "
                f"ids, {len(np.unique(ids))} different ones"
            )
        targets, labels, kept = self._kept(targets, list(labels))
        rows = np.argsort(ids, kind="stable")
        rows = rows[kept[rows]]
        splits = None if splits is None else np.asarray(splits)[rows]
        parts = self.draw(targets[rows], splits)
        return Split(rows, targets[rows], labels, parts)

    def _kept(self, targets, labels):
        """Targets and names of the label set, and which images have one."""
        missing = [name for name in self.label_names if name not in labels]
        if missing:
            raise ValueError(
                f"{self.dataset}:{self.name} needs the labels {missing}. "
                f"Received: labels={labels}"
            )
        kept = np.ones(len(targets), bool)
        if self.label_names:
            columns = [labels.index(name) for name in self.label_names]
            labels = list(self.label_names)
            if targets.ndim == 2:
                targets = targets[:, columns]
            else:
                known = np.isin(targets, columns)
                renumbered = np.zeros(max(targets.max(), *columns) + 1, int)
                renumbered[columns] = np.arange(len(columns))
                targets, kept = renumbered[targets], known
        if self.only_labelled:
            kept = kept & (targets > 0).any(axis=1)
        return targets, labels, kept

    def differences(self, parts):
        """Parts that do not have the published number of images.

        Args:
            parts: dict from part name to indices.

        Returns:
            A list of str, empty where all counts are met.
        """
        return [
            f"{part}: {len(parts[part])} images instead of {count}"
            for part, count in self.counts.items()
            if len(parts[part]) != count
        ]

    def card(self):
        """The protocol for printing and JSON.

        Returns:
            A dict of str, int, lists and dicts.
        """
        card = {"name": f"{self.dataset}:{self.name}"}
        for field in dataclasses.fields(self):
            if field.name not in ("name", "draw", "fields"):
                value = getattr(self, field.name)
                card[field.name] = (
                    list(value) if isinstance(value, tuple) else value
                )
        return card


def find(dataset, name):
    """A protocol by name.

    Args:
        dataset: str.
        name: str.

    Returns:
        A `Protocol`.

    Raises:
        ValueError: there is no such dataset or protocol.
    """
    known = {p.name: p for p in PROTOCOLS if p.dataset == dataset}
    if not known:
        datasets = sorted({p.dataset for p in PROTOCOLS})
        raise ValueError(
            f"The dataset should be one of {datasets}. Received: {dataset!r}"
        )
    if name not in known:
        raise ValueError(
            f"{dataset} has the protocols {sorted(known)}. "
            f"Received: protocol={name!r}"
        )
    return known[name]


def disjoint_classes(benchmark, train_share=0.5, seed=0):
    """A benchmark whose queries and database are of classes never trained on.

    Class numbers and names stay as they are.

    Args:
        benchmark: a `Benchmark` with one label an image.
        train_share: float in (0, 1), share of the classes that train.
        seed: int, draws these classes.

    Returns:
        A new `Benchmark` with the protocol `"disjoint"`.

    Raises:
        ValueError: images have several labels, or one side would have no class.
    """
    return dataclasses.replace(
        benchmark,
        protocol="disjoint",
        parts=draws.separate_classes(
            benchmark.targets, benchmark.parts, train_share, seed
        ),
    )


def listed(ids, train, query, database):
    """The split of published lists, which the package cannot contain.

    `dataclasses.replace(benchmark, parts=listed(benchmark.ids, ...))` is the
    benchmark with them.

    Args:
        ids: str `[n]`, the pool's ids.
        train: sequence of ids.
        query: sequence of ids.
        database: sequence of ids.

    Returns:
        A dict of index arrays for the four parts, in the order of the lists.

    Raises:
        ValueError: an id of a list is not in the pool.
    """
    place = {str(name): i for i, name in enumerate(ids)}
    indices = []
    for names in (train, query, database):
        missing = [str(name) for name in names if str(name) not in place]
        if missing:
            raise ValueError(
                f"{len(missing)} listed images are not in the pool, such as "
                f"{missing[:3]}."
            )
        indices.append(np.array([place[str(name)] for name in names], int))
    return draws.parts(*indices)


def _counts(query, train, database):
    return {"query": query, "train": train, "database": database}


_OURS = "The counts are published, the lists ours."
_SAME = "the training images"
_REST = "all images but the queries, training images included"
_WITHOUT = "all images but the queries and the training images"
_OTHER = "the other half of the classes"


def _cifar10(name, query, train, database, counts, settings, **more):
    return Protocol(
        "cifar10",
        name,
        query,
        train,
        database,
        counts,
        "10 classes",
        lambda targets, _: draws.draw_per_class(targets, **settings, seed=0),
        seed=0,
        notes="Drawn from all 60,000 images, training before test. " + _OURS,
        **more,
    )


def _disjoint(dataset, counts, labels, whole, **more):
    return Protocol(
        dataset,
        "disjoint",
        f"queries of the official split, of {_OTHER}",
        "training images of the official split, of half of the classes",
        f"database of the official split, of {_OTHER}",
        counts,
        labels,
        lambda targets, splits: draws.separate_classes(
            targets, whole(targets, splits)
        ),
        seed=0,
        notes="Which classes train is our draw.",
        **more,
    )


def _test_images(targets, splits):
    return draws.by_split(splits, "test")


def _drawn_digits(targets, splits):
    return draws.query_per_class(targets, 36, seed=0)


PROTOCOLS = (
    Protocol(
        "cifar10",
        "official",
        "the test images",
        _SAME,
        _SAME,
        _counts(10_000, 50_000, 50_000),
        "10 classes",
        _test_images,
        papers=("DLBHC", "SSDH", "GreedyHash (cifar2)"),
    ),
    _cifar10(
        "dshc",
        "1,000 a class",
        "all images but the queries",
        _SAME,
        _counts(10_000, 50_000, 50_000),
        {"query": 1000, "train": 5000, "train_in_database": True},
        papers=("DSHC", "TALR (setting 2)", "DeepHash-pytorch (cifar10-2)"),
    ),
    _cifar10(
        "cifar10-1",
        "100 a class",
        "500 a class",
        _REST,
        _counts(1000, 5000, 59_000),
        {"query": 100, "train": 500, "train_in_database": True},
        papers=("CNNH", "DPSH", "DTSH", "DSDH", "GreedyHash", "TALR"),
    ),
    _cifar10(
        "cifar10",
        "100 a class",
        "500 a class",
        _WITHOUT,
        _counts(1000, 5000, 54_000),
        {"query": 100, "train": 500, "train_in_database": False},
        papers=("DeepHash-pytorch", "HashNet lists"),
    ),
    _disjoint(
        "cifar10",
        _counts(5000, 25_000, 25_000),
        "10 classes, 5 of them trained",
        _test_images,
    ),
    Protocol(
        "cifar100",
        "official",
        "the test images",
        _SAME,
        _SAME,
        _counts(10_000, 50_000, 50_000),
        "100 fine classes",
        _test_images,
        fields=("label",),
    ),
    Protocol(
        "cifar100",
        "levels",
        "the test images",
        _SAME,
        _SAME,
        _counts(10_000, 50_000, 50_000),
        "100 fine classes and 20 coarse ones, multi-hot",
        _test_images,
        fields=("label", "coarse_label"),
        notes="Two images share 2 labels (same class), 1 (same superclass "
        "only) or 0. Ours.",
    ),
    _disjoint(
        "cifar100",
        _counts(5000, 25_000, 25_000),
        "100 fine classes, 50 of them trained",
        _test_images,
        fields=("label",),
    ),
    Protocol(
        "corel5k",
        "official",
        "the test images",
        _SAME,
        _SAME,
        _counts(499, 4500, 4500),
        "260 words that occur in both splits",
        lambda _, splits: draws.by_split(splits, "test"),
        papers=("Duygulu et al. 2002",),
        notes="The published lists. Images may have no label.",
    ),
    Protocol(
        "digits",
        "official",
        "36 a class",
        "all images but the queries",
        _SAME,
        _counts(360, 1437, 1437),
        "10 classes",
        _drawn_digits,
        seed=0,
        notes="Ours.",
    ),
    _disjoint(
        "digits",
        _counts(180, 714, 723),
        "10 classes, 5 of them trained",
        _drawn_digits,
    ),
    Protocol(
        "multidigits",
        "official",
        "scenes of the digits that are queries of digits",
        "scenes of all other digits",
        _SAME,
        _counts(1000, 6000, 6000),
        "10 classes, multi-hot",
        lambda _, splits: draws.by_split(splits, "query"),
        seed=0,
        notes="Ours.",
    ),
    Protocol(
        "nus_wide",
        "nus21-1",
        "100 a label",
        "500 a label",
        _REST,
        _counts(2100, 10_500, 193_734),
        "21 most frequent concepts",
        lambda targets, _: draws.draw_per_label(targets, 100, 500, seed=0),
        label_names=label_sets.NUS21,
        only_labelled=True,
        seed=0,
        k=5000,
        papers=("CNNH", "DPSH", "DTSH", "DSDH", "TALR", "DeepHash-pytorch"),
        notes="The 195,834 images with one of the labels. An image counts for "
        "the first of its labels that needs one, queries first; "
        "DeepHash-pytorch fills the training set first. " + _OURS,
    ),
    Protocol(
        "nus_wide",
        "nus21-2",
        "100 a label",
        "all images but the queries",
        _SAME,
        _counts(2100, 193_734, 193_734),
        "21 most frequent concepts",
        lambda targets, _: draws.draw_per_label(targets, 100, None, seed=0),
        label_names=label_sets.NUS21,
        only_labelled=True,
        seed=0,
        k=50_000,
        papers=("DSHC", "TALR (setting 2)", "DSDH (setting 2)"),
        notes="The 195,834 images with one of the labels. " + _OURS,
    ),
    Protocol(
        "nus_wide",
        "nus81",
        "drawn at random",
        "drawn at random",
        _REST,
        _counts(5000, 10_000, 204_347),
        "81 concepts",
        lambda targets, _: draws.draw_at_random(targets, 5000, 10_000, 0, True),
        label_names=label_sets.NUS81,
        only_labelled=True,
        seed=0,
        k=5000,
        papers=("HashNet",),
        notes="The 209,347 images with a label. HashNet had 223,496 images, of "
        "which some have none (2,185 training images, 1,131 queries), and a "
        "smaller database. The lists are ours.",
    ),
    Protocol(
        "mirflickr25k",
        "mir38",
        "drawn at random",
        "drawn at random",
        _WITHOUT,
        _counts(1000, 4000, 20_000),
        "24 potential and 14 relevant labels",
        lambda targets, _: draws.draw_at_random(targets, 1000, 4000, 0, False),
        label_names=label_sets.MIR38,
        seed=0,
        papers=("DeepHash-pytorch", "HyP2 (mAP@1000)", "IDHN (train list)"),
        notes="419 of the images have no label. " + _OURS,
    ),
    Protocol(
        "mirflickr25k",
        "mir24",
        "drawn at random",
        "drawn at random",
        _REST,
        _counts(2000, 10_000, 22_581),
        "24 potential labels",
        lambda targets, _: draws.draw_at_random(targets, 2000, 10_000, 0, True),
        label_names=label_sets.MIR24,
        only_labelled=True,
        seed=0,
        papers=("cross-modal hashing",),
        notes="The 24,581 images with a label. Cross-modal papers use the "
        "20,015 that also have tags, a database of 18,015, and 5,000 or 10,000 "
        "training images: tags are not read here. The lists are ours.",
    ),
    Protocol(
        "voc2007",
        "official",
        "the test images",
        "the training and validation images",
        _SAME,
        _counts(4952, 5011, 5011),
        "20 classes",
        _test_images,
        papers=("HyP2",),
        notes="The published lists. Objects marked difficult do not count.",
    ),
    Protocol(
        "voc2012",
        "official",
        "the validation images",
        _SAME,
        _SAME,
        _counts(5823, 5717, 5717),
        "20 classes",
        lambda _, splits: draws.by_split(splits, "validation"),
        papers=("HyP2",),
        notes="The published lists. Objects marked difficult do not count.",
    ),
    Protocol(
        "voc2012",
        "voc2012",
        "drawn at random",
        "drawn at random",
        _WITHOUT,
        _counts(1000, 4000, 6540),
        "20 classes",
        lambda targets, _: draws.draw_at_random(targets, 1000, 4000, 0, False),
        seed=0,
        papers=("DeepHash-pytorch",),
        notes="Drawn from training and validation images. " + _OURS,
    ),
    Protocol(
        "coco",
        "hashnet",
        "drawn at random",
        "drawn at random",
        "all images but the training images, queries included",
        _counts(5000, 10_000, 112_218),
        "80 classes",
        lambda targets, _: draws.draw_at_random(
            targets, 5000, 10_000, 0, False, query_in_database=True
        ),
        only_labelled=True,
        seed=0,
        k=5000,
        papers=("HashNet", "CSQ"),
        notes="The 122,218 labelled images of 2014. The published database "
        "contains the queries, so that each finds itself. "
        "DeepHash-pytorch has other queries. " + _OURS,
    ),
    Protocol(
        "coco",
        "hashnet-clean",
        "those of hashnet",
        "those of hashnet",
        _WITHOUT,
        _counts(5000, 10_000, 107_218),
        "80 classes",
        lambda targets, _: draws.draw_at_random(
            targets, 5000, 10_000, 0, False
        ),
        only_labelled=True,
        seed=0,
        k=5000,
        notes="As hashnet, with a database without the queries.",
    ),
    Protocol(
        "imagenet100",
        "hashnet",
        "the validation images, 50 a class",
        "130 a class",
        "the training images of ImageNet",
        _counts(5000, 13_000, 128_503),
        "100 classes",
        lambda targets, splits: draws.by_split(
            splits, "validation", 130, targets, seed=0
        ),
        label_names=label_sets.IMAGENET100,
        seed=0,
        k=1000,
        papers=("HashNet", "CSQ", "OrthoHash", "DeepHash-pytorch"),
        notes="The classes are the published ones; which 13,000 of the "
        "database train is our draw.",
    ),
)
