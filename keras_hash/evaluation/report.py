"""`evaluate` and the report it returns."""

import dataclasses
import json

import numpy as np

from keras_hash import codes as codes_lib
from keras_hash.evaluation import metrics as metrics_lib
from keras_hash.evaluation import statistic


@dataclasses.dataclass(frozen=True)
class RetrievalReport:
    """Retrieval metrics with the conventions that give them their meaning.

    Attributes:
        metrics: flat dict of floats: `map` (whole ranking) and, at each cut-off
            k, `map@k`, `precision@k`, `recall@k`; `precision_radius@2` and
            `recall_radius@2`; `empty_ball@2`, the share of queries with no item
            within radius 2; `chance_map`, the mAP of a random order, and
            `unique_codes`, distinct codes in the database.
        curves: dict of lists over the radius 0..bits: `radius`, `precision`
            and `recall`, means over the queries.
        settings: dict: `bits`, `queries`, `database`, `k`, `ties`,
            `denominator`, `relevance`, `empty_ball`.
    """

    metrics: dict
    curves: dict
    settings: dict

    def to_json(self):
        """The report as JSON text.

        Returns:
            str.
        """
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text):
        """A report from the text of `to_json`.

        Args:
            text: str.

        Returns:
            A `RetrievalReport`.
        """
        return cls(**json.loads(text))

    def __rich__(self):
        from rich.table import Table

        table = Table(
            title="Retrieval by Hamming distance",
            caption=self._conventions(),
            caption_justify="left",
        )
        table.add_column("metric")
        table.add_column("value", justify="right")
        for name, value in self.metrics.items():
            whole = name == "unique_codes"
            table.add_row(name, f"{value:.0f}" if whole else f"{value:.4f}")
        return table

    def __str__(self):
        lines = [self._conventions()]
        for name, value in self.metrics.items():
            lines.append(f"{name:>20} {value:10.4f}")
        return "\n".join(lines)

    def _conventions(self):
        s = self.settings
        return (
            f"{s['bits']} bits, {s['queries']} queries, {s['database']} "
            f"database items; ties: {s['ties']}; AP denominator: "
            f"{s['denominator']}; relevant: {s['relevance']}"
        )


def evaluate(
    query_codes,
    query_labels,
    database_codes,
    database_labels,
    bits,
    k=(100, 1000, 5000),
):
    """Measures retrieval by Hamming distance.

    Every value is the exact expectation over the orders of items at equal
    distance: it depends neither on the order of the database nor on a sort.
    Relevant is what shares the class, or at least one label. A query without a
    relevant item counts 0.

    Args:
        query_codes: packed codes `uint8 [q, ceil(bits / 8)]`.
        query_labels: int `[q]` or multi-hot `[q, num_classes]`.
        database_codes: packed codes `uint8 [m, ceil(bits / 8)]`.
        database_labels: int `[m]` or multi-hot `[m, num_classes]`.
        bits: int, code length.
        k: int or sequence of ints, cut-offs.

    Returns:
        A `RetrievalReport`.

    Raises:
        ValueError: codes or labels that do not fit each other or `bits`, empty
            sets, or a cut-off below 1.

    Example:

    >>> report = keras_hash.evaluate(q, q_labels, db, db_labels, bits=48)
    >>> report.metrics["map"]
    """
    cuts = [k] if np.ndim(k) == 0 else list(k)
    for cut in cuts:
        if not isinstance(cut, (int, np.integer)) or cut < 1:
            raise ValueError(
                "`k` should be an int of at least 1 or a sequence of such. "
                f"Received: k={k!r}"
            )
    table = statistic.count_table(
        query_codes, query_labels, database_codes, database_labels, bits
    )
    counts = table.sum(axis=1)
    relevant = table[:, 1:].sum(axis=1)
    precision, recall = metrics_lib.radius_curves(counts, relevant)
    near = min(2, bits)
    values = {"map": metrics_lib.average_precision(counts, relevant)}
    for cut in cuts:
        values[f"map@{cut}"] = metrics_lib.average_precision(
            counts, relevant, cut
        )
        values[f"precision@{cut}"] = metrics_lib.precision(
            counts, relevant, cut
        )
        values[f"recall@{cut}"] = metrics_lib.recall(counts, relevant, cut)
    values["precision_radius@2"] = precision[:, near]
    values["recall_radius@2"] = recall[:, near]
    values["empty_ball@2"] = counts[:, : near + 1].sum(axis=1) == 0
    # A random order is one group of ties that holds the whole database.
    values["chance_map"] = metrics_lib.average_precision(
        counts.sum(axis=1, keepdims=True), relevant.sum(axis=1, keepdims=True)
    )
    metrics = {name: float(np.mean(value)) for name, value in values.items()}
    distinct = np.unique(codes_lib.check(database_codes, bits), axis=0)
    metrics["unique_codes"] = float(len(distinct))
    return RetrievalReport(
        metrics=metrics,
        curves={
            "radius": list(range(bits + 1)),
            "precision": precision.mean(axis=0).tolist(),
            "recall": recall.mean(axis=0).tolist(),
        },
        settings={
            "bits": int(bits),
            "queries": len(counts),
            "database": int(counts[0].sum()),
            "k": [int(cut) for cut in cuts],
            "ties": "expected",
            "denominator": "min(k, relevant)",
            "relevance": "shares a label",
            "empty_ball": "precision 0",
        },
    )
