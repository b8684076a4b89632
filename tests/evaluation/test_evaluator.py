"""The evaluator against loops over all orders of the ties."""

import functools
import multiprocessing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

import keras_hash
from keras_hash import codes
from keras_hash.evaluation import replay
from tests.evaluation import reference

KINDS = ("", "jaccard_", "cosine_")


def random_case(bits, queries, size, levels, seed, pool=3):
    """Codes with heavy ties, labels with up to `levels` shared, some empty."""
    random = np.random.RandomState(seed)
    choice = codes.pack(random.randn(pool, bits))
    query = choice[random.randint(pool, size=queries)]
    items = choice[random.randint(pool, size=size)]
    if levels == 0:
        labels = random.randint(3, size=queries), random.randint(3, size=size)
    else:
        labels = tuple(
            (
                random.rand(n, levels)
                < random.rand(n, 1) * (random.rand(n, 1) > 0.2)
            ).astype("int8")
            for n in (queries, size)
        )
    return query, labels[0], items, labels[1]


def rankings(case, bits, similarity="hamming"):
    """For each query: its levels, and relevance of the items by kind."""
    query, query_labels, items, item_labels = case
    a, b = codes.unpack(query, bits), codes.unpack(items, bits)
    kinds = KINDS if np.ndim(query_labels) == 2 else KINDS[:1]
    for i in range(len(query)):
        levels = [reference.popcount(a[i], code, similarity) for code in b]
        yield (
            levels,
            {
                kind: [
                    reference.relevance(query_labels[i], label, kind)
                    for label in item_labels
                ]
                for kind in kinds
            },
        )


def in_order(values, order):
    return {kind: [v[i] for i in order] for kind, v in values.items()}


def mean(rows):
    """Mean over queries; None is a skipped one."""
    kept = [row for row in rows if row is not None]
    return sum(kept) / len(kept) if kept else float("nan")


def check(found, expected, tolerance=1e-9):
    for name, value in expected.items():
        assert found[name] == pytest.approx(
            value, abs=tolerance, nan_ok=True
        ), name


cases = st.tuples(
    st.integers(1, 64),
    st.integers(1, 3),
    st.integers(1, 6),
    # One column holds class numbers.
    st.sampled_from([0, *range(2, 9)]),
    st.integers(0, 2**31 - 1),
)


@settings(max_examples=120, deadline=None)
@given(
    cases,
    st.integers(1, 9),
    st.sampled_from(["expected", "best", "worst"]),
    st.sampled_from(["hamming", "and"]),
)
def test_every_metric_over_all_orders_of_the_ties(shape, k, ties, similarity):
    bits, queries, size, levels, seed = shape
    case = random_case(bits, queries, size, levels, seed)
    rows = []
    for distances, values in rankings(case, bits, similarity):
        orders = [
            reference.all_metrics(in_order(values, order), [k])
            for order in reference.tie_orders(distances)
        ]
        combine = {"expected": np.mean, "best": max, "worst": min}[ties]
        rows.append(
            {
                name: None
                if orders[0][name] is None
                else combine([o[name] for o in orders])
                for name in orders[0]
            }
        )
    expected = {name: mean([row[name] for row in rows]) for name in rows[0]}
    if ties != "expected":
        # Its extremes are not those of one order, and it is left out.
        for name in [n for n in expected if "wmap" in n and "topk" in n]:
            del expected[name]
    report = keras_hash.evaluate(
        *case,
        bits=bits,
        k=k,
        ties=ties,
        similarity=similarity,
        denominator=("min", "all", "topk"),
    )
    check(report.metrics, expected)
    if ties != "expected":
        side = {"worst": 0, "best": 1}[ties]
        bounds = {name: pair[side] for name, pair in report.bounds.items()}
        assert set(bounds) == {
            f"map{end}" for end in ("", f"@{k}", f"@{k}_all", f"@{k}_topk")
        } | {f"ndcg@{k}"}
        check(bounds, {name: expected[name] for name in bounds})


@settings(max_examples=40, deadline=None)
@given(
    cases,
    st.sampled_from(replay.ORDERS),
    st.integers(1, 9),
    st.sampled_from(["hamming", "and"]),
)
def test_orders_of_the_database(shape, ties, k, similarity):
    bits, queries, size, levels, seed = shape
    case = random_case(bits, queries, size, levels, seed)
    random = np.random.RandomState(5)
    shuffled = random.permutation(size)
    rows = []
    for distances, values in rankings(case, bits, similarity):
        distances = np.array(distances)
        if ties == "shuffle":
            order = sorted(shuffled, key=lambda i: distances[i])
        elif ties == "stable":
            order = sorted(range(size), key=lambda i: distances[i])
        else:
            order = np.argsort(distances.astype("float32"))
        rows.append(reference.all_metrics(in_order(values, order), [k]))
    expected = {name: mean([row[name] for row in rows]) for name in rows[0]}
    report = keras_hash.evaluate(
        *case,
        bits=bits,
        k=k,
        ties=ties,
        seed=5,
        similarity=similarity,
        denominator=("min", "all", "topk"),
    )
    check(report.metrics, expected)
    assert report.settings["ties"] == ties


@settings(max_examples=30, deadline=None)
@given(cases, st.integers(0, 99))
def test_a_random_order_is_one_of_those_that_ties_allow(shape, seed):
    bits, _, size, levels, case_seed = shape
    case = random_case(bits, 1, size, levels, case_seed)
    ((distances, values),) = rankings(case, bits)
    possible = [
        reference.all_metrics(in_order(values, order), [3], ["min"])
        for order in reference.tie_orders(distances)
    ]
    arguments = {"bits": bits, "k": 3, "ties": "random", "seed": seed}
    report = keras_hash.evaluate(*case, **arguments)
    # All metrics belong to one and the same order.
    assert any(
        all(
            value is None
            or report.metrics[name] == pytest.approx(value, abs=1e-9)
            for name, value in row.items()
        )
        for row in possible
    )
    assert keras_hash.evaluate(*case, **arguments).metrics == pytest.approx(
        report.metrics, nan_ok=True
    )


def test_random_orders_average_to_the_expectation():
    case = random_case(6, 4, 30, 3, seed=1)
    expected = keras_hash.evaluate(*case, bits=6, k=5).metrics
    draws = [
        keras_hash.evaluate(*case, bits=6, k=5, ties="random", seed=s).metrics
        for s in range(300)
    ]
    for name in ("map", "map@5", "ndcg@5", "wmap@5", "jaccard_acg@5"):
        found = [draw[name] for draw in draws]
        error = np.std(found) / np.sqrt(len(found))
        assert abs(np.mean(found) - expected[name]) < 4 * error + 1e-12, name


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 130),
    st.integers(1, 9),
    st.integers(2, 60),
    st.integers(0, 12),
    st.integers(0, 2**31 - 1),
    st.sampled_from(["hamming", "and"]),
)
def test_shards_merging_grouping_chunks_and_kernels_change_nothing(
    bits, queries, size, levels, seed, similarity
):
    query, query_labels, items, item_labels = random_case(
        bits, queries, size, levels, seed, pool=7
    )
    whole = keras_hash.evaluate(
        query, query_labels, items, item_labels, bits, similarity=similarity
    )
    random = np.random.RandomState(seed)
    cuts = np.sort(random.randint(0, size + 1, 3))
    shards = [s for s in np.split(random.permutation(size), cuts) if len(s)]

    def fresh(**kwargs):
        return keras_hash.HammingEvaluator(
            query, query_labels, bits, similarity, **kwargs
        )

    workers = [
        fresh(group=bool(n % 2)).update(items[shard], item_labels[shard])
        for n, shard in enumerate(shards)
    ]
    merged = fresh()
    for worker in workers:
        merged.merge(keras_hash.HammingEvaluator.from_state(worker.state()))
    same = [merged.result()]
    for kernel in ("numba", "numpy", "tensorflow"):
        named = fresh(group=bool(seed % 2), kernel=kernel)
        same.append(named.update(items, item_labels).result())
    for report in same:
        for part in ("metrics", "chance"):
            found, expected = getattr(report, part), getattr(whole, part)
            assert set(found) == set(expected)
            check(found, expected, tolerance=1e-12)
        for name, curve in whole.curves.items():
            np.testing.assert_allclose(report.curves[name], curve, atol=1e-12)


def test_state_survives_a_file(tmp_path):
    query, query_labels, items, item_labels = random_case(20, 5, 40, 4, 0)
    half = keras_hash.HammingEvaluator(query, query_labels, 20)
    half.update(items[:25], item_labels[:25])
    np.savez(tmp_path / "state.npz", **half.state())
    with np.load(tmp_path / "state.npz") as state:
        again = keras_hash.HammingEvaluator.from_state(state)
    again.update(items[25:], item_labels[25:])
    expected = keras_hash.evaluate(query, query_labels, items, item_labels, 20)
    assert again.result().metrics == pytest.approx(expected.metrics, abs=1e-12)
    with pytest.raises(ValueError, match="should be what"):
        keras_hash.HammingEvaluator.from_state({"query_codes": query})
    with pytest.raises(ValueError, match="returned. Received: .*NoneType"):
        keras_hash.HammingEvaluator.from_state(None)


def test_chance_is_the_expectation_over_all_orders():
    bits, k = 8, 3
    case = random_case(bits, 2, 5, 3, seed=4)
    rows = []
    for _, values in rankings(case, bits):
        orders = [
            reference.all_metrics(in_order(values, order), [k], ["min"])
            for order in reference.tie_orders([0] * 5)
        ]
        rows.append(
            {
                n: None
                if orders[0][n] is None
                else np.mean([o[n] for o in orders])
                for n in orders[0]
            }
        )
    report = keras_hash.evaluate(*case, bits=bits, k=k)
    expected = {name: mean([row[name] for row in rows]) for name in rows[0]}
    check(report.chance, expected)
    assert report.metrics["chance_map"] == report.chance["map"]


@pytest.mark.parametrize("similarity", ["hamming", "and"])
@pytest.mark.parametrize("levels", [0, 4])
def test_dropping_the_match_with_oneself(levels, similarity):
    bits, size = 5, 6
    query, labels, _, _ = random_case(bits, size, 1, levels, seed=2)
    report = keras_hash.evaluate(
        query,
        labels,
        query,
        labels,
        bits=bits,
        k=2,
        self_match="drop",
        similarity=similarity,
    )
    rows = []
    for i in range(size):
        others = np.arange(size) != i
        case = (query[[i]], labels[[i]], query[others], labels[others])
        ((distances, values),) = rankings(case, bits, similarity)
        rows.append(
            np.mean(
                [
                    reference.average_precision(in_order(values, o)[""])
                    for o in reference.tie_orders(distances)
                ]
            )
        )
    assert report.metrics["map"] == pytest.approx(np.mean(rows), abs=1e-9)
    with pytest.raises(ValueError, match="needs every query in the database"):
        keras_hash.evaluate(
            query, labels, query[:1], labels[:1], bits=bits, self_match="drop"
        )
    with pytest.raises(ValueError, match="works on counts"):
        keras_hash.evaluate(
            query,
            labels,
            query,
            labels,
            bits=bits,
            self_match="drop",
            ties="stable",
        )


def loop_balls(case, bits, radius, empty):
    precision, pooled = [], [0, 0]
    recall, empties = [], []
    for distances, values in rankings(case, bits):
        inside = [v for d, v in zip(distances, values[""]) if d <= radius]
        good = sum(v > 0 for v in inside)
        total = sum(v > 0 for v in values[""])
        empties.append(not inside)
        recall.append(good / total if total else 0.0)
        pooled = [pooled[0] + good, pooled[1] + len(inside)]
        if inside or empty == "zero":
            precision.append(good / len(inside) if inside else 0.0)
    if empty == "micro":
        return pooled[0] / pooled[1] if pooled[1] else 0.0, None, None
    return mean(precision), np.mean(recall), np.mean(empties)


@settings(max_examples=40, deadline=None)
@given(cases, st.sampled_from(["zero", "skip", "micro"]))
def test_balls_by_loops(shape, empty):
    bits, queries, size, levels, seed = shape
    case = random_case(bits, queries, size, levels, seed)
    report = keras_hash.evaluate(*case, bits=bits, empty=empty)
    for radius in range(bits + 1):
        expected = loop_balls(case, bits, radius, empty)
        for name, value in zip(("precision", "recall", "empty"), expected):
            if value is not None:
                assert report.curves[name][radius] == pytest.approx(
                    value, abs=1e-9, nan_ok=True
                )
    near = min(2, bits)
    for name, curve in (
        ("precision_radius@2", "precision"),
        ("recall_radius@2", "recall"),
        ("empty_ball@2", "empty"),
    ):
        assert report.metrics[name] == pytest.approx(
            report.curves[curve][near], nan_ok=True
        )


def test_queries_without_a_relevant_item_and_ideal_zero():
    code = codes.pack(np.ones((2, 4)))
    arguments = (code, [0, 7], code, [0, 0])
    zero = keras_hash.evaluate(*arguments, bits=4, k=1).metrics
    skip = keras_hash.evaluate(
        *arguments, bits=4, k=1, no_relevant="skip"
    ).metrics
    assert zero["map"] == 0.5 and skip["map"] == 1
    assert zero["recall@1"] == 0.25 and skip["recall@1"] == 0.5
    for ideal_zero, expected in (("skip", 1), ("zero", 0.5), ("one", 1)):
        report = keras_hash.evaluate(
            *arguments, bits=4, k=1, ideal_zero=ideal_zero
        )
        assert report.metrics["ndcg@1"] == expected
    nobody = keras_hash.evaluate(
        code, [5, 6], code, [0, 0], bits=4, no_relevant="skip"
    )
    for name in ("map", "precision_radius@2", "recall_radius@2"):
        assert np.isnan(nobody.metrics[name]), name
    far = codes.pack(-np.ones((1, 4)))
    # The query without one is left out here too, the empty ball is not.
    arguments = np.vstack([code, far]), [0, 7, 0], code, [0, 0]
    found = keras_hash.evaluate(*arguments, bits=4, no_relevant="skip")
    assert found.metrics["precision_radius@2"] == 0.5


def test_and_similarity_has_no_radius():
    case = random_case(6, 2, 5, 3, seed=0)
    report = keras_hash.evaluate(*case, bits=6, similarity="and")
    assert not report.curves
    assert not [name for name in report.metrics if "radius" in name]
    with pytest.raises(ValueError, match="no curves by radius"):
        report.figure("never.png")


@pytest.mark.parametrize("bits", [64, 128, 300])
@pytest.mark.parametrize("levels", [0, 200])
def test_long_codes_and_many_labels(bits, levels, rng):
    case = random_case(bits, 4, 50, levels, seed=0, pool=20)
    before = [np.copy(part) for part in case]
    report = keras_hash.evaluate(*case, bits=bits, k=7)
    rows = []
    for distances, values in rankings(case, bits):
        # One order each, and bounds that must hold it.
        order = sorted(range(50), key=lambda i: distances[i])
        rows.append(
            reference.all_metrics(in_order(values, order), [7], ["min"])
        )
    for name, (worst, best) in report.bounds.items():
        value = mean([row[name] for row in rows])
        assert worst - 1e-9 <= value <= best + 1e-9
        assert worst - 1e-9 <= report.metrics[name] <= best + 1e-9
    for was, now in zip(before, case):
        np.testing.assert_array_equal(was, now)


def test_one_item_equal_codes_and_queries_as_database():
    code = codes.pack(np.ones((1, 3)))
    one = keras_hash.evaluate(code, [1], code, [1], bits=3)
    assert one.metrics["map"] == one.metrics["map@100"] == 1
    assert one.metrics["precision@100"] == 0.01
    labels = np.arange(40) % 4
    same = np.repeat(code, 40, axis=0)
    report = keras_hash.evaluate(same, labels, same, labels, bits=3)
    assert report.metrics["map"] == pytest.approx(report.chance["map"])
    assert report.metrics["largest_bucket"] == 1
    assert report.metrics["code_entropy"] == 0
    assert report.bounds["map"][1] == 1


def test_more_than_127_shared_labels_do_not_overflow():
    code = codes.pack(np.ones((2, 8)))
    labels = np.ones((2, 300), "int8")
    labels[1, 200:] = 0
    report = keras_hash.evaluate(code, labels, code, labels, bits=8, k=2)
    assert report.metrics["acg@2"] == (300 + 200 + 200 + 200) / 4
    assert 0 < report.metrics["ndcg@2"] <= 1


def loop_census(signs):
    count, bits = signs.shape
    rows = [tuple(row) for row in signs.tolist()]
    shares = [rows.count(row) / count for row in set(rows)]
    balance = [abs(sum(signs[:, b])) / count for b in range(bits)]
    correlations = []
    for a in range(bits):
        for b in range(bits):
            x, y = signs[:, a] - 0.0, signs[:, b] - 0.0
            if a != b:
                both = x.std() * y.std()
                covariance = np.mean((x - x.mean()) * (y - y.mean()))
                correlations.append(abs(covariance / both) if both else 0.0)
    return {
        "unique_codes": len(set(rows)),
        "largest_bucket": max(shares),
        "code_entropy": -sum(s * np.log2(s) for s in shares),
        "bit_balance": np.mean(balance),
        "bit_correlation": np.mean(correlations) if correlations else 0.0,
    }


@pytest.mark.parametrize("bits", [1, 5, 70])
def test_code_diagnostics_by_loops(bits, rng):
    pool = codes.sign(rng.randn(6, bits))
    pool[:, 0] = 1
    signs = pool[rng.randint(6, size=40)].astype("int8")
    packed = codes.pack(signs)
    labels = np.zeros(40, int)
    report = keras_hash.evaluate(packed[:1], [0], packed, labels, bits=bits)
    check(report.metrics, loop_census(signs))


def test_conventions_are_what_they_say():
    bits, k = 4, 3
    case = random_case(bits, 12, 6, 3, seed=8)
    rows = {name: [] for name in replay.CONVENTIONS}
    for distances, values in rankings(case, bits):
        float_order = np.argsort(np.array(distances, "float32"))
        stable = sorted(range(6), key=lambda i: distances[i])
        unsorted = in_order(values, float_order)[""]
        hits = sum(v > 0 for v in unsorted[:k])
        any_relevant = any(v > 0 for v in unsorted)
        topk = reference.average_precision(unsorted, k, "topk")
        rows["deephash-pytorch"].append(topk)
        rows["orthohash"].append(topk)
        rows["hashnet"].append(topk if hits else None)
        rows["dpsh"].append(
            reference.average_precision(in_order(values, stable)[""], k, "all")
            if any_relevant
            else None
        )
        rows["dsrh"].append(
            np.mean(
                [
                    reference.weighted_average_precision(
                        in_order(values, o)[""], k, "topk"
                    )
                    for o in reference.tie_orders(distances)
                ]
            )
            if any_relevant
            else None
        )
    keys = {"dpsh": "map@3_all", "dsrh": "wmap@3_topk"}
    for name, values in rows.items():
        report = keras_hash.evaluate(*case, bits=bits, k=k, convention=name)
        key = keys.get(name, "map@3_topk")
        assert report.metrics[key] == pytest.approx(mean(values), abs=1e-9), (
            name
        )
        assert report.settings["convention"] == name
        assert name in str(report)


def test_deephash_pytorch_loses_the_last_item():
    code = codes.pack(np.array([[1.0, 1], [1, -1], [-1, -1]]))
    found = keras_hash.evaluate(
        code[:1], [1], code, [0, 0, 1], bits=2, convention="deephash-pytorch"
    )
    assert found.metrics["map"] == 0
    usual = keras_hash.evaluate(code[:1], [1], code, [0, 0, 1], bits=2)
    assert usual.metrics["map"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("kernel", ["numpy", "tensorflow"])
@pytest.mark.parametrize("classes", [0, 4])
def test_an_empty_shard_adds_nothing(classes, kernel):
    case = random_case(6, 2, 5, classes, seed=0)
    nothing = np.zeros((0, 1), "uint8")
    whole = keras_hash.HammingEvaluator(*case[:2], 6, kernel=kernel)
    whole.update(*case[2:])
    evaluator = keras_hash.HammingEvaluator(*case[:2], 6, kernel=kernel)
    for labels in ([], case[3][:0]):
        evaluator.update(nothing, labels)
        with pytest.raises(ValueError, match="no database yet.*: 0 database"):
            evaluator.result()
    again = keras_hash.HammingEvaluator.from_state(evaluator.state())
    again.merge(evaluator).update(*case[2:]).update(nothing, [])
    assert again.result().metrics == whole.result().metrics
    with pytest.raises(ValueError, match=r"uint8 \[n, 1\]"):
        evaluator.update(np.zeros((0, 2), "uint8"), [])
    with pytest.raises(ValueError, match="database"):
        evaluator.update(nothing, case[3])
    with pytest.raises(ValueError, match="no database yet"):
        keras_hash.evaluate(*case[:2], nothing, [], bits=6)
    with pytest.raises(ValueError, match="the query set is empty"):
        keras_hash.HammingEvaluator(nothing, [], 6)


def test_clear_errors():
    case = random_case(6, 2, 5, 0, seed=0)
    for options, message in [
        ({"ties": "numpy"}, "`ties` should be one of"),
        ({"convention": "mine"}, "`convention` should be one of"),
        ({"convention": "dpsh", "ties": "best"}, "sets the other options"),
        ({"convention": "dpsh", "empty": "skip"}, "sets the other options"),
        ({"similarity": "cosine"}, "`similarity` should be one of"),
        ({"denominator": "mean"}, "`denominator` should be one of"),
        ({"empty": "drop"}, "`empty` should be one of"),
        ({"ideal_zero": "nan"}, "`ideal_zero` should be one of"),
        ({"self_match": "yes"}, "`self_match` should be one of"),
        ({"k": 0}, "`k` should be"),
        ({"kernel": "cuda"}, "`kernel` should be one of"),
        ({"metrics": ("map", "ndcg@x")}, "`metrics` should be among"),
        ({"metrics": ("map", "bits@100")}, "`metrics` should be among"),
        ({"metrics": "map@3_some"}, "`metrics` should be among"),
        ({"metrics": "ndcg@3_topk"}, "`metrics` should be among"),
        ({"metrics": "empty_ball@3"}, "`metrics` should be among"),
        ({"metrics": "chance_map@3"}, "`metrics` should be among"),
        ({"metrics": ("map", 3)}, "`metrics` should be among"),
        ({"metrics": ()}, "`metrics` should be among"),
        ({"metrics": 5}, "`metrics` should be among"),
        ({"metrics": [["map"]]}, "`metrics` should be among"),
        ({"metrics": "map@05"}, "`metrics` should be among"),
        ({"metrics": "jaccard_ndcg"}, "`metrics` should be among those that"),
        ({"metrics": "ndcg", "k": ()}, "`metrics` should be among those that"),
        ({"metrics": "map@5_"}, "`metrics` should be among"),
        ({"metrics": "map@5_min"}, "`metrics` should be among"),
        ({"metrics": "ndcg@\u0663"}, "`metrics` should be among"),
        ({"metrics": "map@" + 5000 * "9"}, "`metrics` should be among"),
    ]:
        with pytest.raises(ValueError, match=message):
            keras_hash.evaluate(*case, bits=6, **options)
    empty = keras_hash.HammingEvaluator(case[0], case[1], 6)
    with pytest.raises(ValueError, match="There is no database yet"):
        empty.result()
    empty.update(case[2], case[3])
    for ties in replay.ORDERS:
        with pytest.raises(ValueError, match="need the order of the database"):
            empty.result(ties=ties)
    other = keras_hash.HammingEvaluator(case[0][:1], case[1][:1], 6)
    with pytest.raises(ValueError, match="another query_codes"):
        empty.merge(other)
    with pytest.raises(ValueError, match="of one kind"):
        empty.update(case[2], np.zeros((5, 3), int))


def test_figure_and_file(tmp_path):
    from PIL import Image

    case = random_case(12, 5, 40, 0, seed=0)
    report = keras_hash.evaluate(*case, bits=12)
    report.figure(tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size[0] > picture.size[1] > 200
    report.save(tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text()
    assert keras_hash.RetrievalReport.from_json(text) == report
    with pytest.raises(ValueError, match="`text` should be what"):
        keras_hash.RetrievalReport.from_json("[1]")
    with pytest.raises(ValueError, match="`text` should be what"):
        keras_hash.RetrievalReport.from_json("hello")


def test_the_table_names_its_conventions(capsys):
    from rich.console import Console

    case = random_case(12, 5, 40, 3, seed=0)
    report = keras_hash.evaluate(*case, bits=12, k=30, denominator="topk")
    Console(width=100).print(report)
    out = capsys.readouterr().out
    for text in ("12 bits", "5 queries", "40 database", "expected", "topk"):
        assert text in out
    assert "by chance" in out and "jaccard_ndcg@30" in out


def test_rows_are_evaluated_in_chunks(monkeypatch):
    case = random_case(12, 9, 40, 3, seed=0)
    whole = keras_hash.evaluate(*case, bits=12)
    in_parts = functools.partialmethod(
        keras_hash.HammingEvaluator._parts, few=2, cells=2
    )
    monkeypatch.setattr(keras_hash.HammingEvaluator, "_parts", in_parts)
    parts = keras_hash.evaluate(*case, bits=12)
    assert parts.metrics == pytest.approx(whole.metrics, abs=1e-12)


def test_labels_of_another_number_than_codes_are_refused(rng):
    # Where the codes fill their shards, the shards alone would not tell.
    code, labels = codes.pack(rng.randn(8, 12)), np.arange(11)
    found = keras_hash.HammingEvaluator(code, labels[:8], 12)
    for count in (7, 9, 11):
        with pytest.raises(ValueError, match=rf"labels.shape=\({count},\)"):
            found._update(code, labels[:count], shard=4)


@pytest.mark.slow
def test_two_processes_share_the_database():
    """Each encodes and counts its half; the tables add up."""
    case = random_case(20, 5, 60, 4, 1)
    query, query_labels, items, item_labels = case
    whole = keras_hash.evaluate(*case, 20).metrics
    arguments = [
        (query, query_labels, items[part], item_labels[part], 20)
        for part in (slice(None, 30), slice(30, None))
    ]
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        states = pool.starmap(_counted, arguments)
    merged, other = map(keras_hash.HammingEvaluator.from_state, states)
    check(merged.merge(other).result().metrics, whole, tolerance=1e-12)


def _counted(query, query_labels, items, item_labels, bits):
    evaluator = keras_hash.HammingEvaluator(query, query_labels, bits)
    return evaluator.update(items, item_labels).state()


@pytest.mark.parametrize(
    "name, options",
    [
        ("jaccard_ndcg@3", {}),
        ("precision_radius@2", {"similarity": "and"}),
        ("wmap@7_topk", {"ties": "best"}),
    ],
)
def test_metrics_that_there_are_not_are_named(rng, name, options):
    items, labels = codes.pack(rng.randn(9, 8)), np.arange(9) % 3
    given = (items[:5], labels[:5], items, labels)
    with pytest.raises(ValueError, match=f"Received: {name}"):
        keras_hash.evaluate(*given, bits=8, metrics=["map", name], **options)
    for wrong in (None, 5, ()):
        with pytest.raises(ValueError, match="`denominator` should be one of"):
            keras_hash.evaluate(*given, bits=8, denominator=wrong)


@pytest.mark.parametrize("similarity", ["hamming", "and"])
def test_pairs_by_distance_without_those_of_a_query_and_itself(similarity):
    rows, labels, *_ = random_case(10, 6, 2, 3, seed=0)
    rows, labels = np.repeat(rows, 2, 0), np.repeat(labels, 2, 0)
    counter = keras_hash.HammingEvaluator(rows, labels, 10, similarity)
    counter.update(rows, labels)
    far = codes.levels(rows, rows, 10, similarity)
    shared = labels @ labels.T > 0
    for itself, counted in (("keep", 1), ("drop", 1 - np.eye(12))):
        for found, these in zip(
            counter.pairs_by_distance(itself), (shared, ~shared)
        ):
            expected = np.bincount(
                far.ravel(), (these * counted).ravel(), minlength=11
            )
            np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="`self_match` should be one of"):
        counter.pairs_by_distance("mine")
