"""The best and the worst queries: which, with what, and their pictures."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash.data import images as images_lib
from keras_hash.html_report import classes
from keras_hash.html_report.measured import Measured
from tests.html_report.cases import BITS
from tests.html_report.cases import CASES
from tests.html_report.cases import case
from tests.html_report.cases import check
from tests.html_report.cases import make
from tests.html_report.cases import sides


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
    images = images_lib.ImageFiles(paths)
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
