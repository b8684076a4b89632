"""All metrics of a report, and its curves."""

from keras_hash import figures
from keras_hash.evaluation.report import BY_RADIUS
from keras_hash.evaluation.report import cut_off
from keras_hash.html_report import bits
from keras_hash.html_report.parts import number
from keras_hash.html_report.parts import panel
from keras_hash.html_report.parts import section
from keras_hash.html_report.parts import table
from keras_hash.markup import tag

_NO_MORE = "A cut-off beyond the database stands for the whole ranking."
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
_GRADES = {
    "": ("", ""),
    "jaccard_": (", Jaccard", "; graded by the Jaccard coefficient of labels"),
    "cosine_": (", cosine", "; graded by the cosine of label sets"),
}


def ranking(measured):
    """A table of the metrics of what was `measured`, a column a cut-off."""
    report = measured.report
    rows, cuts = {}, {None}
    for name in report.shown():
        if name in bits.STATISTICS or name == "chance_map":
            continue
        family, _, rest = name.partition("@")
        number_of, _, suffix = rest.partition("_")
        if family in BY_RADIUS:
            rows[family, number_of] = {None: name}
        else:
            cut = cut_off(name)
            cuts.add(cut)
            rows.setdefault((family, suffix), {})[cut] = name
    cuts = sorted(cuts, key=lambda cut: cut or 0)
    body = []
    for (family, suffix), names in rows.items():
        cells = [_metric_cell(report, names.get(cut)) for cut in cuts]
        body.append(
            tag("tr", tag("th", *_meaning(family, suffix), scope="row"), *cells)
        )
    titles = ["metric", "all", *(f"first {cut:,}" for cut in cuts[1:])]
    return section(
        "Metrics",
        tag(
            "p",
            "Means over the queries, of the whole ranking or of its first "
            "images. Below each figure: what a random order has, and the worst "
            "and best that an order of images at equal distance could give. A "
            "figure's tooltip is its name in the report."
            + (f" {_NO_MORE}" if report.beyond() else ""),
            class_="soft",
        ),
        table(titles, body),
        id_="metrics",
    )


def _meaning(family, suffix):
    prefix = next((p for p in _GRADES if p and family.startswith(p)), "")
    name, text = _RANKING.get(family.removeprefix(prefix), (family, ""))
    more, how = _GRADES[prefix]
    name, text = name + more, text + how
    if family in BY_RADIUS:
        text = text.format(suffix)
    elif suffix:
        name += f", divided by {suffix}"
    return tag("b", name), tag("small", text)


def _metric_cell(report, name):
    if name is None:
        return tag("td")
    lines = [number(name, report.metrics[name])]
    if name in report.chance:
        chance = number(f"{name} by chance", report.chance[name])
        lines.append(tag("small", "chance ", chance))
    if name in report.bounds:
        low, high = report.bounds[name]
        lines.append(tag("small", f"{low:.4f} .. {high:.4f}"))
    return tag("td", *lines)


def curves(measured):
    """Precision and recall by radius of what was `measured`."""
    found, length = measured.report.curves, measured.bits
    if not found:
        return section(
            "Curves",
            tag(
                "p",
                "Codes that rank by ones in common have no radius, so there "
                "are no curves by radius.",
            ),
            id_="curves",
        )
    radius = f"Hamming radius ({length} bits)"
    precision, recall = found["precision"], found["recall"]
    lines = {"precision": precision}
    if any(found["empty"]):
        lines["empty balls"] = found["empty"]
    near = min(2, length)
    panels = [
        panel(
            figures.line_panel(
                found["radius"], lines, radius, "precision", length
            ),
            f"Precision by Hamming radius: {precision[0]:.3f} at 0, "
            f"{precision[near]:.3f} at {near}, {precision[-1]:.3f} at {length}",
            "Precision within a radius",
        ),
        panel(
            figures.line_panel(
                found["radius"], {"recall": recall}, radius, "recall", length
            ),
            f"Recall by Hamming radius: {recall[0]:.3f} at 0, "
            f"{recall[near]:.3f} at {near}, {recall[-1]:.3f} at {length}",
            "Recall within a radius",
        ),
        panel(
            figures.line_panel(
                recall, {"precision": precision}, "recall", "precision", 1.02
            ),
            f"Precision over recall, from precision {precision[0]:.3f} at "
            f"recall {recall[0]:.3f} to precision {precision[-1]:.3f}",
            "Precision over recall, a point a radius",
        ),
    ]
    return section(
        "Curves",
        tag("div", *panels, class_="panels"),
        id_="curves",
    )
