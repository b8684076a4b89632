"""The worked examples of CONTRIBUTING.md, and the generated pages."""

import pathlib
import re

import keras
import method_pages
import numpy as np
import protocol_page
import pytest
import tensorflow_datasets as tfds

import keras_hash
from keras_hash import data
from keras_hash import methods
from keras_hash.data import protocols
from keras_hash.data import tfds_sets
from tests.data.test_builders import make_set
from tests.methods import loops

ROOT = pathlib.Path(__file__).resolve().parent.parent


def blocks(heading):
    """The Python under a heading of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


METHOD, LOOPS = blocks("A new method")


@pytest.fixture
def added(tmp_path, monkeypatch):
    """The registry with the example's file beside the others."""
    (tmp_path / "pairhinge.py").write_text(METHOD)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    methods.registry.cache_clear()
    yield methods.registry()
    methods.registry.cache_clear()


def test_the_example_is_a_method(added, tmp_path):
    assert len(METHOD.splitlines()) < 60
    model_class, loss_class = added["pairhinge"]
    scope = {**vars(loops)}
    exec(LOOPS, scope)
    random = np.random.RandomState(0)
    codes, labels = random.randn(7, 5), random.randint(0, 3, 7)
    several = random.randint(0, 2, (7, 3))
    for targets in (labels, several):
        found = float(loss_class(5)(targets, codes))
        assert found == pytest.approx(scope["pairhinge"](targets, codes), 1e-5)
    # Some starts have no loss at all: the features tell classes apart.
    keras.utils.set_random_seed(0)
    features = np.eye(3)[labels].astype("float32")
    model = model_class(5, 3, backbone="features", input_shape=(3,))
    model.compile(keras.optimizers.Adam(0.05))
    history = model.fit(features, labels, epochs=30, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        again.encode(features), model.encode(features)
    )
    assert "pairhinge.md" in method_pages.pages()


def test_the_pages_of_methods_are_current():
    pages = method_pages.pages()
    folder = ROOT / "docs" / "methods"
    assert {p.name for p in folder.glob("*.md")} == set(pages)
    for name, text in pages.items():
        assert (folder / name).read_text() == text, f"run `make pages`: {name}"


def test_a_page_needs_all_parts():
    with pytest.raises(ValueError, match="Formula.*Cost"):
        method_pages.parse("X: y.\n\nIdea.\n\nWhen to use: z.")


def test_the_example_is_a_data_set(tmp_path, monkeypatch, rng):
    source, protocol = blocks("A data set")
    added = eval(f"{{{source}}}", vars(tfds_sets))
    monkeypatch.setitem(tfds_sets.SOURCES, "pets", added["pets"])
    rows = (*protocols.PROTOCOLS, *eval(f"({protocol})", vars(protocols)))
    monkeypatch.setattr(protocols, "PROTOCOLS", rows)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    features = {
        "image": tfds.features.Image(),
        "label": tfds.features.ClassLabel(names=["Abyssinian", "Bengal"]),
        "file_name": tfds.features.Text(),
    }
    examples = {
        split: [
            {
                "image": rng.randint(0, 256, (40, 30, 3)).astype("uint8"),
                "label": number % 2,
                "file_name": f"{split}_{number}.jpg",
            }
            for number in range(count)
        ]
        for split, count in (("train", 6), ("test", 4))
    }
    make_set(tmp_path, "oxford_iiit_pet", None, features, examples)
    with pytest.warns(UserWarning, match="4 images instead of 3669"):
        benchmark = tfds_sets.load("pets")
    assert benchmark.labels == ["Abyssinian", "Bengal"]
    images, labels = benchmark.arrays("query")
    assert images.shape == (4, 224, 224, 3) and sorted(labels) == [0, 0, 1, 1]
    assert "## pets\n" in protocol_page.page()


def test_every_source_can_be_loaded_by_its_name():
    with pytest.raises(ValueError, match="`name` should be one of") as error:
        data.load("moon")
    assert all(repr(name) in str(error.value) for name in tfds_sets.SOURCES)


def test_the_example_is_a_runtime(tmp_path, monkeypatch):
    runtimes = pytest.importorskip("keras_hash.export.runtimes")
    (example,) = blocks("A runtime")
    (tmp_path / "graphdef.py").write_text(example)
    path = [*runtimes.__path__, str(tmp_path)]
    monkeypatch.setattr(runtimes, "__path__", path)
    model = keras_hash.load("dshc_digits_30")
    images, _ = data.load("digits").arrays("query")
    runtimes.convert(model, tmp_path / "mine.pb", "graphdef")
    codes = runtimes.load(tmp_path / "mine.pb", model).encode(images)
    np.testing.assert_array_equal(codes, model.encode(images))
