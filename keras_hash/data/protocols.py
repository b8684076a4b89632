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
        """Splits a pool; the order of its rows does not matter."""
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
        """Parts that do not have the published number of images, as text."""
        return [
            f"{part}: {len(parts[part])} images instead of {count}"
            for part, count in self.counts.items()
            if len(parts[part]) != count
        ]

    def card(self):
        """The protocol for printing and JSON."""
        card = {"name": f"{self.dataset}:{self.name}"}
        for field in dataclasses.fields(self):
            if field.name not in ("name", "draw", "fields"):
                value = getattr(self, field.name)
                card[field.name] = (
                    list(value) if isinstance(value, tuple) else value
                )
        return card


def find(dataset, name):
    """A protocol by name; `ValueError` where there is none."""
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


def _drawn(draw, **settings):
    """A draw of `draws` by labels alone, with the seed of all of them."""
    return lambda targets, _: draw(targets, **settings, seed=0)


def _test_images(_, splits):
    return draws.by_split(splits, "test")


def _disjoint(dataset, counts, labels, whole, **more):
    """Retrieval among the classes that half of a split never trained on."""
    return Protocol(
        dataset=dataset,
        name="disjoint",
        query="queries of the official split, of the other half of the classes",
        train="training images of the official split, of half of the classes",
        database="database of the official split, of the other half of the "
        "classes",
        counts=counts,
        labels=labels,
        draw=lambda targets, splits: draws.separate_classes(
            targets, whole(targets, splits)
        ),
        seed=0,
        notes="Which classes train is our draw.",
        **more,
    )


_OURS = "The counts are published, the lists ours."
_CIFAR10 = "Drawn from all 60,000 images, training before test. " + _OURS

PROTOCOLS = (
    Protocol(
        dataset="cifar10",
        name="official",
        query="the test images",
        train="the training images",
        database="the training images",
        counts=dict(query=10_000, train=50_000, database=50_000),
        labels="10 classes",
        draw=_test_images,
        papers=("DLBHC", "SSDH", "GreedyHash (cifar2)"),
    ),
    Protocol(
        dataset="cifar10",
        name="dshc",
        query="1,000 a class",
        train="all images but the queries",
        database="the training images",
        counts=dict(query=10_000, train=50_000, database=50_000),
        labels="10 classes",
        draw=_drawn(
            draws.draw_per_class, query=1000, train=5000, train_in_database=True
        ),
        papers=("DSHC", "TALR (setting 2)", "DeepHash-pytorch (cifar10-2)"),
        seed=0,
        notes=_CIFAR10,
    ),
    Protocol(
        dataset="cifar10",
        name="cifar10-1",
        query="100 a class",
        train="500 a class",
        database="all images but the queries, training images included",
        counts=dict(query=1000, train=5000, database=59_000),
        labels="10 classes",
        draw=_drawn(
            draws.draw_per_class, query=100, train=500, train_in_database=True
        ),
        papers=("CNNH", "DPSH", "DTSH", "DSDH", "GreedyHash", "TALR"),
        seed=0,
        notes=_CIFAR10,
    ),
    Protocol(
        dataset="cifar10",
        name="cifar10",
        query="100 a class",
        train="500 a class",
        database="all images but the queries and the training images",
        counts=dict(query=1000, train=5000, database=54_000),
        labels="10 classes",
        draw=_drawn(
            draws.draw_per_class, query=100, train=500, train_in_database=False
        ),
        papers=("DeepHash-pytorch", "HashNet lists"),
        seed=0,
        notes=_CIFAR10,
    ),
    _disjoint(
        dataset="cifar10",
        counts=dict(query=5000, train=25_000, database=25_000),
        labels="10 classes, 5 of them trained",
        whole=_test_images,
    ),
    Protocol(
        dataset="cifar100",
        name="official",
        query="the test images",
        train="the training images",
        database="the training images",
        counts=dict(query=10_000, train=50_000, database=50_000),
        labels="100 fine classes",
        draw=_test_images,
        fields=("label",),
    ),
    Protocol(
        dataset="cifar100",
        name="levels",
        query="the test images",
        train="the training images",
        database="the training images",
        counts=dict(query=10_000, train=50_000, database=50_000),
        labels="100 fine classes and 20 coarse ones, multi-hot",
        draw=_test_images,
        fields=("label", "coarse_label"),
        notes="Two images share 2 labels (same class), 1 (same superclass "
        "only) or 0. Ours.",
    ),
    _disjoint(
        dataset="cifar100",
        counts=dict(query=5000, train=25_000, database=25_000),
        labels="100 fine classes, 50 of them trained",
        whole=_test_images,
        fields=("label",),
    ),
    Protocol(
        dataset="corel5k",
        name="official",
        query="the test images",
        train="the training images",
        database="the training images",
        counts=dict(query=499, train=4500, database=4500),
        labels="260 words that occur in both splits",
        draw=_test_images,
        papers=("Duygulu et al. 2002",),
        notes="The published lists. Images may have no label.",
    ),
    Protocol(
        dataset="digits",
        name="official",
        query="36 a class",
        train="all images but the queries",
        database="the training images",
        counts=dict(query=360, train=1437, database=1437),
        labels="10 classes",
        draw=_drawn(draws.query_per_class, count=36),
        seed=0,
        notes="Ours.",
    ),
    _disjoint(
        dataset="digits",
        counts=dict(query=180, train=714, database=723),
        labels="10 classes, 5 of them trained",
        whole=_drawn(draws.query_per_class, count=36),
    ),
    Protocol(
        dataset="multidigits",
        name="official",
        query="scenes of the digits that are queries of digits",
        train="scenes of all other digits",
        database="the training images",
        counts=dict(query=1000, train=6000, database=6000),
        labels="10 classes, multi-hot",
        draw=lambda _, splits: draws.by_split(splits, "query"),
        seed=0,
        notes="Ours.",
    ),
    Protocol(
        dataset="nus_wide",
        name="nus21-1",
        query="100 a label",
        train="500 a label",
        database="all images but the queries, training images included",
        counts=dict(query=2100, train=10_500, database=193_734),
        labels="21 most frequent concepts",
        draw=_drawn(draws.draw_per_label, query=100, train=500),
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
        dataset="nus_wide",
        name="nus21-2",
        query="100 a label",
        train="all images but the queries",
        database="the training images",
        counts=dict(query=2100, train=193_734, database=193_734),
        labels="21 most frequent concepts",
        draw=_drawn(draws.draw_per_label, query=100, train=None),
        label_names=label_sets.NUS21,
        only_labelled=True,
        seed=0,
        k=50_000,
        papers=("DSHC", "TALR (setting 2)", "DSDH (setting 2)"),
        notes="The 195,834 images with one of the labels. " + _OURS,
    ),
    Protocol(
        dataset="nus_wide",
        name="nus81",
        query="drawn at random",
        train="drawn at random",
        database="all images but the queries, training images included",
        counts=dict(query=5000, train=10_000, database=204_347),
        labels="81 concepts",
        draw=_drawn(
            draws.draw_at_random,
            query=5000,
            train=10_000,
            train_in_database=True,
        ),
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
        dataset="mirflickr25k",
        name="mir38",
        query="drawn at random",
        train="drawn at random",
        database="all images but the queries and the training images",
        counts=dict(query=1000, train=4000, database=20_000),
        labels="24 potential and 14 relevant labels",
        draw=_drawn(
            draws.draw_at_random,
            query=1000,
            train=4000,
            train_in_database=False,
        ),
        label_names=label_sets.MIR38,
        seed=0,
        papers=("DeepHash-pytorch", "HyP2 (mAP@1000)", "IDHN (train list)"),
        notes="419 of the images have no label. " + _OURS,
    ),
    Protocol(
        dataset="mirflickr25k",
        name="mir24",
        query="drawn at random",
        train="drawn at random",
        database="all images but the queries, training images included",
        counts=dict(query=2000, train=10_000, database=22_581),
        labels="24 potential labels",
        draw=_drawn(
            draws.draw_at_random,
            query=2000,
            train=10_000,
            train_in_database=True,
        ),
        label_names=label_sets.MIR24,
        only_labelled=True,
        seed=0,
        papers=("cross-modal hashing",),
        notes="The 24,581 images with a label. Cross-modal papers use the "
        "20,015 that also have tags, a database of 18,015, and 5,000 or 10,000 "
        "training images: tags are not read here. The lists are ours.",
    ),
    Protocol(
        dataset="voc2007",
        name="official",
        query="the test images",
        train="the training and validation images",
        database="the training images",
        counts=dict(query=4952, train=5011, database=5011),
        labels="20 classes",
        draw=_test_images,
        papers=("HyP2",),
        notes="The published lists. Objects marked difficult do not count.",
    ),
    Protocol(
        dataset="voc2012",
        name="official",
        query="the validation images",
        train="the training images",
        database="the training images",
        counts=dict(query=5823, train=5717, database=5717),
        labels="20 classes",
        draw=lambda _, splits: draws.by_split(splits, "validation"),
        papers=("HyP2",),
        notes="The published lists. Objects marked difficult do not count.",
    ),
    Protocol(
        dataset="voc2012",
        name="voc2012",
        query="drawn at random",
        train="drawn at random",
        database="all images but the queries and the training images",
        counts=dict(query=1000, train=4000, database=6540),
        labels="20 classes",
        draw=_drawn(
            draws.draw_at_random,
            query=1000,
            train=4000,
            train_in_database=False,
        ),
        seed=0,
        papers=("DeepHash-pytorch",),
        notes="Drawn from training and validation images. " + _OURS,
    ),
    Protocol(
        dataset="coco",
        name="hashnet",
        query="drawn at random",
        train="drawn at random",
        database="all images but the training images, queries included",
        counts=dict(query=5000, train=10_000, database=112_218),
        labels="80 classes",
        draw=_drawn(
            draws.draw_at_random,
            query=5000,
            train=10_000,
            train_in_database=False,
            query_in_database=True,
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
        dataset="coco",
        name="hashnet-clean",
        query="those of hashnet",
        train="those of hashnet",
        database="all images but the queries and the training images",
        counts=dict(query=5000, train=10_000, database=107_218),
        labels="80 classes",
        draw=_drawn(
            draws.draw_at_random,
            query=5000,
            train=10_000,
            train_in_database=False,
        ),
        only_labelled=True,
        seed=0,
        k=5000,
        notes="As hashnet, with a database without the queries.",
    ),
    Protocol(
        dataset="imagenet100",
        name="hashnet",
        query="the validation images, 50 a class",
        train="130 a class",
        database="the training images of ImageNet",
        counts=dict(query=5000, train=13_000, database=128_503),
        labels="100 classes",
        draw=lambda targets, splits: draws.by_split(
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
