"""The tables of `docs/reports/paper_dshc.md`."""

import functools

import compare_methods
import numpy as np
import page_parts

from paper_dshc import accuracy
from paper_dshc import labels as labels_part
from paper_dshc import paper
from paper_dshc import store


def shown(values, digits=3):
    """Mean and half of the range of some values, as text; "" for none."""
    values = [value for value in values if value is not None]
    if not values:
        return ""
    text = f"{np.mean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {(max(values) - min(values)) / 2:.{digits}f}"
    return text


def frozen(method, bits, *path):
    """The stored values of all seeds of a method on frozen features."""
    rows = [
        store.read("accuracy").get(f"{method} {bits} {s}") for s in store.SEEDS
    ]
    return [inside(row, path) for row in rows if row]


def inside(row, path):
    """A value of nested dicts, or `None`."""
    for key in path:
        row = row.get(str(key)) if row else None
    return row


def shipped(method, bits, *path):
    """The same of the zoo's entries of this method and length."""
    rows = store.read("zoo").values()
    return [
        inside(row, path)
        for row in rows
        if (row["method"], row["bits"]) == (method, bits)
    ]


def table1():
    head = ["method", "printed", "frozen features", "end to end"]
    lines = [
        [
            method.upper(),
            printed,
            shown(frozen(method, 30, "map")),
            # The pairwise entries of the zoo have 32 bits.
            shown(shipped(method, 30, "map") or shipped(method, 32, "map")),
        ]
        for method, printed in paper.TABLE_1.items()
    ]
    return page_parts.table(head, lines)


NAMES = {
    "plain": "plain classifier",
    "dshc": "DSHC",
    "dpsh": "DPSH",
    "dsdh": "DSDH",
    "dpsh_bank": "DPSH against all 50,000",
}


def table2():
    times = store.read("table2")
    head = ["method", "mAP printed", "frozen features", "end to end"]
    head += ["time printed"]
    head += [f"step, {k}, batch {row['batch']}" for k, row in times.items()]
    lines = []
    for method, name in NAMES.items():
        score, seconds = paper.TABLE_2.get(method, ("", None))
        ratio = seconds and f"{seconds / paper.TABLE_2['dshc'][1]:.2f}"
        cells = [name, score, shown(frozen(method, 60, "map"))]
        cells += [shown(shipped(method, 60, "map")), ratio or ""]
        cells += [f"{row['cpu'][method]:.2f}" for row in times.values()]
        lines.append(cells)
    return page_parts.table(head, lines)


def table3():
    head = ["bits", "printed", "perfect, even", "perfect, best"]
    head += ["frozen: classified", "frozen: mAP", "frozen: class told"]
    head += ["end to end: classified", "end to end: mAP"]
    head += ["end to end: class told"]
    lines = []
    for bits, (printed, _) in paper.TABLE_3.items():
        row = store.read("codebooks").get(f"cpbc {bits}")
        cells = [bits, printed]
        cells += [shown([inside(row, (k, "map"))], 4) for k in ("even", "best")]
        for found in (frozen, shipped):
            for path in (("accuracy_query",), ("map",), ("told", "map")):
                cells.append(shown(found("dshc", bits, *path)))
        lines.append(cells)
    return page_parts.table(head, lines)


def table4():
    head = ["code book", "sub-classes printed", "ours", "mAP@5000 printed"]
    head += ["perfect, even", "same, over hits", "frozen features"]
    head += ["same, over hits", "whole ranking"]
    lines = []
    for book, method in (("cpbc", "dshc"), ("kbc", "dshc_kbc")):
        row = store.read("codebooks").get(f"{book} 10")
        cells = [
            book.upper(),
            paper.TABLE_4[book][1],
            inside(row, ("subclasses",)),
        ]
        cells.append(f"{paper.TABLE_4[book][0]:.4f}")
        keys = ("map@5000", "map@5000_topk")
        cells += [shown([inside(row, ("even", key))], 4) for key in keys]
        cells += [shown(frozen(method, 10, key)) for key in (*keys, "map")]
        lines.append(cells)
    row = store.read("random_starts").get("kbc 10")
    if not row:
        return page_parts.table(head, lines)
    low, middle, high = (f"{value:.0f}" for value in row["kept"])
    scores = " to ".join(f"{row['even'][k]:.3f}" for k in (0, 2))
    table = page_parts.table(head, lines)
    return (
        f"{table}\n\nFrom {row['starts']} random starts, as "
        f"the paper has it, k-means puts two centres on one code "
        f"{row['equal']} times and leaves a class without a code of its own "
        f"{row['empty']} times; the others keep {low} to {high} sub-classes "
        f"(median {middle}; 74 in {row['with_74']}), with which a perfect "
        f"classifier has a mAP of {scores} (median {row['even'][1]:.3f})."
    )


def books():
    head = ["code book", "bits", "sub-classes", "distinct codes"]
    head += ["nearest between classes", "farthest within", "mAP, even"]
    lines = [
        [
            row["codebook"].upper(),
            row["bits"],
            row["subclasses"],
            row["distinct"],
            row["between"],
            row["within"],
            f"{row['even']['map']:.4f}",
        ]
        for row in sorted(
            store.read("codebooks").values(),
            key=lambda r: (r["codebook"], r["bits"]),
        )
    ]
    return page_parts.table(head, lines)


def length():
    head = ["bits", "sub-classes", "time printed", "training step"]
    head += ["encoding", "search"]
    lines = []
    for bits, row in store.read("length").items():
        printed = paper.TABLE_3.get(int(bits))
        ratio = f"{printed[1] / paper.TABLE_3[30][1]:.2f}" if printed else ""
        cells = [f"{row['cpu'][k]:.2f}" for k in ("train", "encode", "search")]
        lines.append([bits, row["subclasses"], ratio, *cells])
    return page_parts.table(head, lines)


def recall():
    head = ["method, 60 bits", "printed", "frozen features", "end to end"]
    head += ["distinct codes, frozen"]
    lines = []
    for method in ("dshc", "dpsh", "dsdh"):
        cells = [method.upper(), paper.RECALL_AT_0.get(method, "")]
        cells += [shown(frozen(method, 60, "recall@0"), 4)]
        cells += [shown(shipped(method, 60, "recall@0"), 4)]
        cells += [shown(frozen(method, 60, "unique_codes"), 0)]
        lines.append(cells)
    return page_parts.table(head, lines)


def top_k():
    columns = {
        f"CPBC {bits}": functools.partial(frozen, "dshc", bits)
        for bits in paper.TABLE_3
    }
    columns["KBC 10"] = functools.partial(frozen, "dshc_kbc", 10)
    for name, row in store.read("zoo").items():
        if row["method"] == "dshc":
            columns[f"`{name}`"] = lambda *path, row=row: [inside(row, path)]
    lines = []
    for k in accuracy.TOP_K:
        cells = [k]
        for found in columns.values():
            pair = [shown(found("by_k", k, s)) for s in ("map", "recall@0")]
            pair = [text.partition(" ±")[0] for text in pair]
            cells.append(f"{pair[0]} ({pair[1]})" if pair[0] else "")
        lines.append(cells)
    return page_parts.table(["K", *columns], lines)


def entries():
    head = ["entry", "bits", "epochs", "classified", "mAP", "recall at 0"]
    head += ["distinct codes", "weights"]
    lines = [
        [
            f"`{name}`",
            row["bits"],
            row["epochs"],
            shown([row.get("accuracy_query")], 4),
            f"{row['map']:.4f}",
            f"{row['recall@0']:.4f}",
            row["unique_codes"],
            f"`{row['weights']}`",
        ]
        for name, row in store.read("zoo").items()
    ]
    return page_parts.table(head, lines)


def labels():
    rows = store.read("labels")
    parts = []
    if row := rows.get("exact"):
        parts.append(
            f"CIFAR-10, {row['images']:,} training images: the partition is "
            f"{'the same' if row['same'] else 'another'} after "
            f"{row['looks']} rows of the similarity matrix; mAP of DSHC at 30 "
            f"bits {row['map']:.3f} with the labels that were found, "
            f"{row['map_true']:.3f} with the true ones."
        )
    head = ["several labels", "images", "labels"]
    head += ["labels with an image of their own", "columns found"]
    head += ["labels found", "images whose labels are all found"]
    lines = [
        [
            name,
            f"{row['images']:,}",
            row["labels"],
            row["alone"],
            row["found"],
            row["right"],
            f"{100 * row['whole']:.1f} %",
        ]
        for name in ("multidigits", "corel5k")
        if (row := rows.get(name))
    ]
    parts.append(page_parts.table(head, lines))
    head = ["pairs told wrong", "clusters", "agreement (adjusted Rand)"]
    head += ["same partition", "mAP of DSHC"]
    lines = [
        [
            f"{100 * share:.0f} %",
            row["clusters"],
            f"{row['agreement']:.3f}",
            "yes" if row["same"] else "no",
            shown([row.get("map")]) or "not trained",
        ]
        for share in labels_part.ERRORS
        if (row := rows.get(f"errors {share}"))
    ]
    parts.append(page_parts.table(head, lines))
    return "\n\n".join(parts)


def disjoint():
    rows = list(store.read("disjoint").values())
    draws = sorted({row["draw"] for row in rows})
    official = [r for r in compare_methods.read() if r["task"] == "cifar10"]
    lines = []
    for method in {row["method"]: None for row in rows}:
        own = [row for row in rows if row["method"] == method]
        bits = own[0]["bits"]
        halves = [[r["map"] for r in own if r["draw"] == d] for d in draws]
        means = [np.mean(values) for values in halves if values]
        seen = [
            float(row["map"])
            for row in official
            if row["method"] == method and int(row["bits"]) == bits
        ]
        whole = len(means) == len(draws)
        cells = [method, bits or "", *map(shown, halves)]
        cells += [f"{np.mean(means):.3f}" if whole else "", shown(seen)]
        lines.append((-whole, -np.mean(means), cells))
    head = ["method", "bits", *(f"half {d + 1}" for d in draws), "mean"]
    head += ["all classes seen"]
    return page_parts.table(head, [cells for *_, cells in sorted(lines)])


TABLES = {
    "table1": table1,
    "table2": table2,
    "table3": table3,
    "table4": table4,
    "books": books,
    "length": length,
    "recall": recall,
    "top_k": top_k,
    "entries": entries,
    "labels": labels,
    "disjoint": disjoint,
}


def page():
    """The text of the page, with the tables of the stored rows."""
    text = store.PAGE.read_text()
    for name, table in TABLES.items():
        text = page_parts.renewed(
            text, f"<!-- {name} -->", "<!-- end -->", table()
        )
    return text
