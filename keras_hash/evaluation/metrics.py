"""The table of metrics: one row each, from which all who name them read.

What a row says reaches `RetrievalReport.metrics`, the HTML report, the charts
of TensorBoard and the table of docs/metrics.md (`make pages`).
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from keras_hash.evaluation import closed_forms

# The radius at which precision, recall and empty balls are reported.
RADIUS = 2
# What other grades of relevance add to title and text.
GRADES = {
    "": ("", ""),
    "jaccard_": (", Jaccard", "; graded by the Jaccard coefficient of labels"),
    "cosine_": (", cosine", "; graded by the cosine of label sets"),
}
SEVERAL = "several labels an image"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """A row of the table of metrics: all that is said about one.

    Attributes:
        name: str, its key in `RetrievalReport.metrics`, up to an `@`.
        title: str, what tables call it.
        text: str, what it is, in a line; `{}` stands for the radius.
        function: what computes it from its `source`.
        source: `"ranking"`: `function(groups)` of `values.Groups`, with the
            cut-off and the denominator where it has them, gives float64 `[q]`,
            NaN where it is not defined; `"radius"`: `function(curves)` of a
            report's curves gives a value a radius; `"codes"`: `function(codes)`
            of `diagnostics.CodeStatistics` gives a number; `"chance"`:
            `function(chance)` of the metrics of a random order gives a number.
        better: `"higher"`, `"lower"`, or `""` where neither is.
        group: str, heading of its charts in TensorBoard.
        chart: str, title of its chart; rows of one title share one. Those at
            cut-offs are called after the title.
        note: str, what docs/metrics.md adds to the text.
        whole: bool, whether the whole ranking has a value.
        cuts: bool, whether each cut-off has one.
        denominators: bool, whether it depends on that option.
        graded: bool, whether Jaccard coefficient and cosine of label sets have
            values of their own, in place of the shared labels.
        bounded: bool, whether reports have its bounds over tie orders.
        per_item: bool, whether it divides by the cut-off, so that one beyond
            the database counts misses.
        undefined: `"no_relevant"` or `"ideal_zero"`, the option that says what
            a query counts for which there is nothing to find.
        extreme: for denominators, `function(groups, k, best)` of the groups by
            distance: the extreme over all tie orders for `"topk"`, for which no
            one order is.
        digits: int, decimals that are shown.
    """

    name: str
    title: str
    text: str
    function: Callable = None
    source: str = "ranking"
    better: str = "higher"
    group: str = "ranking"
    chart: str = ""
    note: str = ""
    whole: bool = False
    cuts: bool = False
    denominators: bool = False
    graded: bool = False
    bounded: bool = False
    per_item: bool = False
    undefined: str = "no_relevant"
    extreme: Callable = None
    digits: int = 4

    @property
    def families(self):
        """What its keys begin with: its name, and that of each grade."""
        grades = GRADES if self.graded else [""]
        return [grade + self.name for grade in grades]


_RadiusMetric = functools.partial(
    Metric, source="radius", group="Hamming radius"
)
_CodesMetric = functools.partial(
    Metric, source="codes", better="", group="do the codes collapse?"
)


def _bit_correlation(codes):
    correlation = np.abs(codes.correlation)
    pairs = len(correlation) * (len(correlation) - 1)
    between = correlation.sum() - np.trace(correlation)
    return between / pairs if pairs else 0.0


ROWS = {
    row.name: row
    for row in [
        Metric(
            name="map",
            title="mAP",
            text="mean average precision: at each relevant image the share of "
            "relevant ones up to there, averaged",
            function=closed_forms.average_precision,
            chart="mAP, and of a random order",
            whole=True,
            cuts=True,
            denominators=True,
            bounded=True,
            extreme=closed_forms.extreme_topk_average_precision,
        ),
        Metric(
            name="precision",
            title="precision",
            text="share of relevant images among the first",
            note=" k; positions behind the end of the database count as misses",
            function=closed_forms.precision,
            cuts=True,
            per_item=True,
        ),
        Metric(
            name="recall",
            title="recall",
            text="share of the relevant images that are found",
            note=", among the first k",
            function=closed_forms.recall,
            cuts=True,
        ),
        Metric(
            name="wmap",
            title="weighted mAP",
            text="mAP with the mean number of shared labels in place of the "
            "share",
            note="; can exceed 1",
            function=closed_forms.weighted_average_precision,
            group=SEVERAL,
            cuts=True,
            denominators=True,
            graded=True,
        ),
        Metric(
            name="acg",
            title="ACG",
            text="mean number of labels shared with the query",
            note=", over the first k",
            function=closed_forms.cumulated_gain,
            group=SEVERAL,
            cuts=True,
            graded=True,
            per_item=True,
        ),
        Metric(
            name="ndcg",
            title="NDCG",
            text="gain 2^shared - 1, discounted by log2(1 + rank), over the "
            "best order",
            note=" of the whole database",
            function=closed_forms.ndcg,
            cuts=True,
            graded=True,
            bounded=True,
            undefined="ideal_zero",
        ),
        _RadiusMetric(
            name="precision_radius",
            title="precision by radius",
            text="share of relevant images within Hamming radius {}",
            function=lambda curves: curves["precision"],
            chart="precision and recall",
        ),
        _RadiusMetric(
            name="recall_radius",
            title="recall by radius",
            text="share of the relevant images within Hamming radius {}",
            function=lambda curves: curves["recall"],
            chart="precision and recall",
        ),
        _RadiusMetric(
            name="empty_ball",
            title="empty balls",
            text="share of queries without an image within Hamming radius {}",
            function=lambda curves: curves["empty"],
            better="lower",
            chart="queries that find nothing",
        ),
        Metric(
            name="chance_map",
            title="mAP by chance",
            text="mAP of a random order",
            function=lambda chance: chance["map"],
            source="chance",
            better="",
            chart="mAP, and of a random order",
        ),
        _CodesMetric(
            name="unique_codes",
            title="distinct codes",
            text="in the database",
            function=lambda codes: len(codes.shares),
            chart="distinct codes",
            digits=0,
        ),
        _CodesMetric(
            name="largest_bucket",
            title="largest bucket",
            text="share of the database with the most frequent code",
            function=lambda codes: codes.shares.max(),
            chart="share of the largest bucket",
        ),
        _CodesMetric(
            name="code_entropy",
            title="entropy",
            text="of the code of an image, in bits",
            function=lambda codes: (
                -(codes.shares * np.log2(codes.shares)).sum()
            ),
            chart="entropy of the codes, in bits",
        ),
        _CodesMetric(
            name="bit_balance",
            title="bit balance",
            text="mean of |share of ones - share of zeros|: 0 is even, 1 is "
            "constant",
            function=lambda codes: np.abs(codes.mean).mean(),
            better="lower",
            chart="bits: imbalance and correlation",
        ),
        _CodesMetric(
            name="bit_correlation",
            title="bit correlation",
            text="mean absolute correlation of two bits: 0 is independent",
            function=_bit_correlation,
            better="lower",
            chart="bits: imbalance and correlation",
        ),
    ]
}


@dataclasses.dataclass(frozen=True)
class Described:
    """What a key of `RetrievalReport.metrics` means.

    Attributes:
        row: the `Metric`; a bare one for a key that no row knows.
        grade: str, `""`, `"jaccard_"` or `"cosine_"`.
        cut: int, how many items it looks at, or `None`.
        radius: int, or `None`.
        denominator: str, where the key names one.
    """

    row: Metric
    grade: str = ""
    cut: int = None
    radius: int = None
    denominator: str = ""

    @property
    def family(self):
        """The key up to the `@`."""
        return self.grade + self.row.name

    @property
    def title(self):
        """What tables call it."""
        title = self.row.title + GRADES[self.grade][0]
        if self.denominator:
            title += f", divided by {self.denominator}"
        return title

    @property
    def text(self):
        """What it is, in a line."""
        text = self.row.text
        if self.radius is not None:
            text = text.format(self.radius)
        return text + GRADES[self.grade][1]

    @property
    def group(self):
        """The heading of its chart in TensorBoard."""
        return SEVERAL if self.grade else self.row.group

    @property
    def chart(self):
        """The title of its chart in TensorBoard."""
        if self.cut is not None:
            return f"{self.row.title} at k"
        return self.row.chart or self.row.title


def describe(key):
    """What a key of `RetrievalReport.metrics` means, as a `Described`."""
    family, _, rest = key.partition("@")
    number, _, denominator = rest.partition("_")
    number = int(number) if number.isdecimal() else None
    for row in ROWS.values():
        if family in row.families:
            grade = family.removesuffix(row.name)
            if row.source == "radius":
                return Described(row, radius=number)
            return Described(row, grade, number, None, denominator)
    row = Metric(name=family, title=family, text="", better="", group="")
    return Described(row, "", number, None, denominator)


def choose(names):
    """The families that `names` choose, all for `None`.

    A family is a row's name, or that behind the prefix of a grade.
    """
    families = [family for row in ROWS.values() for family in row.families]
    if names is None:
        return set(families)
    names = [names] if isinstance(names, str) else list(names)
    if not names or set(names) - set(families):
        raise ValueError(
            f"`metrics` should be some of {families}; `k` gives the cut-offs. "
            f"Received: metrics={names!r}"
        )
    return set(names)


def wanted(chosen, source):
    """Pairs of row and family: those of one source among the `chosen`."""
    return [
        (row, family)
        for row in ROWS.values()
        for family in row.families
        if row.source == source and family in chosen
    ]
