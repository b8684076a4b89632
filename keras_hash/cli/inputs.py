"""What several commands take (entries, data, images), and how they print."""

import contextlib
import difflib
import json
import os
import pathlib
import sys

DATA = (
    "name of a benchmark (such as digits), folder with one folder a class, or "
    ".csv file"
)
MODEL = "zoo name or folder of an entry"
OWN = ("size", "image_column", "label_columns", "separator")


def add_json(command):
    """Adds `--json`."""
    command.add_argument("--json", action="store_true", help="for scripts")


def add_data_options(command):
    """Adds the options by which the user's own images are read."""
    own = command.add_argument_group("your own images")
    own.add_argument(
        "--size", type=int, help="side they are resized to (default 224)"
    )
    own.add_argument("--image-column", help="of a .csv file: their paths")
    own.add_argument(
        "--label-columns",
        nargs="+",
        help="of a .csv file: one of label names, or one of 0 and 1 a label",
    )
    own.add_argument("--separator", help="between labels in one column")


def suggestion(name, known):
    """What may have been meant, such as `" Did you mean 'dshc'?"`, or `""`."""
    close = difflib.get_close_matches(str(name), known, 1)
    return f" Did you mean {close[0]!r}?" if close else ""


def card(name):
    """The card of an entry; the error of a wrong name says the closest."""
    from keras_hash import zoo

    try:
        return zoo.card(name)
    except ValueError as error:
        if is_entry(name):
            raise
        known = zoo.list_models()
        raise ValueError(f"{error}{suggestion(name, known)}") from error


def is_entry(name):
    """Whether there is an entry, whole or damaged."""
    from keras_hash import zoo

    there = (pathlib.Path(name) / "card.json").exists()
    return there or name in zoo.list_models()


def benchmark(data, options, size=224, protocol="official", seed=0):
    """A benchmark by its name, or of the user's own images."""
    import warnings

    import keras_hash

    path, names = pathlib.Path(data), keras_hash.data.names()
    is_csv = path.suffix.lower() == ".csv"
    is_folder = path.is_dir() and data not in names
    options = {
        name: options[name] for name in OWN if options.get(name) is not None
    }
    taken = OWN if is_csv else OWN[:1] if is_folder else ()
    for name in set(options) - set(taken):
        raise ValueError(
            f"`--{name.replace('_', '-')}` is not for {data}: the size is for "
            "your own images, columns and separator are for a .csv file."
        )
    if not (is_csv or is_folder):
        if data not in names:
            raise ValueError(
                f"`--data` should be one of {names}, a folder with one folder "
                f"a class, or a .csv file. Received: {data}."
                f"{suggestion(data, names)}"
            )
        return keras_hash.data.load(data, protocol)
    if is_csv and not {"image_column", "label_columns"} <= set(options):
        raise ValueError(
            "A .csv file needs `--image-column` and `--label-columns`. "
            f"Received: {data}"
        )
    columns = options.get("label_columns", ())
    if len(columns) == 1:
        options["label_columns"] = columns[0]
    load = keras_hash.data.from_folder
    if is_csv:
        load = keras_hash.data.from_csv
    # The summary says what the warning would.
    with warnings.catch_warnings(action="ignore"):
        return load(path, seed=seed, **{"size": size, **options})


def benchmark_of_card(card, options=None, protocol=None, download=False):
    """The benchmark that the figures of a card were measured on."""
    import keras_hash

    recipe, options = card.recipe or {}, options or {}
    data = recipe.get("data") or card.dataset
    # Own images as they were trained on: the columns too.
    options = {name: options.get(name) or recipe.get(name) for name in OWN}
    if not recipe.get("data") and data == "cifar10" and not download:
        from keras_hash.data import cifar10

        if not cifar10.is_prepared():
            raise FileNotFoundError(
                "CIFAR-10 is not on this machine: set TFDS_DATA_DIR or "
                f"KERAS_HASH_DATA; `keras-hash evaluate {card.name}` "
                "downloads it."
            )
    own = recipe.get("data") and data not in keras_hash.data.names()
    if own and not os.path.exists(data):
        raise FileNotFoundError(
            f"The images that {card.name} was trained on are not here: "
            f"{data}; go to the folder it was trained from."
        )
    return benchmark(
        data,
        options,
        card.image_shape[:2],
        protocol or card.protocol,
        recipe.get("seed", 0),
    )


def aside(json):
    """Keeps stdout for the result."""
    to = sys.stderr if json else sys.stdout
    return contextlib.redirect_stdout(to)


def print_json(content):
    """Prints JSON."""
    print(json.dumps(content, indent=1))


def show(content):
    """Prints a report or a table."""
    from rich.console import Console

    Console().print(content)
