"""The score of every method on classes that it was not trained on."""

import dataclasses
import functools

import compare_methods
import numpy as np

from keras_hash.data import protocols
from paper_dshc import store

HEART = ("dshc", "dsrh", "isdh", "dpsh")
# Seeds that draw the classes that train.
DRAWS = (0, 1, 2)


@dataclasses.dataclass(frozen=True)
class Unseen(compare_methods.Task):
    """Trains on half of the classes and retrieves among the others.

    The training classes come first, so that a method is built for these alone.
    """

    draw: int = 0

    @functools.cached_property
    def benchmark(self):
        given = protocols.disjoint_classes(store.TASK.benchmark, seed=self.draw)
        seen = np.unique(given.targets[given.parts["train"]])
        order = [*seen, *np.setdiff1d(np.unique(given.targets), seen)]
        # Centred on the images that train: other classes are not known.
        train = given.images[given.parts["train"]]
        return dataclasses.replace(
            given,
            images=given.images - train.mean(axis=0),
            targets=np.argsort(order)[given.targets],
            labels=[given.labels[c] for c in seen],
        )


def runs():
    """Runs of the disjoint protocol: key, method, bits, seed and draw."""
    own = {"dshc": 30, "dshc_kbc": 10, "trivial": 0, "chance": 0}
    every = compare_methods.all_methods(store.TASK)
    # The heart methods first: which classes train matters more than the seed.
    chosen = [(method, 0, draw) for draw in DRAWS for method in HEART]
    chosen += [(method, seed, 0) for seed in (1, 2) for method in HEART]
    chosen += [(method, 0, draw) for draw in DRAWS for method in every]
    planned = [
        (method, own.get(method, 32), seed, draw)
        for method, seed, draw in dict.fromkeys(chosen)
    ]
    return {
        f"{m} {bits} {seed} {draw}": (m, bits, seed, draw)
        for m, bits, seed, draw in planned
    }


def measure_disjoint(again):
    """The score of every method on classes it was not trained on."""
    wanted = runs()
    tasks = {}
    for key in store.missing("disjoint", wanted, again):
        method, bits, seed, draw = wanted[key]
        if draw not in tasks:
            # One at a time: each holds its own features.
            tasks = {draw: Unseen(**dataclasses.asdict(store.TASK), draw=draw)}
        task = tasks[draw]
        row = {"method": method, "bits": bits, "seed": seed, "draw": draw}
        found = compare_methods.run(task, method, bits, seed)[0]
        row |= {k: found[k] for k in ("map", "unique_codes")}
        store.add("disjoint", key, row)
