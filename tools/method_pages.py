"""Writes `docs/methods/`, a page for each method, from the docstrings.

    python tools/method_pages.py

The table of methods in README.md is renewed as well.

A module docstring holds a title, the idea, the formula (indented), and the
paragraphs `When to use:`, `Cost:`, `Other code:` and `Reference:`.
"""

import inspect
import pathlib
import re
import sys
import textwrap

import keras
import page_parts

from keras_hash import files
from keras_hash import methods
from keras_hash.methods import _keywords

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "methods"
README = ROOT / "README.md"
NOTE = "<!-- Written by tools/method_pages.py from the docstrings. -->\n"
START, END = "<!-- methods: made by `make pages` -->", "<!-- end of methods -->"
PARTS = {
    "When to use": "When to use it",
    "Cost": "Cost",
    "Other code": "How it differs from other code",
    "Reference": "Reference",
}


def parse(doc):
    """The parts of a module docstring, by name.

    Raises:
        ValueError: a part is missing.
    """
    found = {name: "" for name in ("Title", "Idea", "Formula", *PARTS)}
    title, _, rest = inspect.cleandoc(doc).partition("\n\n")
    found["Title"] = title.rstrip(".")
    place = "Idea"
    for line in rest.splitlines():
        head = re.match(rf"({'|'.join(PARTS)}): ", line)
        if head:
            place, line = head[1], line[head.end() :]
        elif line.startswith("    ") and place in ("Idea", "Formula"):
            place = "Formula"
        found[place] += line + "\n"
    missing = [name for name, text in found.items() if not text.strip()]
    if missing:
        raise ValueError(f"{title!r} lacks {missing}")
    return {name: text.strip("\n") for name, text in found.items()}


def described(thing, heading):
    """A class with its arguments, from its docstring and signature."""
    doc = inspect.getdoc(thing)
    entries = _keywords.entries(doc)
    home, base = "models", "HashModel"
    if issubclass(thing, keras.losses.Loss):
        home, base = "losses", "keras.losses.Loss"
    own = [
        parameter
        for parameter in inspect.signature(thing).parameters.values()
        if parameter.kind != parameter.KEYWORD_ONLY
    ]
    name = thing.__name__.removesuffix("Loss")
    given = ", ".join([*map(str, own), "**kwargs"])
    summary = doc.partition("\n\n")[0]
    lines = [
        f"## {heading}",
        "",
        f"`keras_hash.{home}.{name}({given})`",
        "",
        summary,
        "",
        *(f"- `{p.name}`: {' '.join(entries[p.name].split())}" for p in own),
        f"- `**kwargs`: see `{base}`.",
    ]
    return "\n".join(lines) + "\n"


def found():
    """Of each file of methods its name, the docstring's parts, the classes."""
    by_module = {}
    for pair in methods.registry().values():
        by_module.setdefault(pair[0].__module__, []).append(pair)
    for module, pairs in sorted(by_module.items()):
        name = module.rpartition(".")[2]
        yield name, parse(sys.modules[module].__doc__), pairs


def when(parts):
    """When to use a method, as one line."""
    words = " ".join(parts["When to use"].split())
    return words[0].upper() + words[1:]


def pages():
    """All pages: a dict from file name to text."""
    texts, lines = {}, []
    for name, parts, pairs in found():
        formula = textwrap.dedent(parts["Formula"])
        text = f"{NOTE}\n# {parts['Title']}\n\n{parts['Idea'].strip()}\n\n"
        text += f"```text\n{formula}\n```\n"
        for part, heading in PARTS.items():
            body = parts[part].strip()
            text += f"\n**{heading}.** {body[0].upper()}{body[1:]}\n"
        for model, loss in pairs:
            text += f"\n{described(model, f'Model {model.__name__}')}"
            if loss is not None:
                text += f"\n{described(loss, f'Loss {model.__name__}')}"
        texts[f"{name}.md"] = text
        lines.append((f"[{parts['Title']}]({name}.md)", when(parts)))
    texts["README.md"] = (
        f"{NOTE}\n# Methods\n\nAll are used in the same way: "
        "`keras_hash.models.NAME(bits, num_classes)`, `compile`, `fit`, "
        "`encode`; those that are solved on features need `adapt` (or `fit`) "
        "alone. How they compare is measured in "
        "[comparison.md](../reports/comparison.md).\n\n"
        f"{page_parts.table(('method', 'when to use it'), lines)}\n"
    )
    return texts


def readme():
    """README with its table of methods."""
    lines = [
        (
            ", ".join(
                f"[`{model.__name__}`](docs/methods/{name}.md)"
                for model, _ in pairs
            ),
            parts["Title"].partition(": ")[2],
            when(parts),
        )
        for name, parts, pairs in found()
    ]
    head = ("method", "stands for", "when to use it")
    table = page_parts.table(head, lines)
    return page_parts.renewed(README.read_text(), START, END, table)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        files.write(FOLDER / name, text)
        print(f"docs/methods/{name}")
    files.write(README, readme())


if __name__ == "__main__":
    main()
