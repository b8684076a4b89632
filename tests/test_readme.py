"""The snippets of README and docs run, and its promises about names hold."""

import ast
import importlib
import importlib.util
import inspect
import pathlib
import pkgutil
import re

import numpy as np
import pytest
from PIL import Image

import keras_hash

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPETS = [
    snippet
    for page in PAGES
    for snippet in re.findall(
        r"```python\n(.*?)```", page.read_text(), re.DOTALL
    )
]


# Packages of extras that are too heavy for every test run: `make test-engines`
# and `make test-runtimes`.
EXTRAS = {
    "MilvusIndex": "milvus_lite",
    "LanceIndex": "lancedb",
    "runtimes.load": "ai_edge_litert",
}


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippet(number, tmp_path, monkeypatch, rng):
    for name, package in EXTRAS.items():
        absent = importlib.util.find_spec(package) is None
        if name in SNIPPETS[number] and absent:
            pytest.skip(f"{package} is not installed, which {name} needs")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo").symlink_to(ROOT / "zoo")
    for kind in ("cats", "dogs"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(6):
            image = rng.randint(0, 256, (40, 50, 3)).astype("uint8")
            Image.fromarray(image).save(tmp_path / f"photos/{kind}/{i}.png")
    scope = {}
    exec(compile(SNIPPETS[number], f"README snippet {number}", "exec"), scope)
    assert scope


def test_there_are_snippets():
    assert len(SNIPPETS) >= 3


def modules():
    for info in pkgutil.walk_packages(keras_hash.__path__, "keras_hash."):
        yield importlib.import_module(info.name)


def test_every_public_name_has_a_docstring_with_its_parameters():
    bare = []
    for module in modules():
        assert module.__doc__, module.__name__
        for name, value in vars(module).items():
            if name.startswith("_") or not callable(value):
                continue
            if getattr(value, "__module__", None) != module.__name__:
                continue
            doc = inspect.getdoc(value) or ""
            if not doc:
                bare.append(f"{module.__name__}.{name}")
            parameters = inspect.signature(value).parameters
            named = [p for p in parameters if p not in ("kwargs", "name")]
            documented = isinstance(value, type) or all(
                re.search(rf"\b{p}\b", doc) for p in named
            )
            if not documented:
                bare.append(f"{module.__name__}.{name}: {named}")
            if isinstance(value, type):
                bare += [
                    f"{module.__name__}.{name}.{method}"
                    for method, function in vars(value).items()
                    if not method.startswith("_")
                    and callable(function)
                    and not any(hasattr(b, method) for b in value.__bases__)
                    and method not in ("call", "build", "get_config")
                    and not inspect.getdoc(function)
                ]
    assert not bare


def test_all_packages_are_installed():
    """`setup.cfg` lists the packages by hand, beside the zoo."""
    listed = (ROOT / "setup.cfg").read_text()
    for init in (ROOT / "keras_hash").rglob("__init__.py"):
        package = ".".join(init.parent.relative_to(ROOT).parts)
        assert re.search(rf"^    {package}$", listed, re.MULTILINE), package


def test_importing_does_not_import_tensorflow_twice():
    """Heavy packages are imported where they are first used."""
    heavy = {
        "tensorflow",
        "tensorflow_datasets",
        "sklearn",
        "faiss",
        "matplotlib",
        "rich",
    }
    for path in (ROOT / "keras_hash").rglob("*.py"):
        if path.name.endswith("_dataset_builder.py"):
            continue  # Imported by `builders.get` alone.
        for node in ast.parse(path.read_text()).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            found = {name.split(".")[0] for name in names} & heavy
            assert not found, f"{path.name} imports {found} at its top"


def test_version_is_one_number():
    assert np.all(
        [part.isdigit() for part in keras_hash.__version__.split(".")]
    )
