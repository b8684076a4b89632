"""All metrics of a report, and its curves."""

from keras_hash import figures
from keras_hash.evaluation import metrics


def ranking(measured):
    """A table of the metrics, a column a cut-off: titles, and rows.

    A row is `(name, text, keys)`. Keys are names in the report, one for the
    whole ranking and one for each cut-off; `None` where it has no such figure.
    """
    families, cuts = {}, {None}
    for key in measured.report.shown():
        known = metrics.describe(key)
        if known.row.source not in ("codes", "chance"):
            cuts.add(known.cut)
            meaning = known.title, known.text
            families.setdefault(meaning, {})[known.cut] = key
    cuts = sorted(cuts, key=lambda cut: cut or 0)
    rows = [
        (*meaning, [keys.get(cut) for cut in cuts])
        for meaning, keys in families.items()
    ]
    titles = ["metric", "all", *(f"first {cut:,}" for cut in cuts[1:])]
    return {"titles": titles, "rows": rows}


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
