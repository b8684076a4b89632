"""Writes the table of metrics in docs/metrics.md, from the rows of the library.

python tools/metric_table.py
"""

import pathlib

from keras_hash.evaluation import metrics

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
BEGIN = "<!-- Written by tools/metric_table.py: the table of metrics. -->\n"
END = "<!-- The end of that table. -->\n"


def keys(row):
    """What the keys of a row look like."""
    for family, (known, _) in metrics.families().items():
        if known is not row:
            continue
        if row.source == "radius":
            yield f"`{family}@{metrics.RADIUS}`"
            continue
        if row.whole or not row.cuts:
            yield f"`{family}`"
        if row.cuts:
            yield f"`{family}@k`"


def table():
    """The table in Markdown."""
    lines = ["| key | | meaning | better |", "|---|---|---|---|"]
    for row in metrics.ROWS.values():
        text = row.text.format(metrics.RADIUS) + row.note
        text = text.replace("|", "\\|")
        names = ", ".join(keys(row))
        lines.append(f"| {names} | {row.title} | {text} | {row.better} |")
    return "\n".join(lines) + "\n"


def page(text):
    """The page with the table of now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main():
    PAGE.write_text(page(PAGE.read_text()))
    print(PAGE.name)


if __name__ == "__main__":
    main()
