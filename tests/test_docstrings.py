"""What users call is documented: arguments, results and errors."""

import ast
import inspect
import re
import textwrap

import pytest

from tests import public_names

NAMES = dict(public_names.names())


def section(doc, head):
    """A part of a docstring, such as what stands below `Args:`."""
    found = re.search(rf"^{head}:\n((?: +.*\n?|\n)*)", doc, re.MULTILINE)
    return found[1] if found else ""


def statements(function):
    """The statements of a function, less those of functions inside it."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    rest = list(tree.body)
    while rest:
        node = rest.pop()
        yield node
        inside = (ast.FunctionDef, ast.Lambda, ast.ClassDef)
        rest += [
            child
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, inside)
        ]


def raises(node):
    """Whether a statement raises an error that a user can meet."""
    if not isinstance(node, ast.Raise):
        return False
    return "NotImplementedError" not in ast.unparse(node)


def missing(value):
    """What the docstring of a public object lacks."""
    doc = inspect.getdoc(value) or ""
    if not doc.strip():
        return ["any docstring"]
    # Fields of a dataclass are described as what they become.
    heads = ("Args", "Attributes")
    arguments = "".join(section(doc, head) for head in heads)
    lacks = [
        f"`{name}` under Args"
        for name in public_names.parameters(value)
        if not re.search(rf"^    [*\w, /]*\b{name}\b.*:", arguments, re.M)
    ]
    if inspect.isfunction(value):
        for node in statements(value):
            if isinstance(node, ast.Return) and node.value is not None:
                if not section(doc, "Returns"):
                    lacks.append("Returns")
            elif isinstance(node, (ast.Yield, ast.YieldFrom)):
                if not section(doc, "(Yields|Returns)"):
                    lacks.append("Yields")
            elif raises(node) and not section(doc, "Raises"):
                lacks.append("Raises")
    return sorted(set(lacks))


def example(first, *, second=1):
    """Doubles.

    Args:
        first: int.
    """
    if second:
        raise ValueError
    return first


def generator():
    """Yields."""
    yield 1


def test_gaps_are_seen():
    lacks = ["Raises", "Returns", "`second` under Args"]
    assert missing(example) == lacks
    assert missing(generator) == ["Yields"]
    assert missing(lambda: None) == ["any docstring"]


def test_public_names_are_found():
    for name in (
        "keras_hash.load",
        "keras_hash.evaluate",
        "keras_hash.Index",
        "keras_hash.Index.search",
        "keras_hash.data.Benchmark.arrays",
        "keras_hash.codes.pack",
        "keras_hash.losses.ISDH",
        "keras_hash.models.HashModel.encode",
        "keras_hash.zoo.encode_files",
        "keras_hash.export.retrieval_model",
    ):
        assert name in NAMES, name


@pytest.mark.parametrize("name", NAMES)
def test_docstrings_are_complete(name):
    assert not missing(NAMES[name])
