"""The page of a measurement: whole, right, and harmless."""

import base64
import html
import html.parser
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash import evaluation
from keras_hash import html_report
from keras_hash.data import images as images_lib
from keras_hash.data.benchmark import Benchmark
from keras_hash.html_report import classes
from keras_hash.html_report.measured import Measured
from tests.cli.command import run

NAME = "dshc_digits_30"
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


def rows_of(tree):
    """Of each gallery: query ids, AP, and (id, distance, right) of each hit."""
    for gallery in ("best", "worst"):
        rows = []
        section = tree.all(id_=gallery)[0]
        for row in tree.all(within=section, class_="row"):
            names = [e["title"] for e in tree.all(within=row, class_="picture")]
            (ap,) = tree.all("data", within=row, title="AP")
            hits = []
            for figure in tree.all("figure", within=row):
                if figure["class"] != "query":
                    sign, distance = figure["text"].split()[:2]
                    assert sign in "✓✗"
                    assert (sign == "✓") == (figure["class"] == "right")
                    hits.append((int(distance), sign == "✓"))
            assert len(hits) == len(names) - 1
            hits = [(name, *hit) for name, hit in zip(names[1:], hits)]
            rows.append((names[0], float(ap["value"]), hits))
        yield rows


@pytest.mark.parametrize("name", ["single", "multi", "and", "few"])
def test_galleries_show_the_nearest_of_the_best_and_worst(name, rng):
    benchmark, codes = case(rng, **{"queries": 40, **CASES[name]})
    similarity = "and" if name == "and" else "hamming"
    report, text = make(benchmark, codes, similarity)
    bits = {
        part: (keras_hash.codes.unpack(codes[part], BITS) > 0).tolist()
        for part in codes
    }
    pool = {
        part: benchmark.parts[part].tolist() for part in ("query", "database")
    }
    expected, aps, seen = {}, {}, set()
    for at, place in enumerate(pool["query"]):
        target = benchmark.targets[place]
        ranked = []
        for item, other in enumerate(pool["database"]):
            pairs = list(zip(bits["query"][at], bits["database"][item]))
            distance = sum(a != b for a, b in pairs)
            if similarity == "and":
                distance = BITS - sum(a and b for a, b in pairs)
            right = bool(np.sum((target > 0) & (benchmark.targets[other] > 0)))
            if target.ndim == 0:
                right = bool(target == benchmark.targets[other])
            ranked.append((distance, item, benchmark.ids[other], right))
        hits = [(i, d, r) for d, _, i, r in sorted(ranked)[:10]]
        one = keras_hash.evaluate(
            *(side[at : at + 1] for side in sides(benchmark, codes)[:2]),
            *sides(benchmark, codes)[2:],
            bits=BITS,
            similarity=similarity,
            k=5,
        )
        key = tuple(bits["query"][at]), target.tobytes()
        if key not in seen and any(r for *_, r in ranked):
            aps[benchmark.ids[place]] = one.metrics["map"]
        seen.add(key)
        expected[benchmark.ids[place]] = hits
    best, worst = rows_of(check(text))
    assert len(best) == len(worst) == 6 < len(aps)
    for query, ap, hits in best + worst:
        assert hits == expected[query]
        assert ap == pytest.approx(aps[query], abs=1e-12)
    falling = sorted(aps.values(), reverse=True)
    assert [ap for _, ap, _ in best] == pytest.approx(falling[:6])
    assert [ap for _, ap, _ in worst] == pytest.approx(falling[::-1][:6])


def test_a_query_that_leaves_itself_out(rng):
    benchmark, codes = case(rng)
    benchmark.parts["query"] = benchmark.parts["database"][:30]
    codes["query"] = codes["database"][:30]
    report, text = make(
        benchmark, codes, self_match="drop", k=(10,), no_relevant="skip"
    )
    for rows in rows_of(check(text)):
        for query, _, hits in rows:
            assert len(hits) == 10 and query not in [name for name, *_ in hits]
    measured = Measured(benchmark, report, codes, "query", "database")
    found = classes.expected_labels(measured, 10)
    np.testing.assert_allclose(found.sum(axis=1), 10)
    own = found[np.arange(30), benchmark.targets[benchmark.parts["query"]]]
    assert own.mean() / 10 == pytest.approx(report.metrics["precision@10"])


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_confusion_is_the_expectation_over_ties(kind, rng, monkeypatch):
    benchmark, codes = case(rng, kind, queries=50, database=300)
    monkeypatch.setattr(classes, "_PAIRS", 1000)
    report, text = make(benchmark, codes)
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


def decoded(source):
    kind, _, content = source.partition(";base64,")
    return kind, base64.b64decode(content)


def test_huge_pictures_are_small(rng):
    # One picture in memory stands for all of them.
    image = np.linspace(0, 255, 3000 * 4000 * 3).reshape(3000, 4000, 3)
    images = np.broadcast_to(image.astype("uint8"), (10, 3000, 4000, 3))
    benchmark, codes = case(rng, queries=4, database=6, images=images)
    _, text = make(benchmark, codes)
    tree = check(text)
    found = [e for p in tree.all(class_="picture") for e in p["inside"]]
    assert len(found) >= 7
    for element in found:
        kind, content = decoded(element["src"])
        assert kind == "data:image/jpeg"
        with Image.open(io.BytesIO(content)) as picture:
            assert picture.size == (96, 72)


def test_small_pictures_keep_their_pixels(rng):
    benchmark, codes = case(rng)
    _, text = make(benchmark, codes)
    place = {name: i for i, name in enumerate(benchmark.ids)}
    pictures = check(text).all(class_="picture")
    assert len(pictures) == 12 * 11
    for element in pictures:
        kind, content = decoded(element["inside"][0]["src"])
        assert kind == "data:image/png"
        np.testing.assert_array_equal(
            np.asarray(Image.open(io.BytesIO(content))),
            benchmark.images[place[element["title"]]],
        )


def test_files_that_are_gone_or_no_images(rng, tmp_path):
    paths = []
    for i in range(80):
        paths.append(tmp_path / f"{i}.png")
        pixels = rng.randint(256, size=(30, 50, 3)).astype("uint8")
        Image.fromarray(pixels).save(paths[-1])
    images = images_lib.ImageFiles(paths, (20, 30))
    benchmark, codes = case(rng, images=images)
    _, text = make(benchmark, codes)
    assert "no picture" not in text
    for path in paths[::2]:
        path.unlink()
    for path in paths[1::4]:
        path.write_bytes(b"no longer an image")
    _, text = make(benchmark, codes)
    seen = set()
    for element in check(text).all(class_="picture"):
        number = int(element["title"].removeprefix("id"))
        (inside,) = element["inside"]
        there = number % 4 == 3
        assert inside["tag"] == ("img" if there else "span")
        assert element["title"] in inside["alt" if there else "aria-label"]
        seen.add(there)
    assert seen == {True, False}


def test_pools_that_are_no_pictures(rng):
    benchmark, codes = case(rng, images=rng.randn(80, 16))
    _, text = make(benchmark, codes)
    assert check(text).all(class_="picture") and "no picture" in text
    floats = rng.rand(80, 8, 8, 3) * 300
    floats[:, 0, 0] = np.nan
    benchmark, codes = case(rng, images=floats)
    assert "no picture" not in make(benchmark, codes)[1]


def test_queries_without_a_relevant_image(rng):
    benchmark, codes = case(rng)
    # The database has none of class 0, and then none of any.
    database = benchmark.parts["database"]
    targets = benchmark.targets
    targets[database[targets[database] == 0]] = 1
    without = int((targets[benchmark.parts["query"]] == 0).sum())
    _, text = make(benchmark, codes)
    tree = check(text)
    assert f"without a relevant image ({without})" in text
    for rows in rows_of(tree):
        for query, ap, _ in rows:
            assert targets[int(query[2:])] != 0 and ap > 0
    targets[database], targets[benchmark.parts["query"]] = 1, 0
    _, text = make(benchmark, codes, no_relevant="skip")
    assert list(rows_of(check(text))) == [[], []]
    assert ">none</data>" in text


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
    assert keras_hash.verify.machine() in tree.all(id_="time")[0]["text"]
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


@pytest.mark.parametrize("kind", ["single", "multi"])
@pytest.mark.parametrize("similarity", ["hamming", "and"])
def test_average_precision_of_each_query(kind, similarity, rng, monkeypatch):
    benchmark, codes = case(rng, kind, queries=30)
    # Queries that repeat, and one label that the database lacks.
    database = benchmark.parts["database"]
    if kind == "single":
        benchmark.targets[database[benchmark.targets[database] == 0]] = 1
    else:
        benchmark.targets[benchmark.parts["query"][:3]] = 0
    query, labels, *searched = sides(benchmark, codes)
    query, labels = np.tile(query, (2, 1)), np.concatenate([labels, labels])
    monkeypatch.setattr(evaluation.evaluator, "_CELLS", 100)
    monkeypatch.setattr(evaluation.evaluator, "_ROWS", 1)
    evaluator = keras_hash.HammingEvaluator(query, labels, BITS, similarity)
    with pytest.raises(ValueError, match="There is no database yet"):
        evaluator.average_precision()
    evaluator.update(*searched)
    for options in (
        {},
        {"k": 7},
        {"k": 7, "denominator": "all"},
        {"k": 7, "denominator": "topk", "no_relevant": "skip"},
        {"no_relevant": "skip"},
    ):
        values = evaluator.average_precision(**options)
        assert values.shape == (60,)
        suffix = {"all": "_all", "topk": "_topk"}.get(
            options.get("denominator"), ""
        )
        key = f"map@7{suffix}" if "k" in options else "map"
        whole = evaluator.result(**{"k": 7, **options})
        assert np.nanmean(values) == pytest.approx(whole.metrics[key])
        skipped = np.isnan(values)
        assert skipped.any() == (options.get("no_relevant") == "skip")
        assert (values[~skipped] >= 0).all() and len(set(values)) > 10
        for i in range(30):
            one = keras_hash.evaluate(
                query[i : i + 1],
                labels[i : i + 1],
                *searched,
                bits=BITS,
                similarity=similarity,
                **{"k": 7, **options},
            )
            np.testing.assert_allclose(values[i], one.metrics[key], rtol=1e-9)
            np.testing.assert_equal(values[i], values[i + 30])
    for options, message in (
        ({"k": 0}, "`k` should be"),
        ({"denominator": "mean"}, "`denominator` should be"),
        ({"no_relevant": "drop"}, "`no_relevant` should be"),
        ({"self_match": "yes"}, "`self_match` should be"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluator.average_precision(**options)
    itself = keras_hash.HammingEvaluator(*searched, BITS, similarity)
    itself.update(*searched)
    values = itself.average_precision(self_match="drop")
    whole = itself.result(k=5, self_match="drop").metrics
    assert values.mean() == pytest.approx(whole["map"])
    assert itself.average_precision().mean() > values.mean()


def test_the_command_writes_the_page(tmp_path):
    path = tmp_path / "made" / "out.html"
    evaluate = ("evaluate", NAME, "-k", 10, "--report", path)
    code, out, err = run(*evaluate)
    assert code == 0, err
    assert f"report: {path}" in out and "map@10" in out
    tree = check(path.read_text())
    assert tree.all("h1")[0]["text"] == NAME
    card = keras_hash.zoo.card(NAME)
    (value,) = tree.all("strong")[0]["inside"]
    assert float(value["value"]) == pytest.approx(
        card["metrics"]["map"], abs=5e-5
    )
    assert "images/s" in tree.all(id_="time")[0]["text"]
    code, out, err = run(*evaluate, "--json")
    assert code == 0, err
    # Metrics alone on stdout, and the same page but for the times.
    assert json.loads(out)["metrics"]["map"] == float(value["value"])
    again = Tree(path.read_text())
    for part in ("metrics", "map", "best", "worst", "confusion", "codes"):
        assert again.all(id_=part) == tree.all(id_=part)
    assert [p.name for p in path.parent.iterdir()] == ["out.html"]


@pytest.mark.parametrize("place", ["folder", "file/out.html", "n" * 300])
def test_an_unwritable_path_is_one_error_at_once(tmp_path, monkeypatch, place):
    def too_late(*_, **__):
        raise AssertionError("it was measured first")

    monkeypatch.setattr(evaluation, "measure", too_late)
    monkeypatch.setattr(keras_hash, "load", too_late)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("a file")
    code, _, err = run("evaluate", NAME, "--report", tmp_path / place)
    assert code == 2 and err.count("\n") == 1
    assert "`--report` should be a file that can be written" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
LOOK = """
<body><iframe src="out.html" width="{width}" height="900"></iframe><script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const page = frame.contentDocument, root = page.documentElement;
  const images = [...page.images], boxes = [...page.querySelectorAll(".box")];
  document.body.textContent = "found " + JSON.stringify({{
    width: root.scrollWidth,
    inner: frame.contentWindow.innerWidth,
    images: images.length,
    broken: images.filter(i => !i.complete || !i.naturalWidth).length,
    narrow: images.filter(i => i.getBoundingClientRect().width < 30).length,
    boxes: boxes.filter(b => b.clientWidth > root.clientWidth).length,
    dark: getComputedStyle(page.body).backgroundColor,
    hit: String(window.hit || top.hit || frame.contentWindow.hit),
    scripts: page.scripts.length,
    galleries: ["best", "worst"].map(id => [
      ...page.querySelectorAll(`#${{id}} .row`)].map(row => [
        row.querySelector(".query .picture").title,
        ...[...row.querySelectorAll(".hits figure")].map(hit => [
          hit.querySelector(".picture").title,
          hit.querySelector("b").textContent,
          hit.querySelector("img").naturalWidth,
        ])])),
  }}) + " end";
}};
</script></body>
"""


def look(folder, text, width=1200, dark=False):
    """What a browser finds on a page."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on this machine")
    (folder / "out.html").write_text(text)
    (folder / "look.html").write_text(LOOK.format(width=width))
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--allow-file-access-from-files",
            f"--user-data-dir={folder / 'profile'}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--virtual-time-budget=5000",
            "--window-size=1300,1000",
            "--dump-dom",
            (folder / "look.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    seen = re.search(r"found (\{.*\}) end", done.stdout)
    assert seen, done.stderr[-2000:]
    return json.loads(html.unescape(seen[1]))


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("kind", ["single", "multi"])
def test_in_a_browser(width, dark, kind, rng, tmp_path):
    labels = [f"a rather long name of label {i}" for i in range(12)]
    benchmark, codes = case(rng, kind, classes=12, labels=labels)
    found = look(tmp_path, make(benchmark, codes)[1], width, dark)
    # Only boxes of tables scroll sideways.
    assert found["inner"] == width and found["width"] <= width
    assert found["images"] > 100 and found["broken"] == 0
    assert found["narrow"] == 0 and found["boxes"] == 0
    assert found["dark"] == (
        "rgb(20, 24, 28)" if dark else "rgb(255, 255, 255)"
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["single", "multi"])
def test_the_galleries_in_a_browser(kind, rng, tmp_path):
    # What such a name does on a page that does not guard against it.
    image = "<img src=x onerror=top.hit=1>"
    tables = "<div id=best></div><div id=worst></div>"
    assert look(tmp_path, f"<body>{image}{tables}</body>")["hit"] == "1"

    names = ["<script>top.hit=1</script>", image, '"onerror=top.hit=1 x="']
    ids = np.array([f"{names[i % 3]}{i}" for i in range(80)], object)
    benchmark, codes = case(
        rng, kind, classes=3, labels=names, ids=ids, name=names[1]
    )
    found = look(tmp_path, make(benchmark, codes)[1])
    assert found["hit"] == "undefined" and found["scripts"] == 0
    assert found["broken"] == 0
    index = keras_hash.Index(
        BITS, codes["database"], list(ids[benchmark.parts["database"]])
    )
    places = {name: i for i, name in enumerate(ids)}
    rows = {i: row for row, i in enumerate(benchmark.parts["query"])}
    seen = 0
    for gallery in found["galleries"]:
        assert gallery
        for query, *hits in gallery:
            code = codes["query"][rows[places[query]]][None]
            distances, nearest = index.search(code, k=10)
            shown = [name for name, _, _ in hits]
            assert shown == nearest[0].tolist()
            for (name, text, width), distance in zip(hits, distances[0]):
                own, other = (
                    benchmark.targets[places[each]] for each in (query, name)
                )
                right = np.any(
                    (own == other) & ((own > 0) | (kind == "single"))
                )
                assert text == f"{'✓' if right else '✗'} {distance}"
                assert width == benchmark.images.shape[2]
                seen += 1
    assert seen >= 40
