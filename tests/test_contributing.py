"""The worked example of CONTRIBUTING.md, and the generated pages."""

import inspect
import pathlib
import re

import keras
import method_pages
import numpy as np
import pytest

from keras_hash import methods
from tests.methods import loops

ROOT = pathlib.Path(__file__).resolve().parent.parent
METHOD, LOOPS = re.findall(
    r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL
)


@pytest.fixture
def added(tmp_path, monkeypatch):
    """The registry with the example's file beside the others."""
    (tmp_path / "pairhinge.py").write_text(METHOD)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    methods.registry.cache_clear()
    yield methods.registry()
    methods.registry.cache_clear()


def test_the_example_is_a_method(added, tmp_path):
    assert len(METHOD.splitlines()) < 52
    model_class, loss_class = added["pairhinge"]
    for thing in (model_class, loss_class):
        assert inspect.signature(thing).parameters["margin"].default == 0.0
        assert "that dissimilar images may have" in inspect.getdoc(thing)
    scope = {**vars(loops)}
    exec(LOOPS, scope)
    random = np.random.RandomState(0)
    codes, labels = random.randn(7, 5), random.randint(0, 3, 7)
    several = random.randint(0, 2, (7, 3))
    for targets in (labels, several):
        found = float(loss_class(5, margin=0.2)(targets, codes))
        expected = scope["pairhinge"](targets, codes, margin=0.2)
        assert found == pytest.approx(expected, 1e-5)
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
