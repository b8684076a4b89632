"""The snippets of README and docs run, and its promises about names hold."""

import ast
import importlib
import importlib.util
import inspect
import pathlib
import pkgutil
import re
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash import cli

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPETS = [
    snippet
    for page in PAGES
    for snippet in re.findall(
        r"```python\n(.*?)```", page.read_text(), re.DOTALL
    )
]


# Packages of extras that are too heavy for every test run: `make test-extras`.
EXTRAS = {
    "MilvusIndex": "milvus_lite",
    "LanceIndex": "lancedb",
    "corpus.encode": "apache_beam",
    "RunInference": "apache_beam",
    "runtimes.load": "ai_edge_litert",
}
# Modules that cannot be imported without one of them.
MODULES = {"keras_hash.corpus.pipeline": "apache_beam"}


def move_to_photos(folder, monkeypatch, rng):
    """Goes where the snippets take place: by a zoo and a folder of photos."""
    monkeypatch.chdir(folder)
    (folder / "zoo").symlink_to(ROOT / "zoo")
    for kind in ("cats", "dogs"):
        (folder / "photos" / kind).mkdir(parents=True)
        for i in range(6):
            image = rng.randint(0, 256, (40, 50, 3)).astype("uint8")
            Image.fromarray(image).save(folder / f"photos/{kind}/{i}.png")
    for name in ("photo.jpg", "query.jpg"):
        shutil.copy(folder / "photos/cats/0.png", folder / name)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippet(number, tmp_path, monkeypatch, rng):
    for name, package in EXTRAS.items():
        absent = importlib.util.find_spec(package) is None
        if name in SNIPPETS[number] and absent:
            pytest.skip(f"{package} is not installed, which {name} needs")
    move_to_photos(tmp_path, monkeypatch, rng)
    scope = {}
    exec(compile(SNIPPETS[number], f"README snippet {number}", "exec"), scope)
    assert scope


def test_there_are_snippets():
    assert len(SNIPPETS) >= 3


def commands(section):
    """The lines of the command line in a section of README."""
    text = (ROOT / "README.md").read_text().partition(f"\n## {section}\n")[2]
    block = re.search(r"```sh\n(.*?)```", text.partition("\n## ")[0], re.DOTALL)
    lines = block[1].replace("\\\n", " ").splitlines()
    parsed = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in parsed if words[:1] == ["keras-hash"]]


def test_the_commands_of_the_five_minute_path(
    tmp_path, monkeypatch, rng, capsys
):
    move_to_photos(tmp_path, monkeypatch, rng)
    chosen = commands("Five minutes: from photos to a search on a server")
    assert [words[0] for words in chosen] == ["search", "search", "export"]
    for words in chosen:
        assert cli.main(words) == 0, words
    out = capsys.readouterr().out
    # The photo is one of the folder, so it finds itself.
    assert re.search(r"^ +0  photos/cats/0.png$", out, re.MULTILINE)
    assert len(keras_hash.Index.load("photos.index")) == 12
    assert (tmp_path / "found.png").stat().st_size > 10_000
    assert "search: image_bytes string [n] ->" in out
    assert (tmp_path / "serving/photos/1/saved_model.pb").exists()


def test_the_commands_of_the_list(tmp_path, monkeypatch, rng):
    """`runs/mine` is what `train` would have written."""
    move_to_photos(tmp_path, monkeypatch, rng)
    shutil.copytree(ROOT / "zoo" / "dshc_digits_30", tmp_path / "runs/mine")
    # The page runs until it is stopped: see its own tests.
    chosen = [c for c in commands("Command line") if c[0] != "app"]
    assert len(chosen) == 7
    for words in chosen:
        assert cli.main(words) == 0, words
    for name in ("codes.npz", "photos.index", "found.png", "out.html"):
        assert (tmp_path / name).exists(), name


def modules():
    for info in pkgutil.walk_packages(keras_hash.__path__, "keras_hash."):
        needed = MODULES.get(info.name)
        if needed and importlib.util.find_spec(needed) is None:
            continue
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
            if not isinstance(value, type):
                parameters = inspect.signature(value).parameters
                named = [p for p in parameters if p not in ("kwargs", "name")]
                if not all(re.search(rf"\b{p}\b", doc) for p in named):
                    bare.append(f"{module.__name__}.{name}: {named}")
            else:
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
