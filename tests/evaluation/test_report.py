"""`evaluate` and its report."""

import json

import numpy as np
import pytest

import keras_hash
from keras_hash import codes
from keras_hash.evaluation import metrics


def by_sorting(query, query_labels, items, item_labels):
    """mAP of one ranking without ties, the textbook way."""
    values = []
    for code, label in zip(query, query_labels):
        distance = codes.hamming(code[None], items)[0]
        assert len(set(distance)) == len(distance), "ties"
        good = (item_labels == label)[np.argsort(distance)]
        precision = np.cumsum(good) / np.arange(1, len(good) + 1)
        values.append(np.sum(precision * good) / max(good.sum(), 1))
    return np.mean(values)


def test_equals_the_textbook_where_nothing_is_tied(rng):
    bits = 40
    items = np.ones((30, bits))
    for row in range(30):
        items[row, :row] = -1
    items = codes.pack(items[rng.permutation(30)])
    query = codes.pack(np.ones((1, bits)))
    item_labels = rng.randint(3, size=30)
    report = keras_hash.evaluate(query, [1], items, item_labels, bits=bits)
    expected = by_sorting(query, [1], items, item_labels)
    assert report.metrics["map"] == pytest.approx(expected, abs=1e-12)


def test_constant_codes_score_chance_in_any_database_order(rng):
    labels = np.repeat(np.arange(10), 30)
    code = codes.pack(np.ones((300, 12)))
    report = keras_hash.evaluate(code, labels, code, labels, bits=12)
    assert report.metrics["map"] == report.metrics["chance_map"]
    order = rng.permutation(300)
    shuffled = keras_hash.evaluate(
        code, labels, code[order], labels[order], bits=12
    )
    assert shuffled.metrics == report.metrics


def test_keys_json_and_print(rng):
    code = codes.pack(rng.randn(20, 12))
    labels = rng.randint(2, size=(20, 4))
    report = keras_hash.evaluate(code, labels, code, labels, bits=12, k=(3, 7))
    assert set(report.metrics) >= {
        "map",
        "map@3",
        "map@7",
        "precision@3",
        "recall@7",
        "precision_radius@2",
        "empty_ball@2",
        "chance_map",
        "unique_codes",
    }
    again = keras_hash.RetrievalReport.from_json(report.to_json())
    assert again == report
    assert "12 bits, 20 queries" in str(report)
    assert report.curves["recall"][-1] <= 1
    assert keras_hash.evaluate(
        code, labels, code, labels, bits=12, k=3
    ).settings["k"] == [3]


def test_what_no_query_has_is_null_in_json(tmp_path):
    code = codes.pack(np.array([[1.0, -1.0]]))
    report = keras_hash.evaluate(
        code, [5], code, [1], bits=2, no_relevant="skip", empty="skip"
    )
    assert np.isnan(report.metrics["map"])
    report.save(tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text()
    assert text == report.to_json() + "\n" and '"map": null' in text

    def refuse(constant):
        raise AssertionError(constant)

    json.loads(text, parse_constant=refuse)
    again = keras_hash.RetrievalReport.from_json(text)
    for part in ("metrics", "curves", "chance", "bounds"):
        np.testing.assert_equal(getattr(again, part), getattr(report, part))
    assert again.settings == report.settings and str(again) == str(report)
    for part, wrong in (
        ("metrics", {"map": "high"}),
        ("curves", {"radius": 3}),
        ("bounds", [1]),
        ("settings", {"bits": 4}),
    ):
        damaged = json.dumps({**json.loads(text), part: wrong})
        with pytest.raises(ValueError, match=f"`{part}.* should"):
            keras_hash.RetrievalReport.from_json(damaged)


def test_a_query_that_shares_nothing_counts_zero():
    code = codes.pack(np.array([[1.0, -1.0]]))
    report = keras_hash.evaluate(code, [5], code, [1], bits=2)
    assert report.metrics["map"] == 0
    assert report.metrics["recall@100"] == 0


@pytest.mark.parametrize("k", [0, -1, 2.5, (10, 0)])
def test_wrong_k(k):
    code = codes.pack(np.ones((1, 4)))
    with pytest.raises(ValueError, match="`k` should be"):
        keras_hash.evaluate(code, [0], code, [0], bits=4, k=k)


def test_one_cut_off_stands_for_all_beyond_the_database(rng):
    code = codes.pack(rng.randn(20, 12))
    labels = rng.randint(2, size=(20, 3))
    sides = code, labels, code, labels
    options = {"bits": 12, "denominator": ("min", "topk")}
    report = keras_hash.evaluate(*sides, k=(20, 21, 5000), **options)
    assert {"map@5000", "map@21_topk"} <= set(report.metrics)
    hidden = set(report.metrics) - set(report.shown())
    misses = {"precision@21", "acg@21", "jaccard_acg@21", "cosine_acg@21"}
    assert hidden == misses | {n for n in report.metrics if "@5000" in n}
    # What is hidden is shown under another name.
    for name in hidden - misses:
        if "precision" not in name and "acg" not in name:
            twin = name.replace("5000", "21")
            assert report.metrics[twin] == report.metrics[name]
    text = str(report)
    assert "precision@20 " in text and "precision_radius@2" in text
    assert "ndcg@21 " in text and "@5000" not in text
    assert "@21 is the whole ranking" in text
    for k, said in (((5, 20), False), ((21,), True)):
        report = keras_hash.evaluate(*sides, k=k, **options)
        assert ("whole ranking" in str(report)) == said


def test_metrics_of_ones_own_are_shown(rng):
    code, labels = codes.pack(rng.randn(9, 12)), np.arange(9)
    report = keras_hash.evaluate(code, labels, code, labels, bits=12)
    report.metrics["mine@best"] = 0.5
    assert "mine@best" in str(report)


@pytest.mark.parametrize("several", [False, True])
def test_every_key_is_described(several, rng):
    code = codes.pack(rng.randn(30, 12))
    labels = rng.randint(2, size=(30, 3)) if several else np.arange(30) % 3
    report = keras_hash.evaluate(
        code, labels, code, labels, 12, k=(3, 7), denominator=("min", "topk")
    )
    for key in report.metrics:
        known = metrics.describe(key)
        assert metrics.ROWS[known.row.name] is known.row
        assert known.title and known.text and known.group and known.chart
        assert "{" not in known.text
        family = known.grade + known.row.name
        assert key.partition("@")[0] == family
        again = "" if known.number is None else f"@{known.number}"
        again += f"_{known.denominator}" if known.denominator else ""
        assert key == family + again
        if known.number is not None:
            end = known.denominator or "min"
            assert key == metrics.key(family, known.number, end)
    assert metrics.describe("cosine_wmap@7_topk").title == (
        "weighted mAP, cosine, divided by topk"
    )
    assert metrics.describe("empty_ball@2").text.endswith("radius 2")
    own = metrics.describe("mine@best")
    assert (own.title, own.text, own.group, own.cut) == ("mine", "", "", None)


@pytest.mark.parametrize("several", [False, True])
def test_chosen_metrics_are_those_of_the_whole_report(several, rng):
    code = codes.pack(rng.randn(30, 12))
    labels = rng.randint(2, size=(30, 3)) if several else np.arange(30) % 3
    sides = code, labels, code, labels
    options = {"k": (2, 3, 5, 7), "denominator": ("min", "topk")}
    whole = keras_hash.evaluate(*sides, bits=12, **options)
    for chosen, keys, bounds in (
        ("map", {"map"}, {"map"}),
        (("precision",), {"precision@3", "precision@7"}, set()),
        (("chance_map",), {"chance_map"}, set()),
        (["unique_codes", "empty_ball"], {"unique_codes", "empty_ball@2"}, 0),
        ("ndcg", {"ndcg@3", "ndcg@7"}, {"ndcg@3", "ndcg@7"}),
        (("map", "ndcg@5"), {"map", "ndcg@5"}, {"map", "ndcg@5"}),
        ("map@5_topk", {"map@5_topk"}, None),
        (("map", "map@5"), {"map", "map@5"}, {"map", "map@5"}),
        (("ndcg", "ndcg@5"), {"ndcg@3", "ndcg@5", "ndcg@7"}, None),
        (("map@5", "recall@2"), {"map@5", "recall@2"}, {"map@5"}),
        (
            ("map@5", "chance_map", "empty_ball@2"),
            {"map@5", "chance_map", "empty_ball@2"},
            {"map@5"},
        ),
        ("jaccard_ndcg", {"jaccard_ndcg@3", "jaccard_ndcg@7"}, set()),
    )[: None if several else -1]:
        report = keras_hash.evaluate(*sides, bits=12, k=(3, 7), metrics=chosen)
        assert set(report.metrics) == keys
        if bounds is not None:
            assert set(report.bounds) == (bounds or set())
        for key in keys:
            assert report.metrics[key] == whole.metrics[key]
            if key in report.bounds:
                assert report.bounds[key] == whole.bounds[key]
        assert report.curves == whole.curves
        assert str(report)
    for options in ({"ties": "stable"}, {"convention": "hashnet"}):
        report = keras_hash.evaluate(
            *sides, bits=12, metrics="recall", **options
        )
        assert {key.partition("@")[0] for key in report.metrics} == {"recall"}


@pytest.mark.parametrize("ties", ["expected", "best", "random", "stable"])
@pytest.mark.parametrize("no_relevant", ["zero", "skip"])
def test_items_without_a_label(rng, ties, no_relevant):
    packed = codes.pack(rng.randn(30, 6))
    labels = rng.randint(3, size=30)
    labels[[0, 1, 20, 21, 22]] = -1
    sides = packed[:9], labels[:9], packed, labels
    options = {"ties": ties, "no_relevant": no_relevant, "k": 7}
    report = keras_hash.evaluate(*sides, bits=6, **options)
    assert report.settings["unlabelled"] == {"queries": 2, "database": 5}
    assert "nothing: 2 queries, 5 database items" in str(report)
    # As several labels an image, where such a row is empty.
    hot = [np.eye(4)[side][:, :3] for side in (labels[:9], labels)]
    several = keras_hash.evaluate(
        packed[:9], hot[0], packed, hot[1], bits=6, **options
    )
    assert "unlabelled" not in several.settings
    for name, value in report.metrics.items():
        if ties != "random" or "radius" in name:
            assert several.metrics[name] == pytest.approx(value), name


def test_nothing_is_said_where_every_item_has_a_label(rng):
    packed, labels = codes.pack(rng.randn(9, 6)), rng.randint(3, size=9)
    report = keras_hash.evaluate(packed, labels, packed, labels, bits=6)
    assert "unlabelled" not in report.settings
    assert "without a label" not in str(report)


def test_unlabelled_items_add_up_over_shards_and_files(rng):
    packed, labels = codes.pack(rng.randn(12, 6)), rng.randint(-1, 2, size=12)
    labels[:2] = -1
    evaluator = keras_hash.HammingEvaluator(packed[:4], labels[:4], 6)
    for part in (slice(5), slice(5, 12)):
        evaluator.update(packed[part], labels[part])
    again = keras_hash.HammingEvaluator.from_state(evaluator.state())
    whole = keras_hash.evaluate(packed[:4], labels[:4], packed, labels, 6)
    assert again.result().settings == whole.settings
    assert again.result().metrics == pytest.approx(whole.metrics, nan_ok=True)
    dropped = again.result(self_match="drop").settings["unlabelled"]
    assert dropped == whole.settings["unlabelled"]


@pytest.mark.parametrize("kind", ["int64", "float32", "uint8"])
def test_a_column_of_class_numbers_is_no_multi_hot_label(rng, kind):
    packed, labels = codes.pack(rng.randn(40, 8)), rng.randint(3, size=40)
    column = labels[:, None].astype(kind)
    plain = keras_hash.evaluate(packed, labels, packed, labels, bits=8)
    report = keras_hash.evaluate(packed, column, packed, column, bits=8)
    assert report.metrics == plain.metrics
    one, two = (
        keras_hash.HammingEvaluator(packed, given, 8)
        for given in (labels, column)
    )
    one.update(packed[:9], column[:9])
    two.update(packed[9:], labels[9:])
    assert one.merge(two).result().metrics == plain.metrics
    stable = keras_hash.evaluate(
        packed, column, packed, column, bits=8, ties="stable"
    )
    assert stable.metrics["map"] == pytest.approx(
        keras_hash.evaluate(
            packed, labels, packed, labels, bits=8, ties="stable"
        ).metrics["map"]
    )


@pytest.mark.parametrize("ties", ["random", "shuffle"])
def test_a_seed_of_numpy_can_be_written(ties, rng, tmp_path):
    packed, labels = codes.pack(rng.randn(9, 12)), rng.randint(2, size=9)
    report, again = (
        keras_hash.evaluate(
            packed, labels, packed, labels, bits=12, ties=ties, seed=seed
        )
        for seed in (np.int64(3), 3)
    )
    report.save(tmp_path / "report.json")
    assert report.settings == again.settings
    assert report.metrics == again.metrics


def test_a_database_that_is_searched_for_itself_is_not_mirrored(rng):
    images = rng.randint(0, 256, (8, 4, 4, 3)).astype("uint8")
    bench = keras_hash.data.from_arrays(images, np.arange(8) % 2, query=0.3)
    model = keras_hash.models.PHash(64)
    with pytest.raises(ValueError, match="`database` should be another part"):
        keras_hash.evaluation.measure(model, bench, "query", "query", True)


def test_what_cannot_be_measured_is_named(rng):
    images = rng.randint(0, 256, (8, 4, 4, 3)).astype("uint8")
    bench = keras_hash.data.from_arrays(images, np.arange(8) % 2, query=0)
    model = keras_hash.models.PHash(64)
    for given in ((model, "digits"), ("phash_64", bench), (model, images)):
        with pytest.raises(ValueError, match="takes a model that encodes"):
            keras_hash.evaluation.measure(*given)
    with pytest.raises(ValueError, match="measured on images in 'query'"):
        keras_hash.evaluation.measure(model, bench)
