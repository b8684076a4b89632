"""What several commands take: entries, data, images, numbers."""

import argparse
import ast
import contextlib
import difflib
import json
import math
import pathlib
import sys

from keras_hash import files
from keras_hash.cli import outputs

DATA = (
    "name of a benchmark (such as digits), folder with one folder per class, "
    "or .csv file"
)
DELIMITER = "of a .csv file, such as ';' or '\\t' (default: a comma)"
# The encoder for photos of any kind.
GENERAL = "photos_256"
MODEL = "zoo name or folder of an entry"
OWN = ("image_column", "label_columns", "separator", "delimiter")


class CheckFailed(Exception):
    """A check failed: its arguments are said, and the exit code is 1."""


def add_json(command):
    """Adds `--json`."""
    command.add_argument("--json", action="store_true", help="for scripts")


def add_mirror(command, what):
    """Adds `--mirror`."""
    command.add_argument(
        "--mirror",
        action="store_true",
        help=f"average {what} with their mirror images: better codes, twice "
        "the time",
    )


def runtimes():
    """The other runtimes, with their titles, without importing TensorFlow."""
    folder = pathlib.Path(__file__).parents[1] / "export" / "runtimes"
    return {
        path.stem: ast.get_docstring(
            ast.parse(path.read_text(encoding="utf-8"))
        ).partition(".\n")[0]
        for path in sorted(folder.glob("[!_]*.py"))
    }


def add_runtime(command, index=False):
    """Adds `--runtime`, and what lets an index have codes of several."""
    command.add_argument(
        "--runtime",
        choices=("keras", *runtimes()),
        default="keras",
        help="what makes the codes (default keras); the others are faster and "
        'need an extra each, such as "keras-hash[openvino]"',
    )
    if index:
        add_any_runtime(command)


def add_any_runtime(command):
    """Adds `--any-runtime`."""
    command.add_argument(
        "--any-runtime",
        action="store_true",
        help="take an index whose codes another runtime made, though they "
        "differ a little",
    )


def file_encoder(name, runtime):
    """The encoder of files of an entry; its warnings are said."""
    import warnings

    from keras_hash.zoo import encoder

    with warnings.catch_warnings(record=True, action="always") as caught:
        found = encoder.FileEncoder(name, runtime)
    for warning in caught:
        if warning.category is UserWarning:
            outputs.say(warning.message)
    return found


def add_hamming(command):
    """Adds `--hamming`."""
    command.add_argument(
        "--hamming",
        action="store_true",
        help="order by Hamming distance alone; by default the bits that differ "
        "count by how sure the query is of them, where the method tells it",
    )


def add_data_options(command):
    """Adds the options by which the user's own images are read."""
    own = command.add_argument_group("your own images")
    own.add_argument("--image-column", help="of a .csv file: their paths")
    own.add_argument(
        "--label-columns",
        nargs="+",
        help="of a .csv file: one column of label names, or one column of 0 "
        "and 1 for each label",
    )
    own.add_argument("--separator", help="what separates labels in one column")
    own.add_argument("--delimiter", type=delimiter, help=DELIMITER)


def delimiter(text):
    """The type of an option: shells write a tab as `\\t`."""
    return "\t" if text == "\\t" else text


def at_least(least, most=(1 << 31) - 1):
    """The type of an option: an int that is neither too small nor too large."""

    def number(text):
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"should be from {least} to {most}. Received: {text}"
            )
        return value

    # argparse says it of what is not a number.
    number.__name__ = "int"
    return number


def constant(text):
    """The type of an option: a name and its value, in JSON or as it is."""
    name, given, value = text.partition("=")
    if not (name and given):
        raise argparse.ArgumentTypeError(
            "should be a name and a value, such as margin=0.3. "
            f"Received: {text}"
        )
    with contextlib.suppress(ValueError):
        value = json.loads(value)
    return name, value


def lengths(text):
    """The type of an option: ints with commas between them."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            "should be numbers with commas between them, such as 16,32. "
            f"Received: {text}"
        ) from None


def rate(text):
    """The type of an option: a float above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"should be above 0. Received: {text}")
    return value


def false_rate(text):
    """The type of an option: a share that the cards of encoders tell."""
    value = rate(text)
    if value > 1e-3:
        raise argparse.ArgumentTypeError(
            f"should be at most 0.001. Received: {text}"
        )
    return value


# argparse says it of what is not a number.
rate.__name__ = false_rate.__name__ = "float"


def option(name):
    """How an option of a command is written."""
    return f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"


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
        if zoo.is_entry(name):
            raise
        known = zoo.list_models()
        raise ValueError(f"{error}{suggestion(name, known)}") from error


def image_files(places):
    """The files given and those in folders; says what is left out."""
    from keras_hash.data import folders

    paths, left_out = folders.images(places)
    say_left_out(left_out)
    return paths


def say_left_out(left_out):
    """Prints on stderr how many files were left out and why."""
    from keras_hash.data import folders

    if left_out:
        print(f"left out: {folders.by_reason(left_out)}", file=sys.stderr)


def benchmark(source, options, protocol="official", seed=0):
    """A benchmark by its name, or of the user's own images."""
    import warnings

    from keras_hash import data

    path, names = files.local(source), data.names()
    given = {
        name: options[name] for name in OWN if options.get(name) is not None
    }
    load = data.from_folder
    if path.suffix.lower() == ".csv":
        load = data.from_csv
        if not {"image_column", "label_columns"} <= set(given):
            raise ValueError(
                "A .csv file needs `--image-column` and `--label-columns`. "
                f"Received: {source}"
            )
        if len(given["label_columns"]) == 1:
            (given["label_columns"],) = given["label_columns"]
    elif given:
        raise ValueError(
            f"`{option(next(iter(given)))}` is not for {source}, but for a "
            ".csv file."
        )
    elif source in names:
        if path.is_dir():
            outputs.say(f"takes the benchmark {source}, not ./{source}")
        return data.load(source, protocol)
    elif not path.is_dir():
        raise ValueError(
            f"`--data` should be one of {names}, a folder with one folder per "
            f"class, or a .csv file. Received: {source}."
            f"{suggestion(source, names)}"
        )
    with warnings.catch_warnings(record=True, action="always") as caught:
        found = load(path, seed=seed, **given)
    for warning in caught:
        # The summary says what was left out.
        if "benchmark.notes" not in str(warning.message):
            outputs.say(warning.message)
    return found


def benchmark_of_card(card, options=None, protocol=None, download=False):
    """The benchmark that the figures of a card were measured on."""
    from keras_hash import data

    recipe, options = card.recipe or {}, options or {}
    source = recipe.get("data") or card.dataset
    # Own images as they were trained on: the columns too.
    options = {name: options.get(name) or recipe.get(name) for name in OWN}
    if not recipe.get("data") and source == "cifar10" and not download:
        from keras_hash.data import cifar10

        if not cifar10.is_prepared():
            raise FileNotFoundError(
                "CIFAR-10 is not on this machine: set TFDS_DATA_DIR or "
                f"KERAS_HASH_DATA; `keras-hash evaluate {card.name}` "
                "downloads it."
            )
    own = recipe.get("data") and source not in data.names()
    if own and not files.local(source).exists():
        raise FileNotFoundError(
            f"The images that {card.name} was trained on are not here: "
            f"{source}; run this in the folder from which it was trained."
        )
    # A folder may be called like a benchmark.
    known = source in data.names() and (
        card.protocol in data.protocols.of(source)
    )
    if not recipe.get("data") and not known:
        raise FileNotFoundError(
            f"{card.name} was measured on {source!r}, a benchmark made in "
            "Python; `keras-hash evaluate` takes images by `--data`."
        )
    if protocol is not None and source not in data.names():
        raise ValueError(
            f"`--protocol` is for {', '.join(data.names())}, not for images of "
            f"your own, on which {card.name} was measured. "
            f"Received: --protocol {protocol}"
        )
    return benchmark(
        source,
        options,
        protocol or card.protocol,
        recipe.get("seed", 0),
    )
