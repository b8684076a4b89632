"""`RetrievalReport`: metrics with the conventions that give them meaning."""

import dataclasses
import json

from keras_hash import files
from keras_hash.evaluation import metrics

_SHAPES = {
    "metrics": {...: files.NUMBER},
    "curves": {...: [files.NUMBER]},
    "chance": {...: files.NUMBER},
    "bounds": {...: [files.NUMBER]},
    "settings": {
        **dict.fromkeys(("bits", "queries", "database"), int),
        **dict.fromkeys(("similarity", "ties"), str),
        "k": list,
    },
}


@dataclasses.dataclass(frozen=True)
class RetrievalReport:
    """What `evaluate` and `HammingEvaluator.result` return.

    Attributes:
        metrics: flat dict of floats. Of the ranking: `map` (whole) and, at each
            cut-off k, `map@k`, `precision@k`, `recall@k`, `acg@k`, `ndcg@k`,
            `wmap@k`, and for multi-label sets the same graded ones by Jaccard
            coefficient and cosine (`jaccard_ndcg@k` ...). By radius:
            `precision_radius@2`, `recall_radius@2`, and `empty_ball@2`, the
            share of queries without an item that near. `chance_map`, the mAP of
            a random order. Of the database codes: `unique_codes`,
            `largest_bucket`, `code_entropy`, `bit_balance`, `bit_correlation`.
        curves: dict of lists over the radius 0..bits: `radius`, `precision`,
            `recall` and `empty`; precision over recall is the PR curve.
        chance: dict like `metrics`, of a random order.
        bounds: dict from `map...` and `ndcg...` to `[worst, best]` over all
            orders of the ties.
        settings: dict of all conventions: `bits`, `queries`, `database`, `k`,
            `ties`, `denominators`, `no_relevant`, `empty`, `ideal_zero`,
            `self_match`, `similarity`; and `unlabelled`, a dict of the numbers
            of `queries` and of `database` items without a label, where there
            are some.
    """

    metrics: dict
    curves: dict
    chance: dict
    bounds: dict
    settings: dict

    def to_json(self):
        """The report as text, which `from_json` reads.

        Returns:
            str, a JSON object; a metric that is NaN, since every query was
            skipped, is null.
        """
        return files.to_json(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text):
        """A report from the text of `to_json`.

        Args:
            text: str.

        Returns:
            A `RetrievalReport`.

        Raises:
            ValueError: the text is not that of a report.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if not isinstance(content, dict) or set(content) != names:
            raise ValueError(
                "`text` should be what `RetrievalReport.to_json` returned, "
                f"with {sorted(names)}. Received: {text[:60]!r}"
            )
        for name, shape in _SHAPES.items():
            files.check_shape(content[name], shape, name)
        settings = content.pop("settings")
        return cls(**files.numbers(content), settings=settings)

    def figure(self, path):
        """Draws precision and recall by radius, and the PR curve.

        Args:
            path: str or path of the PNG file to write.

        Raises:
            ValueError: there are no curves (`similarity="and"` has no radius).
        """
        from keras_hash import figures

        if not self.curves:
            raise ValueError(
                "There are no curves by radius for similarity="
                f"{self.settings['similarity']!r}."
            )
        figures.radius_curves(
            {"": self.curves}, self._conventions(), path, self.settings["bits"]
        )

    def save(self, path):
        """Writes the report as a JSON file.

        Args:
            path: str or path.
        """
        files.write(path, self.to_json() + "\n")

    def shown(self):
        """The metrics that tables show.

        Cut-offs beyond the database all look at the whole ranking. The smallest
        of them stands for them, without the precision and the ACG, which would
        count misses where there are no items.

        Returns:
            dict like `metrics`.
        """
        beyond = self.beyond()
        shown = {}
        for name, value in self.metrics.items():
            known = metrics.describe(name)
            whole = beyond and known.cut == beyond[0] and not known.row.per_item
            if whole or known.cut not in beyond:
                shown[name] = value
        return shown

    def beyond(self):
        """The cut-offs beyond the database.

        Returns:
            A rising list of int.
        """
        size = self.settings["database"]
        return sorted(k for k in set(self.settings["k"]) if k > size)

    def __rich__(self):
        from rich.table import Table

        table = Table(
            title="Retrieval by Hamming distance",
            caption=self._conventions(),
            caption_justify="left",
        )
        for column in (
            "metric",
            "value",
            "by chance",
            "worst .. best tie order",
        ):
            table.add_column(
                column, justify="right" if column != "metric" else "left"
            )
        for name, value in self.shown().items():
            bounds = self.bounds.get(name)
            table.add_row(
                name,
                f"{value:.{metrics.describe(name).row.digits}f}",
                f"{self.chance[name]:.4f}" if name in self.chance else "",
                f"{bounds[0]:.4f} .. {bounds[1]:.4f}" if bounds else "",
            )
        return table

    def __str__(self):
        lines = [self._conventions()]
        for name, value in self.shown().items():
            lines.append(f"{name:>20} {value:10.4f}")
        return "\n".join(lines)

    def _conventions(self):
        s = self.settings
        text = (
            f"{s['bits']} bits, {s['queries']} queries, {s['database']} "
            f"database items, {s['similarity']} ranking; ties: {s['ties']}; "
            f"AP denominator: {', '.join(s['denominators'])}; queries without "
            f"a relevant item: {s['no_relevant']}; empty ball: {s['empty']}"
        )
        if beyond := self.beyond():
            text += f"; @{beyond[0]} is the whole ranking"
        if "unlabelled" in s:
            text += (
                "; without a label, so relevant to nothing: "
                f"{s['unlabelled']['queries']} queries, "
                f"{s['unlabelled']['database']} database items"
            )
        if s["self_match"] == "drop":
            text += "; each query is left out of its own results"
        if "convention" in s:
            text += f"; convention: {s['convention']}"
        return text
