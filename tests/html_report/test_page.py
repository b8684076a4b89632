"""The page of a measurement: whole, right, and harmless."""

import dataclasses

import numpy as np
import pytest

import keras_hash
from keras_hash import html_report
from keras_hash.data.benchmark import Benchmark
from keras_hash.html_report import classes
from keras_hash.html_report.measured import Measured
from keras_hash.zoo.card import machine
from tests.html_report.cases import BITS
from tests.html_report.cases import CASES
from tests.html_report.cases import HOSTILE
from tests.html_report.cases import case
from tests.html_report.cases import check
from tests.html_report.cases import make
from tests.html_report.cases import sides


@pytest.mark.parametrize("name", CASES)
def test_every_figure_is_the_reports(name, rng):
    benchmark, codes = case(rng, **CASES[name])
    similarity = "and" if name == "and" else "hamming"
    report, text = make(benchmark, codes, similarity, k=(5, 20))
    tree = check(text)
    shown = {}
    for element in tree.all("data"):
        if element["title"] != "AP":
            value = float(element["value"])
            assert shown.setdefault(element["title"], value) == value
            rounded = float(element["text"].replace(",", ""))
            assert rounded == pytest.approx(value, abs=5.1e-5)
    wanted = report.shown()
    cut = max(report.settings["k"]) > len(benchmark.parts["database"])
    assert ("stands for the whole ranking" in text) == cut
    for key in report.chance.keys() & wanted.keys():
        wanted[f"{key} by chance"] = report.chance[key]
    assert shown == wanted
    table = tree.all("table")[0]["text"]
    for low, high in (
        report.bounds[k] for k in report.bounds.keys() & wanted.keys()
    ):
        assert f"{low:.4f} .. {high:.4f}" in table
    curves = tree.all(id_="curves")[0]
    assert len(tree.all("img", within=curves)) == (
        0 if similarity == "and" else 3
    )
    assert text == html_report.page(benchmark, report, codes)


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_confusion_is_the_expectation_over_ties(kind, rng):
    benchmark, codes = case(rng, kind, queries=50, database=300)
    report, text = make(benchmark, codes)
    measured = Measured(benchmark, report, codes, "query", "database")
    # Queries are taken in turns.
    np.testing.assert_array_equal(
        classes.expected_labels(measured, 100),
        classes.expected_labels(measured, 100, pairs=1000),
    )
    tree = check(text)
    query_codes, query_labels, *searched = sides(benchmark, codes)
    shown = {}
    section = tree.all(id_="confusion")[0]
    for row in tree.all("tr", within=section)[1:]:
        cells = tree.all("td", within=row)
        if cells:
            (name,) = tree.all("th", within=row)
            shown[name["text"]] = [c.get("title", c["text"]) for c in cells]
    assert sorted(shown) == benchmark.labels
    for row, name in enumerate(benchmark.labels):
        for column in range(4) if kind == "single" else [row]:
            # Precision of queries that ask for the column's label alone.
            if kind == "single":
                asked = query_labels == row
                labels = np.full(asked.sum(), column)
            else:
                asked = query_labels[:, row] > 0
                labels = np.eye(4, dtype=int)[[row] * asked.sum()]
            one = keras_hash.evaluate(
                query_codes[asked], labels, *searched, bits=BITS, k=100
            )
            cell = shown[name][column if kind == "single" else 0]
            value = one.metrics["precision@100"]
            assert float(cell) == pytest.approx(value, abs=5.1e-5)


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_what_real_codes_add_is_counted(kind, rng):
    benchmark, codes = case(rng, kind, queries=9, database=70)
    real = rng.rand(9, BITS) + 0.1
    real *= keras_hash.codes.unpack(codes["query"], BITS)
    report = keras_hash.evaluate(*sides(benchmark, codes), BITS, k=(5, 1000))
    page = html_report.page(benchmark, report, codes, real_codes=real)
    _, asked, items, labels = sides(benchmark, codes)
    signs, hits = keras_hash.codes.unpack(items, BITS), []
    for query, label in zip(real, asked):
        far = [np.abs(query)[(query > 0) != (item > 0)].sum() for item in signs]
        for place in np.argsort(far, kind="stable")[:5]:
            same = label == labels[place]
            both = label * labels[place] if kind == "multi" else same
            hits.append(np.any(both))
    assert f"the first 5 <strong>{np.mean(hits):.4f}</strong>" in page
    assert check(page) and "first 1,000 <strong>" not in page
    plain = html_report.page(benchmark, report, codes)
    assert "by the real codes" not in plain


def test_real_codes_leave_out_the_same_queries(rng):
    """Those without a relevant image, where the report does."""
    benchmark, codes = case(rng, "single", queries=9, database=70)
    targets = benchmark.targets.copy()
    lonely = targets.max()
    targets[benchmark.parts["database"]] %= lonely
    targets[benchmark.parts["query"][:4]] = lonely
    benchmark = dataclasses.replace(benchmark, targets=targets)
    real = keras_hash.codes.unpack(codes["query"], BITS) * 0.5
    options = {"k": (5, 1000), "no_relevant": "skip"}
    report = keras_hash.evaluate(*sides(benchmark, codes), BITS, **options)
    page = html_report.page(benchmark, report, codes, real_codes=real)
    _, asked, items, labels = sides(benchmark, codes)
    far = keras_hash.codes.hamming(codes["query"], items)
    hits = [
        labels[np.argsort(row, kind="stable")[:5]] == label
        for row, label in zip(far, asked)
        if label != lonely
    ]
    assert f"the first 5 <strong>{np.mean(hits):.4f}</strong>" in page


def test_hostile_names_are_text(rng):
    benchmark, codes = case(rng, classes=6, labels=HOSTILE, name=HOSTILE[0])
    names = np.array([HOSTILE[i % 6] + str(i) for i in range(80)], object)
    benchmark = Benchmark(**{**vars(benchmark), "ids": names})
    report, _ = make(benchmark, codes)
    card = {"name": "<img src=x onerror=alert(1)>", "method": HOSTILE[1]}
    text = html_report.page(benchmark, report, codes, card=card)
    tree = check(text)
    # It can be written; what could break or turn the text is spelled out.
    text.encode()
    assert not {"\udce9", "\u202e", "\x00", "\r"} & set(text)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert tree.all("h1")[0]["text"] == card["name"]
    assert tree.all("title")[0]["text"] == card["name"]
    matrix = tree.all("table", class_="matrix")[0]["text"]
    for name in HOSTILE[:3]:
        assert name in matrix
    assert "caf\\udce9.jpg" in matrix and "\\u202eturned\\u0000" in matrix
    assert all(len(e.get("title", "")) < 250 for e in tree.elements)


def test_conventions_and_times_are_said(rng):
    benchmark, codes = case(rng)
    report, text = make(benchmark, codes, convention="hashnet", k=(5,))
    check(text)
    assert "Convention of hashnet" in text
    assert "by the relevant images among the first k" in text
    assert 'title="map@5_topk"' in text and "Time" not in text
    seconds = {"query": 0.5, "database": 4.0, "evaluate": 0.25}
    text = html_report.page(
        benchmark, report, codes, title="mine", seconds=seconds
    )
    tree = check(text)
    rows = tree.all("tr", within=tree.all(id_="time")[0])
    cells = [[c["text"] for c in row["inside"]] for row in rows[1:]]
    assert cells == [
        ["encode: query", "20", "0.50", "40"],
        ["encode: database", "60", "4.00", "15"],
        ["evaluate", "", "0.25", ""],
    ]
    assert machine() in tree.all(id_="time")[0]["text"]
    _, text = make(benchmark, codes, ties="worst", empty="micro")
    assert "relevant ones last" in text and "balls are pooled" in text


def test_codes_of_something_else_are_refused(rng):
    benchmark, codes = case(rng)
    report, _ = make(benchmark, codes)
    fewer = {**codes, "query": codes["query"][:5]}
    with pytest.raises(ValueError, match="Received: 5 codes, 20 images"):
        html_report.page(benchmark, report, fewer)
    wide = {**codes, "database": np.zeros((60, 9), "uint8")}
    with pytest.raises(ValueError, match=r"codes\['database'\]"):
        html_report.page(benchmark, report, wide)
    with pytest.raises(ValueError, match="Received: codes of .'database'"):
        html_report.page(benchmark, report, {"database": codes["database"]})
    few = dataclasses.replace(report, metrics={"ndcg@5": 1.0})
    with pytest.raises(ValueError, match="Received: a report without chance"):
        html_report.page(benchmark, few, codes)
    targets = np.where(np.arange(len(benchmark.targets)), benchmark.targets, -1)
    unlabelled = dataclasses.replace(benchmark, targets=targets)
    assert "images of each" in unlabelled.summary()
    with pytest.raises(ValueError, match="needs the labels of all images"):
        html_report.page(unlabelled, report, codes)
