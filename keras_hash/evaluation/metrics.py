"""The table of metrics: one row each, from which all who name them read.

What a row says reaches `RetrievalReport.metrics`, the HTML report, the charts
of TensorBoard and the table of docs/metrics.md (`make pages`).
"""

import dataclasses
import functools
import operator
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

    `function` computes it from its `source`. `"ranking"`: `function(groups)`
    of `values.Groups`, with the cut-off and the denominator where it has them,
    gives float64 `[q]`, NaN where it is not defined. `"radius"`: of the values
    of a report's curves at the radius. `"codes"`: of
    `diagnostics.CodeStatistics`. `"chance"`: of the metrics of a random order.
    """

    # Its key in `RetrievalReport.metrics`, up to an `@`.
    name: str
    # What tables call it.
    title: str
    # What it is, in a line; `{}` stands for the radius.
    text: str
    function: Callable = None
    source: str = "ranking"
    # `"higher"`, `"lower"`, or `""` where neither is.
    better: str = "higher"
    # The heading of its charts in TensorBoard.
    group: str = "ranking"
    # The title of its chart; rows of one title share one. Those at cut-offs
    # are called after the title.
    chart: str = ""
    # What docs/metrics.md adds to the text.
    note: str = ""
    # Whether the whole ranking has a value, and whether each cut-off has one.
    whole: bool = False
    cuts: bool = False
    # Whether it depends on the option `denominator`.
    denominators: bool = False
    # Whether Jaccard coefficient and cosine of label sets have values of their
    # own, in place of the shared labels.
    graded: bool = False
    # Whether reports have its bounds over tie orders.
    bounded: bool = False
    # Whether it divides by the cut-off, so that one beyond the database counts
    # misses.
    per_item: bool = False
    # For denominators, `function(groups, k, best)` of the groups by distance:
    # the extreme over all tie orders for `"topk"`, for which no one order is.
    extreme: Callable = None
    # Decimals that are shown.
    digits: int = 4


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
        ),
        _RadiusMetric(
            name="precision_radius",
            title="precision by radius",
            text="share of relevant images within Hamming radius {}",
            function=operator.itemgetter("precision"),
            chart="precision and recall",
        ),
        _RadiusMetric(
            name="recall_radius",
            title="recall by radius",
            text="share of the relevant images within Hamming radius {}",
            function=operator.itemgetter("recall"),
            chart="precision and recall",
        ),
        _RadiusMetric(
            name="empty_ball",
            title="empty balls",
            text="share of queries without an image within Hamming radius {}",
            function=operator.itemgetter("empty"),
            better="lower",
            chart="queries that find nothing",
        ),
        Metric(
            name="chance_map",
            title="mAP by chance",
            text="mAP of a random order",
            function=operator.itemgetter("map"),
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
    """What a key of `RetrievalReport.metrics` means: its parts, and texts."""

    row: Metric
    grade: str
    number: int
    denominator: str

    @property
    def cut(self):
        """How many items it looks at, or `None`."""
        return None if self.row.source == "radius" else self.number

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
        return self.row.text.format(self.number) + GRADES[self.grade][1]

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


def key(family, cut, denominator="min"):
    """A key of `RetrievalReport.metrics`, which `describe` reads."""
    # The suffix keeps numbers of different meaning apart.
    suffix = "" if denominator == "min" else f"_{denominator}"
    return f"{family}@{cut}{suffix}"


def describe(key):
    """What a key of `RetrievalReport.metrics` means, as a `Described`.

    A key that no row knows has a bare one.
    """
    family, _, rest = key.partition("@")
    number, _, denominator = rest.partition("_")
    bare = Metric(name=family, title=family, text="", better="", group="")
    row, grade = families().get(family, (bare, ""))
    cut = number.isdecimal() and len(number) < 19
    return Described(row, grade, int(number) if cut else None, denominator)


def families():
    """Pairs of row and grade by what keys begin with: a name, or that behind
    the prefix of a grade."""
    return {
        grade + row.name: (row, grade)
        for row in ROWS.values()
        for grade in (GRADES if row.graded else [""])
    }


def choose(names):
    """Those of the `families` that `names` choose, all for `None`, and the set
    of these names, for `is_wanted`."""
    known = families()
    if names is None:
        return known, frozenset()
    if isinstance(names, str) or not hasattr(names, "__iter__"):
        names = [names]
    names = list(names)
    if not names or not all(_is_known(name, known) for name in names):
        raise ValueError(
            f"`metrics` should be among {list(known)}, or one of these at a "
            f"cut-off such as 'ndcg@100'; a radius is {RADIUS}. "
            f"Received: metrics={names!r}"
        )
    families_of = {name.partition("@")[0] for name in names}
    return {f: known[f] for f in known if f in families_of}, frozenset(names)


def _is_known(name, known):
    """Whether a name is a family's, or is written as a key of a report is."""
    family = name.partition("@")[0] if isinstance(name, str) else None
    if family not in known or family == name:
        return family in known
    of = describe(name)
    if of.row.source == "radius" and of.number == RADIUS:
        denominators = ("min",)
    elif of.row.cuts and (of.number or 0) > 0:
        every = closed_forms.DENOMINATORS
        denominators = every if of.row.denominators else ("min",)
    else:
        return False
    return name in [key(family, of.number, which) for which in denominators]


def is_wanted(key, names):
    """Whether names, all if there are none, ask for a key: by itself, or for
    all cut-offs of what has no value for the whole ranking."""
    if not names or key in names:
        return True
    family = key.partition("@")[0]
    return family in names and not families()[family][0].whole
