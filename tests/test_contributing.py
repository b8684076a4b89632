"""The worked examples of CONTRIBUTING.md, and the generated pages."""

import dataclasses
import inspect
import pathlib
import re

import keras
import method_pages
import metric_table
import numpy as np
import protocol_page
import pytest
import tensorflow_datasets as tfds

import keras_hash
from keras_hash import cli
from keras_hash import codes
from keras_hash import data
from keras_hash import html_report
from keras_hash import methods
from keras_hash.callbacks import summaries
from keras_hash.cli import inputs
from keras_hash.data import protocols
from keras_hash.data import tfds_sets
from keras_hash.evaluation import closed_forms
from keras_hash.evaluation import metrics
from tests.data.test_builders import make_set
from tests.evaluation import reference
from tests.methods import loops

ROOT = pathlib.Path(__file__).resolve().parent.parent


def blocks(heading):
    """The Python under a heading of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


METHOD, LOOPS = blocks("A new method")
SET, SET_ROW = blocks("A data set")
FORM, ROW, LOOP = blocks("A new metric")


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


@pytest.fixture
def row(monkeypatch):
    """The row of the example among the others."""
    monkeypatch.setattr(closed_forms, "r_precision", None, raising=False)
    exec(FORM, vars(closed_forms))
    added = eval(ROW, dict(vars(metrics)))
    monkeypatch.setitem(metrics.ROWS, added.name, added)
    return added


def test_the_example_is_a_metric(row, monkeypatch, rng):
    scope = dict(vars(reference))
    exec(LOOP, scope)
    loop = scope["r_precision"]
    pool = codes.pack(rng.randn(3, 9))
    query, items = pool[rng.randint(3, size=4)], pool[rng.randint(3, size=6)]
    labels, classes = rng.randint(3, size=4), rng.randint(3, size=6)
    sides = query, labels, items, classes
    expected = []
    for code, label in zip(query, labels):
        distances = codes.hamming(code[None], items)[0]
        relevant = (classes == label).astype(int)
        orders = reference.tie_orders(distances)
        expected.append(np.mean([loop(relevant[order]) for order in orders]))
    report = keras_hash.evaluate(*sides, bits=9, metrics="r_precision")
    assert report.metrics == {"r_precision": pytest.approx(np.mean(expected))}
    report = keras_hash.evaluate(*sides, bits=9)
    assert {"map", "r_precision"} <= set(report.metrics)
    assert 0 < report.chance["r_precision"] < 1
    assert "r_precision" in str(report)
    assert metrics.describe("r_precision").title == "R-precision"
    assert "| `r_precision` | R-precision | share of" in metric_table.table()
    written = []
    monkeypatch.setattr(summaries, "_raw", written.append)
    summaries.layout(report.metrics)
    assert "^retrieval/r_precision$" in str(written[0])
    benchmark = keras_hash.data.from_arrays(
        rng.randint(0, 256, (10, 4, 4, 3), "uint8"),
        np.concatenate([labels, classes]),
    )
    parts = {"query": np.arange(4), "database": np.arange(4, 10)}
    parts |= {"train": parts["database"], "validation": parts["query"][:0]}
    benchmark = dataclasses.replace(benchmark, parts=parts)
    packed = {"query": query, "database": items}
    page = html_report.page(benchmark, report, packed)
    assert "R-precision" in page and "R being all there are" in page


def test_the_table_of_metrics_is_current():
    text = metric_table.PAGE.read_text()
    assert metric_table.page(text) == text, "run `make pages`"


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    """The data sets with the example's file beside the others."""
    (tmp_path / "shapes.py").write_text(SET)
    monkeypatch.setattr(data, "__path__", [*data.__path__, str(tmp_path)])
    protocols.sets.cache_clear()
    yield
    protocols.sets.cache_clear()


def test_the_example_is_a_data_set(shapes, capsys):
    assert len(SET.splitlines()) < 60
    assert "shapes" in data.names() and "digits" in data.names()
    benchmark = data.load("shapes", validation=0.1)
    assert benchmark.images.shape == (300, 32, 32, 3)
    assert benchmark.images.dtype == np.uint8
    _, labels = benchmark.arrays("validation")
    np.testing.assert_array_equal(np.bincount(labels), [9, 9, 9])
    plan = protocols.find("shapes", "official")
    assert plan.differences(data.load("shapes").parts) == []
    assert inputs.benchmark("shapes", {}).checksum == benchmark.checksum
    assert cli.main(["info", "shapes:official"]) == 0
    assert "3 shapes" in capsys.readouterr().out
    assert "\n## shapes\n" in protocol_page.page()


def test_the_row_is_a_data_set(tmp_path, monkeypatch, rng):
    added = {**vars(tfds_sets), "SOURCES": dict(tfds_sets.SOURCES)}
    exec(SET_ROW, added)
    for name in ("SOURCES", "PROTOCOLS"):
        monkeypatch.setattr(tfds_sets, name, added[name])
    protocols.sets.cache_clear()
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
        benchmark = data.load("pets")
    protocols.sets.cache_clear()
    assert benchmark.labels == ["Abyssinian", "Bengal"]
    images, labels = benchmark.arrays("query")
    assert images.shape == (4, 40, 30, 3) and sorted(labels) == [0, 0, 1, 1]


def test_the_pages_of_methods_are_current():
    pages = method_pages.pages()
    folder = ROOT / "docs" / "methods"
    assert {p.name for p in folder.glob("*.md")} == set(pages)
    for name, text in pages.items():
        assert (folder / name).read_text() == text, f"run `make pages`: {name}"


def test_a_page_needs_all_parts():
    with pytest.raises(ValueError, match="Formula.*Cost"):
        method_pages.parse("X: y.\n\nIdea.\n\nWhen to use: z.")


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
    expected = model.encode(images)
    np.testing.assert_array_equal(codes, expected)
    model.set_runtime("graphdef")
    np.testing.assert_array_equal(model.encode(images), expected)
