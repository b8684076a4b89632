"""What the sections of a page look at."""

import numpy as np
from scipy import sparse

from keras_hash import codes
from keras_hash.html_report.rendering import cut


def ends(order, most):
    """The first and, backwards, the last of an order; nothing is in both."""
    first = order[: min(most, -(-len(order) // 2))]
    return first, order[::-1][: min(most, len(order) - len(first))]


class Measured:
    """What the sections look at: both sides, and the report."""

    def __init__(self, benchmark, report, packed, query, database):
        self.benchmark, self.report = benchmark, report
        self.settings = report.settings
        self.bits = self.settings["bits"]
        self.similarity = self.settings["similarity"]
        self.drop = self.settings["self_match"] == "drop"
        missing = {"map", "chance_map"} - set(report.metrics)
        if missing:
            raise ValueError(
                "A page shows all metrics: leave `metrics` out of the "
                f"evaluation. Received: a report without {min(missing)}"
            )
        self.places = [benchmark.parts[part] for part in (query, database)]
        self.codes = []
        for part, name in ((query, "queries"), (database, "database")):
            if part not in packed:
                raise ValueError(
                    f"`codes` should hold those of the part {part!r}. "
                    f"Received: codes of {sorted(packed)}"
                )
            rows = codes.check(packed[part], self.bits, f"codes[{part!r}]")
            known = {len(benchmark.parts[part]), self.settings[name]}
            if name == "database" and self.drop:
                # Each query searches all but itself.
                known = {len(benchmark.parts[part])}
            if known != {len(rows)}:
                raise ValueError(
                    f"`codes[{part!r}]` should hold the codes that the report "
                    "was made of, one for each image of the part. Received: "
                    f"{len(rows)} codes, {len(benchmark.parts[part])} images, "
                    f"{self.settings[name]} in the report"
                )
            self.codes.append(rows)
        self.labels = [benchmark.targets[place] for place in self.places]
        if any(len(each) and each.min() < 0 for each in self.labels):
            raise ValueError(
                "A page needs the labels of all images: take those with the "
                "label -1 out of the parts."
            )

    @property
    def split(self):
        """The first digits of the checksum, as cards name it, or `None`."""
        try:
            return self.benchmark.checksum[:12]
        except UnicodeEncodeError:
            # An id holds what UTF-8 cannot, as the file names of old disks do.
            return None

    def label_names(self, place):
        """The labels of an image of the pool in one line."""
        target = self.benchmark.targets[place]
        numbers = np.flatnonzero(target) if np.ndim(target) else [target]
        names = [self.label(number) for number in numbers[:8]]
        names += ["…"] if len(numbers) > 8 else []
        return ", ".join(names) or "no label"

    def label(self, number):
        """The name of a class."""
        return cut(self.benchmark.labels[int(number)])

    def multi_hot(self, side):
        """Labels as `bool [n, num_classes]`."""
        return (self.label_matrix(side) > 0).toarray()

    def label_matrix(self, side):
        """Labels as a sparse matrix of ones, float64 `[n, num_classes]`."""
        labels = self.labels[side]
        if labels.ndim == 2:
            return sparse.csr_matrix(labels > 0, dtype="float64")
        rows = np.arange(len(labels))
        shape = len(labels), self.benchmark.num_classes
        return sparse.csr_matrix((np.ones(len(labels)), (rows, labels)), shape)

    def levels(self, queries, items):
        """Distances between all pairs of two sets of codes."""
        return codes.levels(queries, items, self.bits, self.similarity)
