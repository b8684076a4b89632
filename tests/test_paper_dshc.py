"""The re-made DSHC paper: its pure computations, its rows and its page."""

import dataclasses
import itertools
import pathlib
import re

import keras
import numpy as np
import pytest
from paper_dshc import accuracy
from paper_dshc import disjoint
from paper_dshc import labels
from paper_dshc import page
from paper_dshc import pictures
from paper_dshc import store
from paper_dshc import times

import keras_hash
from keras_hash import codebooks
from keras_hash import figures
from keras_hash.evaluation import measure

ROOT = pathlib.Path(__file__).resolve().parent.parent


def mean_precision(query, database):
    """mAP over all orders of the database, by a stable sort of each."""
    scores = []
    for code, own in query:
        for order in itertools.permutations(database):
            ranked = sorted(order, key=lambda item: np.sum(item[0] != code))
            hits = [i for i, item in enumerate(ranked, 1) if item[1] == own]
            scores.append(np.mean([n / i for n, i in enumerate(hits, 1)]))
    return np.mean(scores)


@pytest.mark.filterwarnings("ignore:CPBC with 1 bits")
def test_a_perfect_classifier_by_all_orders():
    # Both classes hold (+1, +1) and (-1, -1).
    codes, classes = codebooks.dshc_table(2, 2)
    items = list(zip(codes, classes))
    found = accuracy.perfect(codes, classes, queries=3, database=3)
    assert found["even"]["map"] == pytest.approx(mean_precision(items, items))
    assert found["even"]["map"] < 0.9
    assert found["even"]["recall@0"] == pytest.approx(1 / 3)
    assert found["best"]["map"] == found["best"]["recall@0"] == 1


def test_three_bits_a_class_are_enough_for_a_perfect_classifier():
    codes, classes = codebooks.dshc_table(9, 3)
    found = accuracy.perfect(codes, classes, queries=20, database=50)
    assert found["even"]["map"] == pytest.approx(1)
    assert found["even"]["recall@0"] == pytest.approx(0.1)


def test_spread_is_even():
    codes, classes = codebooks.dshc_table(9, 3)
    packed, given = accuracy.spread(codes, classes, 25)
    np.testing.assert_array_equal(given, np.repeat([0, 1, 2], 25))
    _, counts = np.unique(packed[:25], axis=0, return_counts=True)
    assert len(counts) == 10 and set(counts) == {2, 3}


def test_random_starts_count_what_fails():
    row = accuracy.random_starts(bits=5, num_classes=4, starts=12)
    assert row["starts"] == 12 and row["equal"] + row["empty"] < 12
    low, middle, high = row["kept"]
    assert 4 <= low <= middle <= high <= 4 * 6
    assert 0 < row["even"][0] <= row["even"][2] <= 1


@pytest.fixture(scope="module")
def digits():
    return keras_hash.data.load("digits")


def test_a_row_of_one_model(digits):
    keras.utils.set_random_seed(0)
    model = keras_hash.models.DSHC(bits=30, num_classes=10, top_k=2)
    row, codes = accuracy.classified(model, digits)
    assert model.settings["top_k"] == 2
    assert sorted(row["by_k"]) == [1, 2, 3, 5, 11, 21, 31]
    for k in (1, 2):
        model.settings["top_k"] = k
        report, expected = measure(model, digits)
        assert row["by_k"][k]["map"] == pytest.approx(report.metrics["map"])
        if k == 1:
            assert row["map"] == row["by_k"][1]["map"]
            np.testing.assert_array_equal(codes["query"], expected["query"])
    # With the class told, what is left is the choice among sub-classes.
    assert row["told"]["map"] == pytest.approx(1)
    assert row["accuracy_query"] < 0.5


def test_rows_are_kept_and_skipped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(store, "FOLDER", tmp_path)
    store.add("part", "a", {"x": np.float64(1 / 3), "y": [0.123456]})
    store.add("part", "b", {"x": 2})
    assert store.read("part") == {
        "a": {"x": 0.33333, "y": [0.12346]},
        "b": {"x": 2},
    }
    assert store.missing("part", "abc", again=False) == ["c"]
    assert store.missing("part", "abc", again=True) == ["a", "b", "c"]
    assert "part b x=2" in capsys.readouterr().out


def test_times_take_turns():
    order = []
    calls = {name: (lambda name=name: order.append(name)) for name in "ab"}
    medians, rounds = times.take_turns(calls, seconds=60, rounds=5)
    assert order == list("ab") * 7 and rounds == 5
    assert set(medians) == {"wall", "cpu"}
    assert set(medians["cpu"]) == {"a", "b"}
    found = times.ratios({"wall": {"a": 2.0, "b": 3.0}}, "a")
    assert found == {"wall": {"a": 1.0, "b": 1.5}}


def test_classes_come_back_from_similarity(rng):
    truth = rng.randint(0, 4, 50)
    looks = []

    def row(image):
        looks.append(image)
        return truth == truth[image]

    found = labels.classes_from_similarity(row, 50)
    assert len(looks) == 4 and found.max() == 3
    assert labels.same_partition(found, truth)
    assert not labels.same_partition(found, rng.permutation(truth))
    assert not labels.same_partition(found, np.zeros(50, int))


@pytest.mark.parametrize("wrong", [(1, 2), (0, 0)])
def test_wrong_similarity_is_not_taken_for_classes(wrong):
    truth = np.array([0, 0, 1, 1])
    similar = truth[:, None] == truth
    # Image 0 misses itself, or image 2 is similar to one of the other class.
    similar[wrong] = similar[wrong[::-1]] = ~similar[wrong]
    with pytest.raises(ValueError, match="markov_clusters"):
        labels.classes_from_similarity(lambda image: similar[image], 4)


def sets_of(targets):
    return labels.label_sets_from_similarity(targets @ targets.T > 0)


def columns(targets):
    return {tuple(column) for column in np.asarray(targets).T.tolist()}


def test_label_sets_come_back_from_similarity(rng):
    targets = (rng.rand(60, 5) < 0.4).astype(int)
    targets[:5] = np.eye(5)
    # Images without a label are similar to nothing.
    targets[7] = 0
    found = sets_of(targets)
    assert found.shape == (60, 5) and not found[7].any()
    assert columns(found) == columns(targets)


def test_a_label_without_an_image_of_its_own_is_lost():
    targets = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1]])
    found = columns(sets_of(targets))
    assert tuple(targets[:, 2]) not in found


def test_markov_clusters_with_and_without_errors():
    truth = np.repeat(np.arange(3), 40)
    similar = truth[:, None] == truth
    for share in (0.0, 0.1):
        told = labels.with_errors(similar, share)
        np.testing.assert_array_equal(told, told.T)
        assert told.diagonal().all()
        assert np.mean(told != similar) == pytest.approx(share, abs=0.02)
        assert labels.same_partition(labels.markov_clusters(told), truth)
    noise = labels.with_errors(similar, 0.5)
    assert not labels.same_partition(labels.markov_clusters(noise), truth)


@pytest.fixture
def task(digits, monkeypatch):
    """The comparison's task on digits, which need no download."""
    features = dataclasses.replace(
        digits, images=digits.images.reshape(len(digits.images), -1) / 255
    )
    task = labels.Given(**dataclasses.asdict(store.TASK), given=features)
    monkeypatch.setattr(store, "TASK", task)
    return task


def test_unseen_classes_are_behind_those_that_train(digits, task):
    base = {f: getattr(task, f) for f in ("name", "epochs", "batch_size")}
    base |= {f: getattr(task, f) for f in ("rate", "bits", "seeds")}
    parts = []
    for draw in (0, 1):
        found = disjoint.Unseen(**base, draw=draw).benchmark
        assert found.num_classes == 5 and found.protocol == "disjoint"
        images, trained = found.arrays("train")
        assert set(trained) == set(range(5))
        assert set(found.arrays("query")[1]) == set(range(5, 10))
        assert set(found.arrays("database")[1]) == set(range(5, 10))
        np.testing.assert_allclose(images.mean(axis=0), 0, atol=1e-6)
        # The names went with the numbers.
        old = digits.targets[found.parts["train"]]
        names = np.array(found.labels)[trained]
        np.testing.assert_array_equal(names, np.array(digits.labels)[old])
        parts.append(found.parts["train"])
    assert not np.array_equal(*parts)


def test_every_method_is_measured_on_unseen_classes(task):
    runs = list(disjoint.runs().values())
    methods = {method for method, *_ in runs}
    assert methods == set(disjoint.compare_methods.all_methods(task))
    assert len(set(runs)) == len(runs)
    for method in disjoint.HEART:
        assert len([r for r in runs if r[0] == method and r[3] == 0]) == 3


def test_code_places_keep_equal_codes_together(rng):
    codes = np.repeat(rng.randint(0, 256, (12, 2)).astype("uint8"), 5, axis=0)
    places = figures.code_places(codes, 16).reshape(12, 5, 2)
    centres = places.mean(axis=1)
    apart = np.linalg.norm(centres[:, None] - centres, axis=-1)
    own = np.linalg.norm(places - centres[:, None], axis=-1)
    assert own.max() < np.sort(apart, axis=1)[:, 1].min()


def test_pictures_of_several_codes(tmp_path, rng):
    curves = {"radius": [0, 1, 2], "precision": [1, 0.5, 0.1]}
    curves["recall"] = [0, 0.5, 1]
    path = tmp_path / "curves.png"
    figures.radius_curves({"a": curves, "b": curves}, "caption", path)
    panels = {"one": (rng.randn(20, 2), rng.randint(0, 3, 20))}
    pictures.code_map(panels, ["x", "y", "z"], tmp_path / "map.png")
    many = [str(number) for number in range(12)]
    pictures.code_map({**panels, "two": panels["one"]}, many, path)
    for found in tmp_path.iterdir():
        assert found.read_bytes().startswith(b"\x89PNG")


def test_the_page_is_current():
    text = store.PAGE.read_text()
    assert page.page() == text, "run `python tools/paper_dshc.py --page`"
    linked = set(re.findall(r"\((paper_dshc/[^)]+)\)", text))
    assert {"paper_dshc/figure2.png", "paper_dshc/figure3_30.png"} <= linked
    assert all((store.PAGE.parent / path).exists() for path in linked)
    pictures_ = list(store.FOLDER.glob("*.png"))
    assert sum(path.stat().st_size for path in pictures_) < 400 * 1024


def test_a_page_without_marks_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "PAGE", tmp_path / "page.md")
    store.PAGE.write_text("<!-- table1 -->\nno end\n")
    with pytest.raises(ValueError, match="lacks the lines '<!-- table1 -->'"):
        page.page()


def test_tables_without_rows_are_empty(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "FOLDER", tmp_path)
    for table in page.TABLES.values():
        assert isinstance(table(), str)
