"""Imports run one way, from the commands down to codes and labels."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "keras_hash"

# From the ground up; rooms of one floor may use each other, without a circle.
FLOORS = [
    {
        "_version",
        "devices",
        "files",
        "forks",
        "loops",
        "progress",
        "codes",
        "selection",
        "similarity",
    },
    {"backbones", "codebooks", "efficientnet_lite", "heads"},
    {"data"},
    {"methods", "figures"},
    {"search", "evaluation"},
    {"callbacks", "export"},
    {"zoo"},
    {"html_report"},
    {"__init__", "models", "losses"},
    {"extras"},
    {"cli"},
]
# Each stands inside a function, so that nothing is imported before its use.
ALLOWED_UP = {
    ("methods.base", "export"): "`Model.export`, Keras' own verb, writes codes",
    ("methods.base", "export.runtimes"): "`encode` by another runtime",
    ("methods.base", "zoo"): "`backbone='photos_256'`, the trunk of an entry",
}


def modules(package=PACKAGE):
    """Module name, without that of the package, to its syntax tree."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts[-1] == "__init__" and len(parts) > 1:
            parts = parts[:-1]
        found[".".join(parts)] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(name, tree, known, is_package):
    """Pairs of an imported module and whether it is imported in a function."""
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        targets = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                parts = ["keras_hash", *name.split(".")]
                if name == "__init__":
                    parts = ["keras_hash", "__init__"]
                parts = parts[: len(parts) - node.level + is_package]
                origin = ".".join([*parts, origin]).rstrip(".")
            targets = [f"{origin}.{alias.name}" for alias in node.names]
        for target in targets:
            if target.split(".")[0] != "keras_hash":
                continue
            target = target.partition(".")[2] or "__init__"
            while target not in known and "." in target:
                target = target.rpartition(".")[0]
            yield target if target in known else "__init__", id(node) in inside


def arrows(package=PACKAGE):
    """All imports in a package: (from, to) to whether all are in functions."""
    known = modules(package)
    found = {}
    for name, tree in known.items():
        place = package.joinpath(*name.split("."), "__init__.py")
        for target, late in imported(name, tree, known, place.exists()):
            if target != name:
                key = (name, target)
                found[key] = found.get(key, True) and late
    return found


def floor(module):
    (number,) = [
        number
        for number, rooms in enumerate(FLOORS)
        if module.split(".")[0] in rooms
    ]
    return number


def test_every_import_runs_down():
    up = {
        (a, b): late for (a, b), late in arrows().items() if floor(a) < floor(b)
    }
    unknown = sorted(set(up) - set(ALLOWED_UP))
    assert not unknown, f"imports that run up: {unknown}"
    assert all(up.values()), f"imports up stand in functions: {up}"


def test_nothing_imports_in_a_circle():
    following = {}
    for a, b in arrows():
        if (a, b) not in ALLOWED_UP:
            following.setdefault(a, set()).add(b)

    def reached(start):
        seen, waiting = set(), [start]
        while waiting:
            for module in following.get(waiting.pop(), set()) - seen:
                seen.add(module)
                waiting.append(module)
        return seen

    circles = sorted(name for name in following if name in reached(name))
    assert not circles, f"in a circle: {circles}"


def test_extras_are_for_the_commands_alone():
    users = {
        a
        for a, b in arrows()
        if b.split(".")[0] == "extras" and a.split(".")[0] != "extras"
    }
    assert {user.split(".")[0] for user in users} <= {"cli"}


@pytest.mark.parametrize(
    "line, target",
    [
        ("from . import data", "data"),
        ("from .data import feed", "data.feed"),
        ("from .. import codes", "codes"),
        ("from ..data.feed import batches", "data.feed"),
        ("import keras_hash.data.feed", "data.feed"),
        ("from keras_hash import load", "__init__"),
    ],
)
def test_relative_imports_are_seen(tmp_path, line, target):
    for place in ("data", "cli"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "__init__.py").touch()
    for name in ("__init__", "codes", "data/feed"):
        (tmp_path / f"{name}.py").touch()
    user = "cli/app" if ".. import" in line or "..data" in line else "user"
    (tmp_path / f"{user}.py").write_text(f"def late():\n    {line}\n")
    assert arrows(tmp_path) == {(user.replace("/", "."), target): True}
