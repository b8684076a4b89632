"""Figures 2 and 3."""

import numpy as np

import keras_hash
from keras_hash import figures
from keras_hash.figures import charts
from paper_dshc import store


def draw_figure2(again, images=2000):
    """Figure 2: a map of the codes of some queries."""
    path = store.FOLDER / "figure2.png"
    if path.exists() and not again:
        return
    benchmark = keras_hash.data.load("cifar10")
    chosen = np.random.RandomState(0).permutation(10_000)[:images]
    classes = benchmark.targets[benchmark.parts["query"]][chosen]
    panels = {}
    for name, title in (
        ("dshc 10", "CPBC, 10 bits, frozen features"),
        ("dshc_kbc 10", "KBC, 10 bits, frozen features"),
        ("dshc 30", "CPBC, 30 bits, frozen features"),
        ("dshc_cifar10_30", "CPBC, 30 bits, end to end"),
    ):
        kept = store.KEPT / f"{name.replace(' ', '_')}.npz"
        bits = int(name.replace("_", " ").split()[-1])
        if not kept.exists():
            print(f"No codes of {name}: run its part with --again.")
            continue
        codes = np.load(kept)["query"][chosen]
        panels[title] = figures.code_places(codes, bits), classes
    if panels:
        code_map(panels, benchmark.labels, path)


def draw_figure3(again):
    """Figure 3: precision and recall by radius, and PR, at 30 and 60 bits."""
    rows, shipped = store.read("accuracy"), store.read("zoo")
    for bits in (30, 60):
        path = store.FOLDER / f"figure3_{bits}.png"
        if path.exists() and not again:
            continue
        curves = {
            f"{method.upper()}, frozen features": rows[key]["curves"]
            for method in ("dshc", "dpsh", "dsdh")
            if (key := f"{method} {bits} {store.SEEDS[0]}") in rows
        }
        for name, row in shipped.items():
            # The pairwise entries of the zoo have 32 bits.
            near = row["bits"] in (bits, bits + 2)
            if near and row["method"] in ("dshc", "dpsh", "dsdh"):
                curves[f"{name}, end to end"] = row["curves"]
        if curves:
            figures.radius_curves(
                curves,
                f"CIFAR-10, {bits} bits, 10,000 queries, 50,000 database "
                "images; means over queries, precision of an empty ball 0",
                path,
            )


def code_map(panels, names, path):
    """Draws images as points at the places of their codes, by class."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(4.2 * len(panels), 4.6), dpi=80, layout="constrained"
    )
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    colors = matplotlib.colormaps["tab10" if len(names) <= 10 else "hsv"]
    for axis, (title, (places, classes)) in zip(axes, panels.items()):
        for number, name in enumerate(names):
            x, y = np.asarray(places)[np.asarray(classes) == number].T
            color = colors(number if len(names) <= 10 else number / len(names))
            axis.scatter(x, y, s=3, color=color, linewidths=0, label=name)
        axis.set(xticks=[], yticks=[], title=title)
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=10,
        markerscale=4,
        fontsize=8,
    )
    charts.save(figure, path)
