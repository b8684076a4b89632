"""All metrics of a report, and its curves."""

import numpy as np

from keras_hash import figures
from keras_hash.evaluation import metrics
from keras_hash.search import Index
from keras_hash.search import asymmetric


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


def by_real(measured, real):
    """Triples of a cut-off, the precision by Hamming distance, and that of an
    order by the queries' real codes, of the nearest 1,000: at that cut-off and
    beyond it changes nothing."""
    cuts = {}
    for key in measured.report.shown():
        known = metrics.describe(key)
        if key == f"precision@{known.cut}":
            cuts[known.cut] = measured.report.metrics[key]
    cuts = {k: v for k, v in cuts.items() if k < asymmetric.CANDIDATES}
    if real is None or measured.drop or not cuts:
        return []
    index = Index(measured.bits, measured.codes[1])
    _, found = index.search(real_codes=real, k=max(cuts))
    hits = np.empty(found.shape, bool)
    queries, items = (measured.label_matrix(side) for side in (0, 1))
    for row, places in enumerate(found):
        shared = items[places] @ queries[row].T
        hits[row] = shared.toarray()[:, 0] > 0
    if measured.settings["no_relevant"] == "skip":
        there = np.asarray(items.sum(axis=0)).ravel() > 0
        hits = hits[np.asarray(queries[:, there].sum(axis=1)).ravel() > 0]
    return [(k, v, hits[:, :k].mean()) for k, v in cuts.items() if len(hits)]
