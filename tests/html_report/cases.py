"""Benchmarks with codes, and the pages of their measurements."""

import html.parser

import numpy as np

import keras_hash
from keras_hash import html_report
from keras_hash.data.benchmark import Benchmark

BITS = 12
HOSTILE = [
    "<script>alert(1)</script>",
    "\"quotes' & <b>",
    "$\\frac{$",
    "caf\udce9.jpg",
    "\u202eturned\x00",
    "長い名前 " * 30,
]


class Tree(html.parser.HTMLParser):
    """Elements with what is inside; a page that is not nested fails."""

    VOID = {"br", "img", "meta", "source"}

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "text": "", "inside": [], **dict(attrs)}
        self.elements.append(element)
        for outer in self._open:
            outer["inside"].append(element)
        if tag not in self.VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def all(self, tag=None, within=None, **attributes):
        elements = self.elements if within is None else within["inside"]
        wanted = {k.rstrip("_"): v for k, v in attributes.items()}
        return [
            element
            for element in elements
            if tag in (None, element["tag"])
            and all(element.get(k) == v for k, v in wanted.items())
        ]


def check(text):
    """The tree of a page that is whole and can do nothing."""
    tree = Tree(text)
    assert text.startswith("<!DOCTYPE html>")
    assert len(text.encode()) < 3 << 20
    assert "<script" not in text.lower()
    for element in tree.elements:
        assert element["tag"] not in {"script", "iframe", "link", "object"}
        for name, value in element.items():
            assert not name.startswith("on"), name
            if name in ("src", "srcset", "href"):
                assert value.startswith("data:image/"), value[:40]
        if element["tag"] == "img":
            assert element["alt"]
    assert "url(" not in text and "@import" not in text
    policy = tree.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy[0]["content"].startswith("default-src 'none'")
    ids = [element["id"] for element in tree.elements if "id" in element]
    assert ids[:4] == ["metrics", "curves", "map", "best"]
    assert ids[4:7] == ["worst", "confusion", "codes"]
    return tree


def case(
    rng, kind="single", queries=20, database=60, classes=4, noise=0.8, **more
):
    """A benchmark with codes that know something of the labels."""
    count = queries + database
    if kind == "single":
        targets = rng.randint(classes, size=count)
        known = np.eye(classes)[targets]
    else:
        targets = (rng.rand(count, classes) < 0.4).astype("uint8")
        known = targets
    real = (known - known.mean(axis=0)) @ rng.randn(classes, BITS)
    packed = keras_hash.codes.pack(real + noise * rng.randn(count, BITS))
    parts = {
        "train": np.arange(queries, count),
        "validation": np.zeros(0, int),
        "query": rng.permutation(queries),
        "database": queries + rng.permutation(database),
    }
    fields = {
        "name": "case",
        "protocol": "official",
        "images": rng.randint(256, size=(count, 8, 10, 3)).astype("uint8"),
        "targets": targets,
        "ids": np.array([f"id{i:03d}" for i in range(count)]),
        "parts": parts,
        "labels": [f"label {i}" for i in range(classes)],
        "licence": "none",
    }
    benchmark = Benchmark(**{**fields, **more})
    codes = {part: packed[parts[part]] for part in ("query", "database")}
    return benchmark, codes


def sides(benchmark, codes):
    """What `evaluate` takes."""
    found = []
    for part in ("query", "database"):
        found += [codes[part], benchmark.targets[benchmark.parts[part]]]
    return found


def make(benchmark, codes, similarity="hamming", **options):
    report = keras_hash.evaluate(
        *sides(benchmark, codes), bits=BITS, similarity=similarity, **options
    )
    return report, html_report.page(benchmark, report, codes)


CASES = {
    "single": {},
    "multi": {"kind": "multi"},
    "and": {"kind": "multi"},
    "one class": {"classes": 1},
    "few": {"database": 7},
    "one of each": {"queries": 1, "database": 1, "classes": 1},
    "many classes": {"classes": 30},
    "many labels": {"kind": "multi", "classes": 40},
    "equal codes": {"noise": 0, "classes": 1, "database": 50},
}
