"""An index of image files, and a picture of what a search finds."""

import numpy as np

from keras_hash import files
from keras_hash import progress
from keras_hash.search.index import Index


class PhotoIndex:
    """The index of image files in a file, for the codes of one encoder.

    The ids of its `index` are paths. `maker` tells the encoder from all others.
    """

    def __init__(self, path, bits, similarity, maker):
        self.path, self.maker = files.local(path), maker
        if not self.path.exists():
            self.index = Index(bits, similarity=similarity)
            return
        self.index = Index.load(self.path)
        # Written in Python, it may not say whose codes they are.
        about = self.index.about
        other = any(
            about.get(key, value) != value for key, value in maker.items()
        )
        holds = (self.index.bits, self.index.similarity)
        if other or holds != (bits, similarity):
            whose = about.get("name", "an encoder")
            if other and whose == maker["name"]:
                whose = f"{whose} with other weights"
            raise ValueError(
                f"{self.path} holds codes of {whose} ({holds[0]} bits, "
                f"{holds[1]}); {maker['name']} makes {bits} bits, "
                f"{similarity}. Search with the encoder that made it, or give "
                "another index."
            )

    def extend(self, paths, encode, batch_size=64):
        """Adds the files that are not there yet, and saves, after Ctrl-C too.

        `encode` takes paths, and returns packed codes of those that are images,
        their positions, and a dict from those of the others to reasons. Returns
        how many were added, and a dict from the paths of the others.
        """
        there = set(self.index.ids.tolist())
        if there and not isinstance(next(iter(there)), str):
            raise ValueError(
                f"The ids in {self.path} are numbers, not paths: files cannot "
                "be added to it. Give another index."
            )
        new = [path for path in paths if path not in there]
        if not new:
            return 0, {}
        refused, before = {}, len(self.index)
        starts = range(0, len(new), batch_size)
        try:
            for low in progress.track(starts, len(starts), "Indexing"):
                batch = new[low : low + batch_size]
                codes, kept, bad = encode(batch)
                refused |= {batch[place]: why for place, why in bad.items()}
                if kept:
                    self.index.add(codes, [batch[place] for place in kept])
        finally:
            if len(self.index) > before:
                about = {**self.index.about, **self.maker}
                self.index.save(self.path, about)
        return len(self.index) - before, refused

    def search(self, codes, k, radius=None):
        """For each query a list of `(id, distance)`, nearest first."""
        if radius is None:
            distances, ids = self.index.search(codes, k=k)
            pairs = zip(ids.tolist(), distances.tolist())
            return [list(zip(*pair)) for pair in pairs]
        bounds, distances, ids = self.index.range_search(codes, radius)
        pairs = list(zip(ids.tolist(), distances.tolist()))
        return [
            pairs[low:high][:k] for low, high in zip(bounds[:-1], bounds[1:])
        ]


def nearest(
    benchmark,
    parts,
    bits,
    path,
    name,
    queries=10,
    k=10,
    similarity="hamming",
):
    """Searches some queries, of different classes first, and draws the result.

    `parts` holds the codes of `query` and `database`, `name` is the encoder's.
    """
    from keras_hash import figures

    query, database = benchmark.parts["query"], benchmark.parts["database"]
    order = np.random.RandomState(0).permutation(len(query))
    labels = benchmark.targets[query[order]]
    _, first = np.unique(labels, axis=0, return_index=True)
    chosen = order[first][:queries]
    index = Index(bits, parts["database"], similarity=similarity)
    distances, ids = index.search(parts["query"][chosen], k=k)
    found = database[ids]
    labels, other = benchmark.targets[query[chosen]], benchmark.targets[found]
    if benchmark.multi_label:
        relevant = (labels[:, None] & other).any(axis=-1)
    else:
        relevant = labels[:, None] == other
    figures.gallery(
        benchmark.images[query[chosen]],
        [benchmark.images[row] for row in found],
        distances,
        relevant,
        path,
        title=f"{name}: nearest of {len(database)} images, Hamming distance "
        f"of {bits} bits",
    )
