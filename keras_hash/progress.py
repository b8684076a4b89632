"""Progress bars for long work, on stderr so that output stays clean."""


def track(steps, total, title, show="auto"):
    """Shows a bar with the time left while steps are taken."""
    if show == "auto":
        show = total is None or total > 8
    if not show:
        yield from steps
        return
    import importlib.util

    from rich import console
    from rich import progress

    # In a notebook rich makes widgets, and warns where there are none.
    widgets = importlib.util.find_spec("ipywidgets") is not None
    where = console.Console(
        stderr=True, force_jupyter=None if widgets else False
    )

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=where) as bar:
        yield from bar.track(steps, total=total, description=title)
