"""The snippets of README and docs run, and its promises about names hold."""

import ast
import importlib.util
import pathlib
import re
import shlex
import shutil

import method_pages
import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash import cli

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SNIPPETS = [
    snippet
    for page in PAGES
    for snippet in re.findall(
        r"```python\n(.*?)```", page.read_text(), re.DOTALL
    )
]


# Packages of extras that are too heavy for every test run: `make test-extras`.
EXTRAS = {
    "pymilvus": "milvus_lite",
    "lancedb": "lancedb",
    "import qdrant_client": "qdrant_client",
    "import pgvector": "pgvector",
    "keras_hub": "keras_hub",
    "corpus.encode": "apache_beam",
    "RunInference": "apache_beam",
    "runtimes.load": "ai_edge_litert",
}


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
    """The commands in a section of the page about the command line."""
    text = (ROOT / "docs" / "command_line.md").read_text()
    text = text.partition(f"\n## {section}\n")[2]
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


def test_the_commands_of_the_page(tmp_path, monkeypatch, rng):
    """`runs/mine` is what `train` would have written."""
    move_to_photos(tmp_path, monkeypatch, rng)
    shutil.copytree(ROOT / "zoo" / "dshc_digits_30", tmp_path / "runs/mine")
    # The page runs until it is stopped: see its own tests.
    chosen = [c for c in commands("The commands") if c[0] != "app"]
    assert len(chosen) == 8
    for words in chosen:
        assert cli.main(words) == 0, words
    for name in (
        "codes.npz",
        "photos.index",
        "found.png",
        "out.html",
        "copies.html",
    ):
        assert (tmp_path / name).exists(), name


def test_readme_is_short_and_its_table_follows_the_methods():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    assert method_pages.readme() == text, "run `make pages`"
    names = set(keras_hash.models.__all__) - {"HashModel"}
    assert all(f"[`{name}`](docs/methods/" in text for name in names)
    entries = list((ROOT / "zoo").glob("*/card.json"))
    assert f"{len(names)} methods" in text
    assert f"{len(entries)} encoders" in text
    assert (ROOT / "docs" / "readme.webp").stat().st_size < 300 * 1024


def test_every_module_says_what_it_is():
    for path in (ROOT / "keras_hash").rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_all_packages_are_installed():
    """`setup.cfg` lists the packages by hand, beside the zoo."""
    listed = (ROOT / "setup.cfg").read_text()
    for init in (ROOT / "keras_hash").rglob("__init__.py"):
        package = ".".join(init.parent.relative_to(ROOT).parts)
        assert re.search(rf"^    {package}$", listed, re.MULTILINE), package


LATE = {"decoding.py", "graph.py", "photos.py", "slimming.py", "warm_up.py"}


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
        # Inside functions alone: what builds a graph or a prepared data set.
        late = path.name in LATE or path.name.endswith("_dataset_builder.py")
        if late:
            continue
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
