"""Generated parts of pages: tables, and what stands between two comments."""


def table(head, lines):
    """A Markdown table; a cell is what `str` makes of it, `None` empty."""
    rows = [head, ["---"] * len(head), *lines]
    cells = [["" if c is None else str(c) for c in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def renewed(text, start, end, part):
    """A page with `part` between the lines `start` and `end`.

    Raises:
        ValueError: the page lacks one of them.
    """
    before, found, rest = text.partition(f"{start}\n")
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"The page lacks the lines {start!r} and {end!r}.")
    return f"{before}{start}\n{part}\n{end}{after}"
