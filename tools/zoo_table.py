"""Writes the zoo's table and pictures from the cards.

    python tools/zoo_table.py [--check]

They are in zoo/README.md, zoo/map_by_bits.png and zoo/map_by_size.png.
"""

import argparse
import pathlib
import sys

import page_parts

from keras_hash import files
from keras_hash.zoo import entries

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "zoo" / "README.md"
START, END = "<!-- zoo: made by `make zoo-table` -->", "<!-- end of zoo -->"


def groups():
    """The cards of the repository's entries, by what a user looks for."""
    folders = [path.parent for path in (ROOT / "zoo").glob("*/card.json")]
    return entries.grouped([entries.card(folder) for folder in folders])


def tables():
    """Markdown: the tables of each group."""
    parts = []
    for title, cards in groups().items():
        parts += [f"## {title}", table(cards)]
        nested = [card for card in cards if card.lengths]
        if nested:
            parts += [
                "The first bits of these codes are codes too: "
                f'`keras_hash.load("{nested[0].name}", '
                f"bits={min(nested[0].by_length)})`.",
                by_length(nested),
            ]
    return "\n\n".join(parts)


def table(cards):
    """What each entry is, its metrics, size and speed."""
    head = ("name", "method", "data (protocol)", "trained on", "bits", "mAP")
    head += (
        "mirrored",
        "chance",
        "NDCG@100",
        "ACG@100",
        "P@100",
        "size",
        "images/s",
    )
    lines = []
    for c in cards:
        m = c["metrics"]
        lines.append(
            (
                f"[`{c['name']}`]({c['name']}/card.json)",
                c["method"],
                f"{c['dataset']} ({c['protocol']})",
                trunk(c),
                c["bits"],
                f"{m['map']:.4f}",
                f"{c['mirrored']['map']:.4f}" if c.mirrored else "",
                f"{m['chance_map']:.3f}",
                f"{m['ndcg@100']:.4f}",
                f"{m['acg@100']:.4f}",
                f"{m['precision@100']:.4f}",
                f"{c['bytes'] / 2**20:.2f} MiB",
                f"{c['images_per_second']:,}",
            )
        )
    return page_parts.table(head, lines)


def by_length(cards):
    """mAP and NDCG@100 of nested codes at each length."""
    lengths = sorted({bits for card in cards for bits in card.by_length})
    head = ["name"]
    for metric in ("mAP", "NDCG@100"):
        head += [f"{metric} at {bits}" for bits in lengths]
    lines = []
    for card in cards:
        line = [f"`{card.name}`"]
        for metric in ("map", "ndcg@100"):
            for bits in lengths:
                found = card.by_length.get(bits)
                line.append(found and f"{found[metric]:.3f}")
        lines.append(line)
    return page_parts.table(head, lines)


def trunk(card):
    """Where the training of an entry started, in a few words."""
    start = card["recipe"].get("trunk")
    if not card["parameters"]:
        return "nothing"
    if start is None:
        return "scratch"
    start = "ImageNet" if start.endswith(".h5") else f"trunk of `{start}`"
    return start + (
        ", frozen" if card["recipe"].get("backbone_rate") == 0 else ""
    )


def draw(folder):
    """Draws mAP against bits and against size, a panel for each dataset."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from PIL import Image

    sides = {
        "bits": ("bits", lambda c: c["bits"]),
        "size": ("size in MiB", lambda c: c["bytes"] / 2**20),
    }
    datasets = {}
    cards = [card for some in groups().values() for card in some]
    # What has learned nothing has a scale of its own.
    cards = [card for card in cards if card.parameters]
    for c in sorted(cards, key=lambda c: (c.dataset, -c.metrics["map"])):
        datasets.setdefault(c["dataset"], []).append(c)
    datasets = {k: of for k, of in datasets.items() if len(of) > 1}
    for name, (label, value) in sides.items():
        figure, panels = pyplot.subplots(
            1, len(datasets), figsize=(11, 4.5), layout="constrained"
        )
        for axes, (dataset, of) in zip(panels, datasets.items()):
            x = [value(c) for c in of]
            for end, c in zip(x, of):
                # Codes of several lengths are a line.
                shown = {end: c.metrics}
                if name == "bits":
                    shown = c.by_length
                scores = [found["map"] for found in shown.values()]
                axes.plot(list(shown), scores, "o-", markersize=4, linewidth=1)
            # Neighbours in mAP: a name goes away from them, or to the left and
            # the right in turn.
            for place, c in enumerate(of):
                near = x[max(place - 1, 0) : place + 2]
                further = 2 * x[place] - min(near) - max(near)
                wide = 0.1 * (max(x) - min(x))
                right = further > 0 if abs(further) > wide else place % 2 == 0
                # The line of several lengths comes from the left.
                right |= name == "bits" and bool(c.lengths)
                axes.annotate(
                    f"{c['method']} {c['bits']}",
                    (x[place], c["metrics"]["map"]),
                    xytext=(5 if right else -5, 0),
                    textcoords="offset points",
                    ha="left" if right else "right",
                    va="center",
                    fontsize=7,
                )
            axes.margins(0.55, 0.08)
            if name == "bits":
                axes.set_xscale("log", base=2)
                axes.margins(0.6, 0.08)
                ticks = {}
                every = {bits for c in of for bits in c.by_length}
                for bits in sorted(every):
                    # Too near to the one before for a place of its own.
                    near = [t for t in ticks if bits < 1.2 * t]
                    ticks.setdefault(near[-1] if near else bits, []).append(
                        str(bits)
                    )
                names = [", ".join(of) for of in ticks.values()]
                axes.set_xticks(list(ticks), names, fontsize=7)
                axes.minorticks_off()
            axes.set(title=dataset, xlabel=label, ylabel="mAP")
        path = folder / f"map_by_{name}.png"
        figure.savefig(path, dpi=110)
        # A few colours are enough, at a third of the bytes.
        with Image.open(path) as whole:
            few = whole.convert("RGB").quantize(64)
        few.save(path, optimize=True)
        pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing, fail if stale"
    )
    check = parser.parse_args().check
    text = PAGE.read_text()
    new = page_parts.renewed(text, START, END, tables())
    if check and new != text:
        sys.exit(f"{PAGE} is stale: run `make zoo-table`.")
    if not check:
        files.write(PAGE, new)
        draw(ROOT / "zoo")


if __name__ == "__main__":
    main()
