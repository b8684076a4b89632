"""A measurement as one HTML file: no scripts, nothing fetched.

Everything that comes from data (names, labels, ids) goes through `markup.tag`,
which escapes whatever is not markup that it made itself. The page also forbids
scripts and fetches in its own head, for a browser that would find any.
"""

import io
import math

import numpy as np

from keras_hash import codes as codes_lib
from keras_hash import figures
from keras_hash import markup
from keras_hash.evaluation import HammingEvaluator
from keras_hash.evaluation import kernels
from keras_hash.markup import tag

# Queries in each gallery, and nearest images of each.
_QUERIES, _NEAREST = 6, 10
# Longest side of a thumbnail.
_SIDE = 96
# Items on the map of codes: t-SNE takes seconds.
_MAPPED = 1500
# The rank up to which classes are confused.
_CONFUSED = 100
# Classes of which a whole table can be read, and labels listed of more.
_TABLE, _LISTED = 20, 10
# Letters of a long name.
_LONG = 200
# Pairs of codes that are compared at once.
_PAIRS = 1 << 21

_RANKING = {
    "map": (
        "mAP",
        "mean average precision: at each relevant image the share of relevant "
        "ones up to there, averaged",
    ),
    "precision": ("precision", "share of relevant images among the first"),
    "recall": ("recall", "share of the relevant images that are found"),
    "wmap": (
        "weighted mAP",
        "mAP with the mean number of shared labels in place of the share",
    ),
    "acg": ("ACG", "mean number of labels shared with the query"),
    "ndcg": (
        "NDCG",
        "gain 2^shared - 1, discounted by log2(1 + rank), over the best order",
    ),
    "precision_radius": (
        "precision by radius",
        "share of relevant images within Hamming radius {}",
    ),
    "recall_radius": (
        "recall by radius",
        "share of the relevant images within Hamming radius {}",
    ),
    "empty_ball": (
        "empty balls",
        "share of queries without an image within Hamming radius {}",
    ),
}
_BY_RADIUS = ("precision_radius", "recall_radius", "empty_ball")
_GRADES = {
    "": ("", ""),
    "jaccard_": (", Jaccard", "; graded by the Jaccard coefficient of labels"),
    "cosine_": (", cosine", "; graded by the cosine of label sets"),
}
_CODES = {
    "unique_codes": ("distinct codes", "in the database"),
    "largest_bucket": (
        "largest bucket",
        "share of the database with the most frequent code",
    ),
    "code_entropy": ("entropy", "of the code of an image, in bits"),
    "bit_balance": (
        "bit balance",
        "mean of |share of ones - share of zeros|: 0 is even, 1 is constant",
    ),
    "bit_correlation": (
        "bit correlation",
        "mean absolute correlation of two bits: 0 is independent",
    ),
}
_TIES = {
    "expected": "the exact mean over all their orders",
    "best": "relevant ones first",
    "worst": "relevant ones last",
    "random": "one random order",
    "stable": "in the order of the database",
    "argsort": "as NumPy's default sort leaves them",
    "shuffle": "in the order of the shuffled database",
}
_DENOMINATORS = {
    "min": "by k or the number of relevant images, whichever is smaller",
    "all": "by the number of relevant images",
    "topk": "by the relevant images among the first k",
}
_SKIPPED = {"zero": "counts 0", "one": "counts 1", "skip": "is left out"}

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #5a6672;
  --paper: #fff; --panel: #f4f6f8; --line: #d5dbe1;
  --right: #1f8a3b; --wrong: #c8322a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec;
  --soft: #a3adb8; --paper: #14181c; --panel: #1e242a; --line: #39424b;
  --right: #4cc06a; --wrong: #f0675e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 68rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere; -webkit-text-size-adjust: 100%; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; padding-top: .8rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p { margin: .4rem 0; max-width: 46rem; }
small, .soft, figcaption { color: var(--soft); font-size: .84rem; }
.facts { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; margin: .8rem 0; }
.facts div { min-width: 5rem; }
dt { color: var(--soft); font-size: .84rem; }
dd { margin: 0; font-weight: 600; }
.box { overflow-x: auto; width: fit-content; max-width: 100%;
  margin: .6rem 0; border: 1px solid var(--line);
  border-radius: 8px; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .35rem .6rem; text-align: right; vertical-align: top;
  border-top: 1px solid var(--line); font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
thead th { border-top: 0; background: var(--panel); }
th { font-weight: 600; }
tbody th, th.left { text-align: left; min-width: 7rem; position: sticky;
  left: 0; }
tbody th { font-weight: 400; background: var(--paper);
  overflow-wrap: anywhere; }
tbody th small { display: block; line-height: 1.3; }
tbody th b { display: block; }
td small { display: block; white-space: nowrap; }
.matrix th, .matrix td { padding: .3rem .4rem; min-width: 2.6rem; }
.matrix tbody th, .matrix thead th { max-width: 8rem; font-size: .84rem;
  overflow-wrap: break-word; }
.matrix tbody th, .matrix th.left { min-width: 4rem; }
.matrix td { background: rgba(70, 130, 220, var(--share, 0));
  text-align: center; }
.panels { display: flex; flex-wrap: wrap; gap: 1rem; }
.panels figure { flex: 1 1 17rem; max-width: 24rem; }
.panels figure, .map { margin: 0; padding: .5rem; background: var(--panel);
  border-radius: 8px; }
.panels img { display: block; width: 100%; height: auto; }
.map { max-width: 36rem; }
.map img { display: block; width: 100%; height: auto;
  margin: 0 auto; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; list-style: none;
  margin: .3rem 0; padding: 0; font-size: .9rem; }
.row { display: grid; grid-template-columns: 7.5rem 1fr; gap: .8rem;
  padding: .7rem 0; border-bottom: 1px solid var(--line); }
.hits { display: grid; gap: .4rem; grid-template-columns: repeat(10, 1fr); }
.row figure { margin: 0; min-width: 0; line-height: 1.25; }
.row figcaption { font-size: .75rem; margin-top: .2rem; }
.row b { color: var(--ink); }
.picture { display: grid; place-items: center; aspect-ratio: 1;
  background: var(--panel); border-radius: 5px; overflow: hidden;
  text-align: center; font-size: .75rem; color: var(--soft); }
.picture img { width: 100%; height: 100%; object-fit: contain; }
.picture img.tiny { image-rendering: pixelated; }
.right .picture { border: 3px solid var(--right); }
.wrong .picture { border: 3px dashed var(--wrong); }
.right b { color: var(--right); }
.wrong b { color: var(--wrong); }
@media (max-width: 46rem) {
  .row { grid-template-columns: 1fr; gap: .5rem; }
  .query { display: grid; grid-template-columns: 4.5rem 1fr; gap: .6rem;
    align-items: center; }
  .hits { grid-template-columns: repeat(5, 1fr); }
}
"""


def page(
    benchmark,
    report,
    codes,
    title=None,
    card=None,
    seconds=None,
    query="query",
    database="database",
):
    """The page of a measurement.

    Args:
        benchmark: the `keras_hash.data.Benchmark` that was measured on.
        report: the `RetrievalReport`; bits, similarity and conventions are its
            settings.
        codes: dict from part to packed codes `uint8 [n, ceil(bits / 8)]`, as
            `evaluation.measure` returns it.
        title: optional str, what was measured; the name on the card if `None`.
        card: optional dict, the card of the encoder.
        seconds: optional dict from part to seconds that its codes took, and
            from `"evaluate"` to those of the evaluation.
        query: str, part whose images are the queries.
        database: str, part that is searched.

    Returns:
        str, an HTML document.

    Raises:
        ValueError: codes that are not those of the benchmark's parts.
    """
    measured = _Measured(benchmark, report, codes, query, database)
    card = card or {}
    title = title or card.get("name") or f"Retrieval on {benchmark.name}"
    body = tag(
        "body",
        _head(measured, title, card),
        _metrics(measured),
        _curves(measured),
        _map(measured),
        *_galleries(measured),
        _confusion(measured),
        _codes(measured),
        _timing(measured, seconds),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag(
            "meta",
            name="viewport",
            content="width=device-width, initial-scale=1",
        ),
        tag(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; style-src 'unsafe-inline'; "
            "img-src data:",
        ),
        tag("title", markup.cut(title, _LONG)),
        tag("style", markup.Markup(_STYLE)),
    )
    document = tag("html", head, body, lang="en")
    return f"<!DOCTYPE html>\n{document}\n"


class _Measured:
    """What the sections look at: both sides, and the report."""

    def __init__(self, benchmark, report, codes, query, database):
        self.benchmark, self.report = benchmark, report
        self.settings = report.settings
        self.bits = self.settings["bits"]
        self.similarity = self.settings["similarity"]
        self.drop = self.settings["self_match"] == "drop"
        self.places = [benchmark.parts[part] for part in (query, database)]
        self.codes = []
        for part, name in ((query, "queries"), (database, "database")):
            rows = codes_lib.check(codes[part], self.bits, f"codes[{part!r}]")
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

    def label_names(self, place):
        """The labels of an image of the pool in one line."""
        target = self.benchmark.targets[place]
        numbers = np.flatnonzero(target) if np.ndim(target) else [target]
        names = [self.label(number) for number in numbers[:8]]
        names += ["…"] if len(numbers) > 8 else []
        return ", ".join(names) or "no label"

    def label(self, number):
        """The name of a class."""
        return markup.cut(self.benchmark.labels[int(number)])

    def multi_hot(self, side):
        """Labels as `bool [n, num_classes]`."""
        labels = self.labels[side]
        if labels.ndim == 2:
            return labels > 0
        return labels[:, None] == np.arange(self.benchmark.num_classes)

    def label_matrix(self, side):
        """Labels as a sparse matrix of ones, float64 `[n, num_classes]`."""
        from scipy import sparse

        labels = self.labels[side]
        if labels.ndim == 2:
            return sparse.csr_matrix(labels > 0, dtype="float64")
        rows = np.arange(len(labels))
        shape = len(labels), self.benchmark.num_classes
        return sparse.csr_matrix((np.ones(len(labels)), (rows, labels)), shape)

    def levels(self, queries, items):
        """Distances between all pairs of two sets of codes."""
        return kernels.levels_of_pairs(
            codes_lib.words(queries).T[:, :, None],
            codes_lib.words(items).T[:, None, :],
            self.bits,
            self.similarity,
        )


def _section(title, *content, id_):
    return tag("section", tag("h2", title), *content, id_=id_)


def _number(name, value):
    """A figure: rounded to read, with every digit in its value."""
    if not math.isfinite(value):
        text = "none"
    elif name.startswith("unique_codes"):
        text = f"{value:,.0f}"
    else:
        text = f"{value:.4f}"
    return tag("data", text, value=repr(float(value)), title=name)


def _facts(pairs):
    rows = [
        tag("div", tag("dt", name), tag("dd", markup.cut(value, _LONG)))
        for name, value in pairs
        if value not in (None, "")
    ]
    return tag("dl", *rows, class_="facts")


def _head(measured, title, card):
    settings, benchmark = measured.settings, measured.benchmark
    metrics = measured.report.metrics
    relevant = (
        "shares at least one label with the query"
        if benchmark.multi_label
        else "is of the class of the query"
    )
    by = {
        "hamming": "Hamming distance (the number of bits that differ)",
        "and": "number of ones in common (a distance here is the number of "
        "bits less these)",
    }[measured.similarity]
    return tag(
        "header",
        tag("h1", markup.cut(title, _LONG)),
        _facts(
            [
                ("method", card.get("method")),
                ("backbone", card.get("backbone")),
                ("code", f"{measured.bits} bits"),
                ("data", benchmark.name),
                ("protocol", benchmark.protocol),
                ("queries", f"{settings['queries']:,}"),
                ("database", f"{settings['database']:,} images"),
                ("labels", f"{benchmark.num_classes:,}"),
                ("split", _split(benchmark)),
            ]
        ),
        tag(
            "p",
            f"Each of {settings['queries']:,} query images ranked the "
            f"{settings['database']:,} images of the database by the {by} of "
            f"their codes. An image is relevant if it {relevant}. The mean "
            "average precision over the whole ranking is ",
            tag("strong", _number("map", metrics["map"])),
            "; a random order would have ",
            _number("chance_map", metrics["chance_map"]),
            ".",
        ),
        _conventions(measured),
    )


def _split(benchmark):
    """The first digits of the checksum, as cards name it."""
    try:
        return benchmark.checksum[:12]
    except UnicodeEncodeError:
        # An id holds what UTF-8 cannot, as the file names of old disks do.
        return None


def _conventions(measured):
    s = measured.settings
    sentences = [f"Images at equal distance: {_TIES[s['ties']]}."]
    if s["ties"] not in ("expected", "best", "worst", "random"):
        sentences.append("Figures by radius do not depend on that.")
    names = [_DENOMINATORS[name] for name in s["denominators"]]
    sentences.append(
        f"Average precision at k is divided {', and '.join(names)}."
    )
    sentences.append(
        f"A query without a relevant image {_SKIPPED[s['no_relevant']]}; where "
        f"the ideal gain is zero, NDCG {_SKIPPED[s['ideal_zero']]}."
    )
    if measured.similarity == "hamming":
        empty = {
            **_SKIPPED,
            "micro": "adds nothing, since all balls are pooled",
        }
        sentences.append(f"An empty ball {empty[s['empty']]} in precision.")
    if measured.drop:
        sentences.append("Each query leaves itself out.")
    if "convention" in s:
        sentences.append(f"Convention of {s['convention']}, replayed.")
    return tag("p", " ".join(sentences), class_="soft")


def _metrics(measured):
    report = measured.report
    rows, cuts = {}, [None, *sorted(set(measured.settings["k"]))]
    for name in report.metrics:
        if name in _CODES or name == "chance_map":
            continue
        family, _, rest = name.partition("@")
        cut, _, suffix = rest.partition("_")
        if family in _BY_RADIUS:
            rows[family, cut] = {None: name}
        else:
            place = rows.setdefault((family, suffix), {})
            place[int(cut) if cut else None] = name
    body = []
    for (family, suffix), names in rows.items():
        cells = [_metric_cell(report, names.get(cut)) for cut in cuts]
        body.append(
            tag("tr", tag("th", *_meaning(family, suffix), scope="row"), *cells)
        )
    titles = ["all", *(f"first {cut:,}" for cut in cuts[1:])]
    head = [tag("th", "metric", class_="left", scope="col")]
    head += [tag("th", title, scope="col") for title in titles]
    table = _table(tag("tr", *head), body)
    return _section(
        "Metrics",
        tag(
            "p",
            "Means over the queries, of the whole ranking or of its first "
            "images. Below each figure: what a random order has, and the worst "
            "and best that an order of images at equal distance could give. A "
            "figure's tooltip is its name in the report.",
            class_="soft",
        ),
        table,
        id_="metrics",
    )


def _table(head, body, class_=None):
    """A table in a box of its own, which scrolls."""
    table = tag("table", tag("thead", head), tag("tbody", *body), class_=class_)
    # So that it can be scrolled from a keyboard.
    return tag("div", table, class_="box", tabindex="0")


def _meaning(family, suffix):
    prefix = next((p for p in _GRADES if p and family.startswith(p)), "")
    name, text = _RANKING.get(family.removeprefix(prefix), (family, ""))
    more, how = _GRADES[prefix]
    name, text = name + more, text + how
    if family in _BY_RADIUS:
        text = text.format(suffix)
    elif suffix:
        name += f", divided by {suffix}"
    return tag("b", name), tag("small", text)


def _metric_cell(report, name):
    if name is None:
        return tag("td")
    lines = [_number(name, report.metrics[name])]
    if name in report.chance:
        chance = _number(f"{name} by chance", report.chance[name])
        lines.append(tag("small", "chance ", chance))
    if name in report.bounds:
        low, high = report.bounds[name]
        lines.append(tag("small", f"{low:.4f} .. {high:.4f}"))
    return tag("td", *lines)


def _svg(svg, alt):
    """An SVG in the colours of both themes."""

    def source(ink):
        content = svg.replace(figures.INK, ink).encode()
        return markup.data_uri("image/svg+xml", content)

    return tag(
        "picture",
        tag(
            "source",
            media="(prefers-color-scheme: dark)",
            srcset=source("#a3adb8"),
        ),
        tag("img", src=source(figures.INK), alt=alt, width=360, height=290),
    )


def _panel(svg, alt, caption):
    return tag("figure", _svg(svg, alt), tag("figcaption", caption))


def _curves(measured):
    curves, bits = measured.report.curves, measured.bits
    if not curves:
        return _section(
            "Curves",
            tag(
                "p",
                "Codes that rank by ones in common have no radius, so there "
                "are no curves by radius.",
            ),
            id_="curves",
        )
    radius = f"Hamming radius ({bits} bits)"
    precision, recall = curves["precision"], curves["recall"]
    lines = {"precision": precision}
    if any(curves["empty"]):
        lines["empty balls"] = curves["empty"]
    near = min(2, bits)
    panels = [
        _panel(
            figures.line_panel(
                curves["radius"], lines, radius, "precision", bits
            ),
            f"Precision by Hamming radius: {precision[0]:.3f} at 0, "
            f"{precision[near]:.3f} at {near}, {precision[-1]:.3f} at {bits}",
            "Precision within a radius",
        ),
        _panel(
            figures.line_panel(
                curves["radius"], {"recall": recall}, radius, "recall", bits
            ),
            f"Recall by Hamming radius: {recall[0]:.3f} at 0, "
            f"{recall[near]:.3f} at {near}, {recall[-1]:.3f} at {bits}",
            "Recall within a radius",
        ),
        _panel(
            figures.line_panel(
                recall, {"precision": precision}, "recall", "precision", 1.02
            ),
            f"Precision over recall, from precision {precision[0]:.3f} at "
            f"recall {recall[0]:.3f} to precision {precision[-1]:.3f}",
            "Precision over recall, a point a radius",
        ),
    ]
    return _section(
        "Curves",
        tag("div", *panels, class_="panels"),
        id_="curves",
    )


def _map(measured):
    count = len(measured.codes[0])
    chosen = np.random.RandomState(0).permutation(count)[:_MAPPED]
    labels = measured.multi_hot(0)[chosen]
    frequent = np.argsort(-labels.sum(axis=0), kind="stable")
    shown = [n for n in frequent if labels[:, n].any()][
        : len(figures.SHAPES) - 1
    ]
    if not measured.benchmark.multi_label:
        shown.sort()
    classes = np.full(len(chosen), len(figures.SHAPES) - 1)
    # Of several labels the least frequent one says most: it comes last.
    for place, number in enumerate(shown):
        classes[labels[:, number]] = place
    places = figures.code_places(measured.codes[0][chosen], measured.bits)
    content = io.BytesIO()
    figures.points(places, classes, content)
    keys = [
        (figures.SHAPES[place], measured.label(number))
        for place, number in enumerate(shown)
    ]
    if (classes == len(figures.SHAPES) - 1).any():
        keys.append((figures.SHAPES[-1], "others"))
    legend = [
        tag("li", tag("span", sign, style=f"color:{color}"), f" {name}")
        for (_, sign, color), name in keys
    ]
    text = (
        f"t-SNE of the distinct codes of {len(chosen):,} queries. Images with "
        "equal codes lie on one disc, whose area grows with their number; how "
        "far discs are apart says little."
    )
    if measured.benchmark.multi_label:
        text += " An image with several labels shows the least frequent one."
    return _section(
        "Map of codes",
        tag("p", text, class_="soft"),
        tag(
            "figure",
            tag("ul", *legend, class_="legend"),
            tag(
                "img",
                src=markup.data_uri("image/png", content.getvalue()),
                alt=f"Map of the codes of {len(chosen)} queries by label",
                width=660,
                height=660,
            ),
            class_="map",
        ),
        id_="map",
    )


def _galleries(measured):
    values = (
        HammingEvaluator(
            measured.codes[0],
            measured.labels[0],
            measured.bits,
            measured.similarity,
        )
        .update(measured.codes[1], measured.labels[1])
        .average_precision(
            no_relevant="skip",
            self_match=measured.settings["self_match"],
        )
    )
    # Queries with one code and one label set find the same: the first is shown.
    rows = np.concatenate(
        [measured.codes[0], np.packbits(measured.multi_hot(0), axis=1)], axis=1
    )
    first = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    first = first[~np.isnan(values[first])]
    order = first[np.argsort(-values[first], kind="stable")]
    best = order[: min(_QUERIES, -(-len(order) // 2))]
    worst = order[::-1][: min(_QUERIES, len(order) - len(best))]
    without = int(np.isnan(values).sum())
    text = (
        f"Each query with its {_NEAREST} nearest images: a tick and a solid "
        "frame where it shares a label, a cross and a dashed frame where it "
        "does not, and the distance. Images at equal distance come in the "
        "order of the database; AP is the average precision of the whole "
        "ranking, the mean over all such orders. Of queries with equal codes "
        "and labels one is shown."
    )
    if without:
        text += f" Queries without a relevant image ({without:,}) are left out."
    for title, chosen, id_ in (
        ("Best queries", best, "best"),
        ("Worst queries", worst, "worst"),
    ):
        inside = [tag("p", text, class_="soft")] if id_ == "best" else []
        if len(chosen):
            inside += _gallery(measured, chosen, values)
        else:
            inside.append(tag("p", "There are no others."))
        yield _section(title, *inside, id_=id_)


def _gallery(measured, queries, values):
    """The rows of some queries."""
    own, others = measured.places
    distances = measured.levels(measured.codes[0][queries], measured.codes[1])
    distances = distances.astype("int64")
    if measured.drop:
        distances[own[queries][:, None] == others] = measured.bits + 1
    order = np.argsort(distances, axis=1, kind="stable")[:, :_NEAREST]
    for query, row, items in zip(queries, distances, order):
        place = own[query]
        hits = [
            _hit(measured, place, others[item], int(row[item]))
            for item in items
            if row[item] <= measured.bits
        ]
        names = measured.label_names(place)
        caption = tag(
            "figcaption",
            tag("b", names),
            tag("br"),
            "AP ",
            _number("AP", values[query]),
        )
        image = _picture(measured, place, f"query: {names}")
        figure = tag("figure", image, caption, class_="query")
        yield tag("div", figure, tag("div", *hits, class_="hits"), class_="row")


def _hit(measured, query, item, distance):
    targets = measured.benchmark.targets
    right = bool(
        np.any((targets[query] == targets[item]) & _there(targets[item]))
    )
    names = measured.label_names(item)
    shares = "shares a label" if right else "shares no label"
    image = _picture(measured, item, f"{names}; distance {distance}, {shares}")
    sign = tag("b", f"{'✓' if right else '✗'} {distance}")
    caption = tag("figcaption", sign, f" {names}")
    return tag("figure", image, caption, class_="right" if right else "wrong")


def _there(target):
    """Where equal labels mean a shared one: not where both lack it."""
    return target > 0 if np.ndim(target) else True


def _picture(measured, place, text):
    """A thumbnail, or a place for one that cannot be read."""
    name = markup.cut(measured.benchmark.ids[place], _LONG)
    text = f"{name}: {text}"
    found = _thumbnail(measured.benchmark.images, place)
    if found is None:
        inside = tag("span", "no picture", role="img", aria_label=text)
    else:
        source, size = found
        inside = tag(
            "img",
            src=source,
            alt=text,
            class_="tiny" if max(size) <= markup.SMALL else None,
            width=size[0],
            height=size[1],
        )
    return tag("div", inside, class_="picture", title=name)


def _thumbnail(images, place):
    """A data URI and a size, or `None` for what is no picture (any more)."""
    try:
        pixels = np.asarray(images[int(place)])
    except (OSError, ValueError):
        # Moved or removed since it was encoded; the others are still shown.
        return None
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        return None
    if pixels.dtype != np.uint8:
        pixels = np.nan_to_num(pixels.astype("float32"))
        pixels = np.clip(pixels, 0, 255).astype("uint8")
    return markup.picture(pixels, _SIDE)


def _expected_labels(measured, k):
    """Labels among the first `k` images of each query, in expectation.

    Any order of images at equal distance is equally likely, so those of the
    distance that holds rank `k` count by the share of them that is in.
    """
    from scipy import sparse

    first, inverse, _ = codes_lib.group(measured.codes[0])
    items, where, counts = codes_lib.group(measured.codes[1])
    queries, codes = measured.codes[0][first], measured.codes[1][items]
    # How many items of each code have each label.
    members = sparse.csr_matrix(
        (np.ones(len(where)), (where, np.arange(len(where))))
    )
    held = members @ measured.label_matrix(1)
    found = np.empty((len(queries), held.shape[1]))
    own_shares = np.zeros(len(queries))
    width = measured.bits + 1
    rows = max(1, _PAIRS // len(codes))
    for low in range(0, len(queries), rows):
        part = slice(low, low + rows)
        asked = queries[part]
        levels = measured.levels(asked, codes).astype("int64")
        keys = levels + width * np.arange(len(asked))[:, None]
        weights = np.broadcast_to(counts, keys.shape).ravel()
        at = np.bincount(keys.ravel(), weights, width * len(asked))
        at = at.reshape(len(asked), width)
        own = np.array([measured.levels(row[None], row[None]) for row in asked])
        own = own.reshape(-1, 1).astype("int64")
        if measured.drop:
            at -= np.arange(width) == own
        inside = np.clip(k - (np.cumsum(at, axis=1) - at), 0, at)
        shares = inside / np.maximum(at, 1)
        found[part] = np.take_along_axis(shares, levels, axis=1) @ held
        if measured.drop:
            own_shares[part] = np.take_along_axis(shares, own, axis=1)[:, 0]
    found = found[inverse]
    if measured.drop:
        own = measured.label_matrix(0).multiply(own_shares[inverse, None])
        found -= own.toarray()
    return found


def _confusion(measured):
    k = min(_CONFUSED, len(measured.codes[1]) - measured.drop)
    asked = measured.label_matrix(0)
    numbers = np.asarray(asked.sum(axis=0)).ravel()
    with np.errstate(invalid="ignore"):
        # Rows of labels that no query has are not looked at.
        shares = asked.T @ _expected_labels(measured, k) / numbers[:, None]
    shares /= max(k, 1)
    present = np.flatnonzero(numbers)
    chance = np.asarray(measured.label_matrix(1).mean(axis=0)).ravel()
    ties = "images at equal distance in expectation over their orders"
    if measured.benchmark.multi_label:
        text = (
            "For queries with a label, the share of their first "
            f"{k:,} images that have it too; {ties}. By chance it is the share "
            "of the database that has it."
        )
        content = _label_list(measured, shares, present, numbers, chance)
    elif len(present) <= _TABLE and measured.benchmark.num_classes <= _TABLE:
        text = (
            "Classes of the first "
            f"{k:,} images: a row is a class of queries and sums to 1; {ties}."
        )
        content = [_matrix(measured, shares, present)]
    else:
        text = (
            "For queries of a class, the share of their first "
            f"{k:,} images that are of it, and the class most often found in "
            f"its place; {ties}."
        )
        content = _label_list(measured, shares, present, numbers, chance)
    return _section(
        "Classes of the nearest images",
        tag("p", text, class_="soft"),
        *content,
        id_="confusion",
    )


def _matrix(measured, shares, present):
    names = [measured.label(n) for n in range(measured.benchmark.num_classes)]
    head = [tag("th", "query", class_="left", scope="col")]
    head += [tag("th", name, scope="col") for name in names]
    body = []
    for row in present:
        cells = [
            tag(
                "td",
                f"{share:.2f}" if share >= 0.005 else "·",
                style=f"--share:{0.75 * share:.3f}",
                title=f"{share:.4f}",
            )
            for share in shares[row]
        ]
        body.append(tag("tr", tag("th", names[row], scope="row"), *cells))
    return _table(tag("tr", *head), body, "matrix")


def _label_list(measured, shares, present, numbers, chance):
    """The labels that are found best, and those that are found worst."""
    own = shares[present, present]
    order = present[np.argsort(-own, kind="stable")]
    best = order[: min(_LISTED, -(-len(order) // 2))]
    worst = order[::-1][: min(_LISTED, len(order) - len(best))]
    single = not measured.benchmark.multi_label
    titles = ["label", "found", "chance", "queries"]
    titles += ["most often instead"] if single else []
    head = tag(
        "tr",
        *(
            tag("th", title, scope="col", class_=None if i else "left")
            for i, title in enumerate(titles)
        ),
    )
    for title, chosen in (("Found best", best), ("Found worst", worst)):
        body = []
        for number in chosen:
            cells = [
                f"{shares[number, number]:.4f}",
                f"{chance[number]:.4f}",
                f"{numbers[number]:,.0f}",
            ]
            if single:
                others = shares[number].copy()
                others[number] = -1
                other = int(others.argmax())
                cells.append(
                    f"{measured.label(other)} {others[other]:.4f}"
                    if others[other] > 0
                    else ""
                )
            name = tag("th", measured.label(number), scope="row")
            body.append(tag("tr", name, *(tag("td", cell) for cell in cells)))
        if body:
            yield tag("h3", title)
            yield _table(head, body)


def _codes(measured):
    metrics = measured.report.metrics
    body = [
        tag(
            "tr",
            tag("th", tag("b", name), tag("small", text), scope="row"),
            tag("td", _number(key, metrics[key])),
        )
        for key, (name, text) in _CODES.items()
        if key in metrics
    ]
    head = tag(
        "tr",
        tag("th", "of the database", class_="left", scope="col"),
        tag("th", "value", scope="col"),
    )
    shares, correlation = _bit_statistics(measured.codes[1], measured.bits)
    panels = [
        _panel(
            figures.share_panel(shares),
            f"Share of ones of each bit, from {shares.min():.2f} to "
            f"{shares.max():.2f}",
            "Share of ones of each bit; 0.5 is even",
        ),
        _panel(
            figures.correlation_panel(correlation),
            "Correlation between two bits",
            "Correlation between two bits",
        ),
    ]
    return _section(
        "Codes",
        _table(head, body),
        tag("div", *panels, class_="panels"),
        id_="codes",
    )


def _bit_statistics(codes, bits):
    """Share of ones of each bit, and correlations (0 for constant bits)."""
    first, _, counts = codes_lib.group(codes)
    ones, pairs = np.zeros(bits), np.zeros((bits, bits))
    for low in range(0, len(first), 1 << 14):
        rows = slice(low, low + (1 << 14))
        part = codes_lib.unpack(codes[first[rows]], bits) > 0
        part = part.astype("float64")
        weighted = part * counts[rows, None]
        ones += weighted.sum(axis=0)
        pairs += weighted.T @ part
    ones, pairs = ones / len(codes), pairs / len(codes)
    covariance = pairs - np.outer(ones, ones)
    spread = np.sqrt(np.maximum(np.diag(covariance), 0))
    scale = np.outer(spread, spread)
    return ones, covariance / np.where(scale > 1e-12, scale, np.inf)


def _timing(measured, seconds):
    if not seconds:
        return None
    from keras_hash import verify

    body = []
    for name, time in seconds.items():
        cells = ["", f"{time:.2f}", ""]
        if name in measured.benchmark.parts:
            count = len(measured.benchmark.parts[name])
            cells = [f"{count:,}", f"{time:.2f}", f"{count / time:,.0f}"]
            name = f"encode: {name}"
        body.append(
            tag(
                "tr",
                tag("th", name, scope="row"),
                *(tag("td", cell) for cell in cells),
            )
        )
    titles = ("step", "images", "seconds", "images/s")
    head = tag(
        "tr",
        *(
            tag("th", title, scope="col", class_=None if i else "left")
            for i, title in enumerate(titles)
        ),
    )
    return _section(
        "Time",
        tag(
            "p",
            f"{verify.machine()}. Encoding includes reading the images and, "
            "once, preparing the network.",
            class_="soft",
        ),
        _table(head, body),
        id_="time",
    )
