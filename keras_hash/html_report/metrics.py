"""All metrics of a report, and its curves."""

from keras_hash import figures
from keras_hash.evaluation.report import BY_RADIUS
from keras_hash.evaluation.report import cut_off
from keras_hash.html_report.bits import STATISTICS

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
    """A table of the metrics, a column a cut-off: titles, and rows.

    A row is `(name, text, keys)`. Keys are names in the report, one for the
    whole ranking and one for each cut-off; `None` where it has no such figure.
    """
    families, cuts = {}, {None}
    for key in measured.report.shown():
        if key in STATISTICS or key == "chance_map":
            continue
        family, _, rest = key.partition("@")
        number, _, suffix = rest.partition("_")
        if family in BY_RADIUS:
            families[family, number] = {None: key}
        else:
            cut = cut_off(key)
            cuts.add(cut)
            families.setdefault((family, suffix), {})[cut] = key
    cuts = sorted(cuts, key=lambda cut: cut or 0)
    rows = [
        (*_meaning(family, suffix), [keys.get(cut) for cut in cuts])
        for (family, suffix), keys in families.items()
    ]
    titles = ["metric", "all", *(f"first {cut:,}" for cut in cuts[1:])]
    return {"titles": titles, "rows": rows}


def _meaning(family, suffix):
    """The name of a metric as people write it, and what it is."""
    prefix = next((p for p in _GRADES if p and family.startswith(p)), "")
    name, text = _RANKING.get(family.removeprefix(prefix), (family, ""))
    more, how = _GRADES[prefix]
    name, text = name + more, text + how
    if family in BY_RADIUS:
        text = text.format(suffix)
    elif suffix:
        name += f", divided by {suffix}"
    return name, text


def curves(measured):
    """SVGs of precision and recall by radius, and of one over the other."""
    found, bits = measured.report.curves, measured.bits
    if not found:
        return {}
    radius, recall = found["radius"], found["recall"]
    precision = {"precision": found["precision"]}
    empty = {"empty balls": found["empty"]} if any(found["empty"]) else {}
    label = f"Hamming radius ({bits} bits)"
    draw = figures.line_panel
    return {
        "precision": draw(radius, precision | empty, label, "precision", bits),
        "recall": draw(radius, {"recall": recall}, label, "recall", bits),
        "both": draw(recall, precision, "recall", "precision", 1.02),
    }
