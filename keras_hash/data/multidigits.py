"""Scenes of one to four real digits: the embedded multi-label benchmark.

A scene has one to four of scikit-learn's digits, equally often, in different
quarters of the image. Each is drawn on its own, so classes can repeat (the
label is the set), at 12 to 16 pixels and at a random place of its quarter. An
id names the digits from top left to bottom right: `"query_0003_d0017_d1203"`.
"""

import numpy as np

from keras_hash.data import digits
from keras_hash.data import protocols
from keras_hash.data.benchmark import Benchmark

# Scenes of each part: 6,000 of the digits that train, 1,000 of the queries.
SCENES = {"train": 6000, "query": 1000}
SIDE = 32
CELL = SIDE // 2

PROTOCOLS = (
    protocols.Protocol(
        dataset="multidigits",
        name="official",
        query="scenes of the digits that are queries of digits",
        train="scenes of all other digits",
        database="the training images",
        counts=dict(query=1000, train=6000, database=6000),
        labels="10 classes, multi-hot",
        draw=protocols.held_out("query"),
        seed=0,
        notes="Ours.",
    ),
)


def load(plan):
    """The scenes, 32x32, in the order of the parts they are made for."""
    from sklearn import datasets

    single = digits.load(protocols.find("digits", "official"))
    source = datasets.load_digits()
    drawings = {
        size: _enlarge(source.images, size) for size in range(12, CELL + 1)
    }
    random = np.random.RandomState(0)
    images, members, ids = [], [], []
    for part, count in SCENES.items():
        drawn = _draw(random, single.parts[part], count)
        images.append(_paint(random, drawings, drawn))
        members.append(drawn)
        for i, scene in enumerate(drawn):
            names = [f"d{digit:04d}" for digit in scene if digit >= 0]
            ids.append("_".join([part, f"{i:04d}", *names]))
    targets = _multi_hot(np.concatenate(members), single.targets)
    splits = np.repeat(list(SCENES), list(SCENES.values()))
    return Benchmark(
        name=plan.dataset,
        protocol=plan.name,
        images=np.concatenate(images),
        targets=targets,
        ids=np.array(ids),
        parts=plan.draw(targets, splits),
        labels=single.labels,
        licence=single.licence,
        mirrors=single.mirrors,
    )


def _enlarge(images, size):
    """Bilinear enlargement to `uint8 [n, size, size]`.

    In integers, so that every machine makes the same pixels.
    """
    # Positions in units of 1 / (2 * size) of a pixel of the source.
    side = images.shape[-1]
    pixels = 2 * size * np.arange(side)
    places = side * (2 * np.arange(size) + 1) - size
    places = np.clip(places, 0, pixels[-1])[:, None]
    weights = np.maximum(0, 2 * size - np.abs(places - pixels))
    ink = weights @ images.astype("int64") @ weights.T * 255
    full = 16 * (2 * size) ** 2
    return ((ink + full // 2) // full).astype("uint8")


def _draw(random, pool, count):
    """Digits of each scene's quarters, int `[count, 4]`; -1 leaves it empty."""
    filled = random.randint(1, 5, count)
    rank = random.rand(count, 4).argsort(axis=1)
    drawn = pool[random.randint(0, len(pool), (count, 4))]
    return np.where(rank < filled[:, None], drawn, -1)


def _paint(random, drawings, drawn):
    """The scenes, `uint8 [n, 32, 32, 3]`."""
    images = np.zeros((len(drawn), SIDE, SIDE), "uint8")
    sizes = random.randint(min(drawings), CELL + 1, drawn.shape)
    shifts = np.floor(
        random.rand(*drawn.shape, 2) * (CELL + 1 - sizes)[..., None]
    ).astype(int)
    for i, quarter in np.argwhere(drawn >= 0):
        size = sizes[i, quarter]
        top, left = CELL * np.array(divmod(quarter, 2)) + shifts[i, quarter]
        images[i, top : top + size, left : left + size] = drawings[size][
            drawn[i, quarter]
        ]
    return np.repeat(images[..., None], 3, axis=-1)


def _multi_hot(drawn, targets):
    scenes, quarters = np.nonzero(drawn >= 0)
    rows = np.zeros((len(drawn), targets.max() + 1), "uint8")
    rows[scenes, targets[drawn[scenes, quarters]]] = 1
    return rows
