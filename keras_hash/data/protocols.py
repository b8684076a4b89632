"""How a pool of images is split into queries, training set and database.

A split is a function of labels, ids and the publisher's split names alone. Each
data set has its protocols in its own file, in `PROTOCOLS`.
"""

import dataclasses
import functools
import importlib
import pkgutil
import typing
from collections.abc import Callable

import numpy as np

from keras_hash.data import draws

# What a note says where the lists of the papers are not to be had.
OURS = "The counts are published, the lists ours."


class Split(typing.NamedTuple):
    """Rows of a pool in the order of their ids, and the parts of these rows."""

    rows: np.ndarray
    targets: np.ndarray
    labels: list
    parts: dict


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One way to split a dataset, as data."""

    dataset: str
    name: str
    # What they are, in words.
    query: str
    train: str
    database: str
    # Images of these three parts where the dataset is complete.
    counts: dict
    labels: str
    # From labels and split names, `[n]` each, to indices of the four parts.
    draw: Callable
    # The labels that are kept; all if empty.
    label_names: tuple = ()
    # Whether images without a label are left out.
    only_labelled: bool = False
    # Label fields of the source, where it has several.
    fields: tuple = ()
    # `None` where nothing is drawn.
    seed: int | None = None
    # Where the papers cut the ranking for mAP, or `None` for no cut.
    k: int | None = None
    papers: tuple = ()
    # How it differs from the published lists.
    notes: str = ""
    # Raised whenever the split changes.
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


@functools.cache
def sets():
    """The module of each data set: a file in this folder with `PROTOCOLS`."""
    package = importlib.import_module(__package__)
    modules = [
        importlib.import_module(info.name)
        for info in pkgutil.iter_modules(package.__path__, f"{__package__}.")
    ]
    found = {
        plan.dataset: module
        for module in modules
        for plan in getattr(module, "PROTOCOLS", ())
    }
    return dict(sorted(found.items()))


def of(dataset):
    """The protocols of a data set, by name; `ValueError` if it is unknown."""
    if not isinstance(dataset, str) or dataset not in sets():
        raise ValueError(
            f"The `name` of a dataset should be one of {list(sets())}. "
            f"Received: name={dataset!r}"
        )
    plans = sets()[dataset].PROTOCOLS
    return {plan.name: plan for plan in plans if plan.dataset == dataset}


def find(dataset, name):
    """A protocol by name; `ValueError` where there is none."""
    known = of(dataset)
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
        seed: int from 0 to 2**32 - 1, draws these classes.

    Returns:
        A new `Benchmark` with the protocol `"disjoint"`.

    Raises:
        ValueError: images have several labels, one side would have no class, or
            an argument is no such number.
    """
    draws.check_seed(seed)
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


def drawn(draw, **settings):
    """A draw of `draws` by labels alone, with the seed of all of them."""
    return lambda targets, _: draw(targets, **settings, seed=0)


def held_out(split):
    """The publisher's split of this name is the queries."""
    return lambda _, splits: draws.by_split(splits, split)


def published(
    name="official", split="test", train="the training images", **more
):
    """The publisher's split: one part is the queries, the others answer."""
    return Protocol(
        name=name,
        query=f"the {split} images",
        train=train,
        database="the training images",
        draw=held_out(split),
        **more,
    )


def of_each(kind, query, train=None, train_in_database=True, **more):
    """So many queries and training images of each `"class"` or `"label"`."""
    sizes = dict(query=query, train=train, train_in_database=train_in_database)
    draw = draws.draw_per_class if kind == "class" else draws.draw_per_label
    trained = f"{train} a {kind}"
    database = _database(train_in_database)
    if train is None:
        trained, database = "all images but the queries", "the training images"
    return Protocol(
        query=f"{query:,} a {kind}",
        train=trained,
        database=database,
        draw=drawn(draw, **sizes),
        seed=0,
        **more,
    )


def at_random(counts, train_in_database, query_in_database=False, **more):
    """Queries and training images from all images alike."""
    return Protocol(
        query="drawn at random",
        train="drawn at random",
        database=_database(train_in_database, query_in_database),
        counts=counts,
        draw=drawn(
            draws.draw_at_random,
            query=counts["query"],
            train=counts["train"],
            train_in_database=train_in_database,
            query_in_database=query_in_database,
        ),
        seed=0,
        **more,
    )


def _database(train_in_database, query_in_database=False):
    if train_in_database:
        return "all images but the queries, training images included"
    if query_in_database:
        return "all images but the training images, queries included"
    return "all images but the queries and the training images"


def disjoint(whole, **more):
    """Retrieval among the classes that half of a split never trained on."""
    return Protocol(
        name="disjoint",
        query="queries of the official split, of the other half of the classes",
        train="training images of the official split, of half of the classes",
        database="database of the official split, of the other half of the "
        "classes",
        draw=lambda targets, splits: draws.separate_classes(
            targets, whole(targets, splits)
        ),
        seed=0,
        notes="Which classes train is our draw.",
        **more,
    )
