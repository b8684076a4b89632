"""Protocols: counts, disjoint parts and pinned lists, on real labels."""

import hashlib
import itertools
import json
import pathlib

import numpy as np
import protocol_page
import pytest

from keras_hash import cli
from keras_hash import data
from keras_hash.data import cifar10
from keras_hash.data import draws
from keras_hash.data import label_sets
from keras_hash.data import places
from keras_hash.data import protocols
from keras_hash.data.builders.nus_wide import nus_wide_dataset_builder

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MATRICES = places.found("label_matrices")
real = pytest.mark.real
needs_matrices = pytest.mark.skipif(
    MATRICES is None, reason="The label matrices are not here"
)
needs_cifar = pytest.mark.skipif(
    not cifar10.is_prepared(), reason="CIFAR-10 is not prepared here"
)

# Protocols whose queries or training images are part of the database.
CONTAINS = {
    "official": {"train"},
    "levels": {"train"},
    "dshc": {"train"},
    "cifar10-1": {"train"},
    "nus21-1": {"train"},
    "nus21-2": {"train"},
    "nus81": {"train"},
    "mir24": {"train"},
    "coco:hashnet": {"query"},
    "imagenet100:hashnet": {"train"},
}


def matrix(name):
    return np.load(MATRICES / f"{name}.npz")


def nus_wide():
    """Rows as the builder stores them: labels in the publisher's order."""
    content = matrix("nuswide81_269648")
    names = content["names"].tolist()
    columns = [names.index(name) for name in label_sets.NUS81]
    ids = nus_wide_dataset_builder.photo_ids(
        [f"x/0_{i}.jpg" for i in content["flickr_id"]]
    )
    return content["Y"][:, columns], np.array(ids), label_sets.NUS81


def mirflickr():
    content = matrix("mirflickr38_25000")
    ids = np.char.replace(content["path"], ".jpg", "")
    return content["Y"], ids, label_sets.MIR38


def coco():
    content = matrix("coco80_hashnet")
    return content["Y"], content["path"], ()


def voc2012():
    content = matrix("voc2012_20_11540")
    ids = [path.rpartition("/")[2] for path in content["path"].tolist()]
    return content["Y"], np.array(ids), ()


REAL = {
    "nus_wide": nus_wide,
    "mirflickr25k": mirflickr,
    "coco": coco,
    "voc2012": voc2012,
}


def dummy(dataset):
    """Labels, ids, split names and label names of a whole dataset."""
    if dataset == "imagenet100":
        per_class = np.full(100, 1285)
        per_class[:3] += 1
        targets = np.r_[np.repeat(np.arange(100), per_class), np.arange(5000)]
        targets = targets % 100
        splits = np.repeat(["train", "validation"], [per_class.sum(), 5000])
        # Two more classes, which the protocol leaves out.
        names = ["n00000001", *label_sets.IMAGENET100, "n99999999"]
        targets = np.r_[targets + 1, [0, 101]]
        splits = np.r_[splits, ["train", "validation"]]
    else:
        counts, names = {
            "cifar10": ({"train": 50_000, "test": 10_000}, range(10)),
            "cifar100": ({"train": 50_000, "test": 10_000}, range(100)),
            "voc2007": (
                {"train": 2501, "validation": 2510, "test": 4952},
                range(20),
            ),
            "voc2012": ({"train": 5717, "validation": 5823}, range(20)),
        }[dataset]
        splits = np.repeat(list(counts), list(counts.values()))
        targets = np.arange(len(splits)) % len(names)
    ids = np.array([f"{i:06d}" for i in range(len(splits))])
    return targets, ids, splits, [str(name) for name in names]


def check(plan, split, count):
    """Counts and overlaps of a split of `count` images."""
    assert plan.differences(split.parts) == []
    sets = {part: set(rows.tolist()) for part, rows in split.parts.items()}
    for part, rows in split.parts.items():
        assert len(sets[part]) == len(rows) and (np.diff(rows) > 0).all()
    union = sets["train"] | sets["query"] | sets["database"]
    assert union == set(range(len(union))) and len(union) == count
    assert not sets["train"] & sets["query"]
    inside = CONTAINS.get(
        f"{plan.dataset}:{plan.name}", CONTAINS.get(plan.name, set())
    )
    for part in ("train", "query"):
        if part in inside:
            assert sets[part] <= sets["database"]
        else:
            assert not sets[part] & sets["database"]


def checksum(split, ids):
    digest = hashlib.sha256()
    for part in ("train", "query", "database"):
        names = ids[split.rows][split.parts[part]]
        digest.update("\n".join([part, *names]).encode())
    return digest.hexdigest()[:16]


@real
@needs_matrices
@pytest.mark.parametrize(
    "dataset, name, images, pinned",
    [
        ("nus_wide", "nus21-1", 195_834, "b8f57586a3846b7e"),
        ("nus_wide", "nus21-2", 195_834, "1644be1a206cc76d"),
        ("nus_wide", "nus81", 209_347, "7d1de6f29f40724d"),
        ("mirflickr25k", "mir38", 25_000, "27b1896d1654d1ea"),
        ("mirflickr25k", "mir24", 24_581, "d54272f283ec11a7"),
        ("coco", "hashnet", 122_218, "211fa401f39ee81d"),
        ("coco", "hashnet-clean", 122_218, "8faaa4d46becdacf"),
        ("voc2012", "voc2012", 11_540, "9cc4607ea43a1323"),
    ],
)
def test_real_labels(dataset, name, images, pinned):
    targets, ids, labels = REAL[dataset]()
    plan = protocols.find(dataset, name)
    split = plan.split(targets, ids, labels=labels)
    assert len(split.rows) == images
    check(plan, split, images)
    if plan.only_labelled:
        assert split.targets.any(axis=1).all()
    assert checksum(split, ids) == pinned
    # Neither the order of the rows nor that of the columns matters.
    random = np.random.RandomState(1)
    rows = random.permutation(len(ids))
    columns = np.arange(targets.shape[1])
    if len(labels):
        columns = random.permutation(columns)
        labels = [labels[c] for c in columns]
    again = plan.split(targets[rows][:, columns], ids[rows], labels=labels)
    assert checksum(again, ids[rows]) == pinned
    np.testing.assert_array_equal(again.targets, split.targets)


@real
@needs_matrices
def test_nus21_are_the_most_frequent_concepts():
    targets, ids, labels = nus_wide()
    top = np.argsort(-targets.sum(axis=0, dtype=int), kind="stable")[:21]
    assert sorted(labels[c] for c in top) == list(label_sets.NUS21)
    assert targets[:, top].any(axis=1).sum() == 195_834
    assert targets[:, top].sum(axis=0).min() > 5000
    # Six photos are listed twice.
    assert sum(name.endswith("-2") for name in ids) == 6
    plan = protocols.find("nus_wide", "nus21-1")
    split = plan.split(targets, ids, labels=labels)
    for part, least in (("query", 100), ("train", 500)):
        assert split.targets[split.parts[part]].sum(axis=0).min() >= least


@real
@needs_matrices
@pytest.mark.parametrize(
    "dataset, name, names",
    [
        ("mirflickr25k", "mir38", ("train", "test", "database")),
        ("voc2012", "voc2012", ("train", "test", "database")),
        ("coco", "hashnet-clean", ("train", "query", "db")),
    ],
)
def test_published_lists(dataset, name, names):
    targets, ids, labels = REAL[dataset]()
    file = {
        "mirflickr25k": "mirflickr38_25000",
        "voc2012": "voc2012_20_11540",
        "coco": "coco80_hashnet",
    }[dataset]
    split = matrix(file)["split"]
    listed = [ids[split == part] for part in names]
    plan = protocols.find(dataset, name)
    pool = plan.split(targets, ids, labels=labels)
    parts = protocols.listed(ids[pool.rows], *listed)
    assert plan.differences(parts) == []
    for part, published in zip(("train", "query", "database"), listed):
        found = ids[pool.rows][parts[part]]
        np.testing.assert_array_equal(found, published)
    # Ours are others.
    ours = set(ids[pool.rows][pool.parts["query"]])
    assert len(ours & set(listed[1])) < 0.2 * len(ours)
    with pytest.raises(ValueError, match="2 listed images .*'moon'"):
        protocols.listed(ids, ["moon", "sun"], [], [])


@real
@needs_matrices
def test_mirflickr24_are_the_potential_labels():
    targets, ids, labels = mirflickr()
    plan = protocols.find("mirflickr25k", "mir24")
    split = plan.split(targets, ids, labels=labels)
    content = matrix("mirflickr24_24581")
    order = np.argsort(np.char.replace(content["path"], ".jpg", ""))
    np.testing.assert_array_equal(split.targets, content["Y"][order])


@pytest.mark.parametrize(
    "dataset, name, images",
    [
        ("cifar10", "official", 60_000),
        ("cifar10", "dshc", 60_000),
        ("cifar10", "cifar10-1", 60_000),
        ("cifar10", "cifar10", 60_000),
        ("cifar100", "official", 60_000),
        ("cifar100", "levels", 60_000),
        ("voc2007", "official", 9963),
        ("voc2012", "official", 11_540),
        ("voc2012", "voc2012", 11_540),
        ("imagenet100", "hashnet", 133_503),
    ],
)
def test_made_up_labels(dataset, name, images):
    targets, ids, splits, labels = dummy(dataset)
    plan = protocols.find(dataset, name)
    split = plan.split(targets, ids, splits, labels)
    assert len(split.rows) == images
    check(plan, split, images)
    if plan.seed is None:
        test = "validation" if "validation" in splits[-1] else "test"
        queries = splits[split.rows][split.parts["query"]]
        assert set(queries) == {test}


def test_imagenet100_keeps_its_classes():
    targets, ids, splits, labels = dummy("imagenet100")
    plan = protocols.find("imagenet100", "hashnet")
    split = plan.split(targets, ids, splits, labels)
    assert split.labels == list(label_sets.IMAGENET100)
    for part, count in (("query", 50), ("train", 130)):
        found = np.bincount(split.targets[split.parts[part]])
        np.testing.assert_array_equal(found, [count] * 100)
    with pytest.raises(ValueError, match="needs the labels"):
        plan.split(targets, ids, splits, labels[:50])


def test_every_protocol_is_complete():
    plans = [
        plan
        for module in set(protocols.sets().values())
        for plan in module.PROTOCOLS
    ]
    names = [(p.dataset, p.name) for p in plans]
    assert len(set(names)) == len(names)
    assert sorted({dataset for dataset, _ in names}) == data.names()
    for plan in plans:
        assert set(plan.counts) == {"train", "query", "database"}
        assert plan.query and plan.train and plan.database and plan.labels
        assert protocols.find(plan.dataset, plan.name) is plan
        json.dumps(plan.card())


def test_sizes_of_the_label_sets():
    sets = (
        label_sets.NUS81,
        label_sets.NUS21,
        label_sets.MIR24,
        label_sets.MIR38,
        label_sets.IMAGENET100,
    )
    assert [len(set(names)) for names in sets] == [81, 21, 24, 38, 100]
    for names in sets:
        assert list(names) == sorted(names)


def test_draw_per_label_by_loops(rng):
    targets = (rng.rand(60, 4) < 0.4).astype("uint8")
    found = draws.draw_per_label(targets, query=2, train=3, seed=5)
    queries, trained = [], []
    need = {"query": [2] * 4, "train": [3] * 4}
    for i in np.random.RandomState(5).permutation(60):
        for part, chosen in (("query", queries), ("train", trained)):
            label = next(
                (c for c in range(4) if targets[i, c] and need[part][c]), None
            )
            if label is not None:
                need[part][label] -= 1
                chosen.append(i)
                break
    assert sorted(queries) == found["query"].tolist() and len(queries) == 8
    assert sorted(trained) == found["train"].tolist() and len(trained) == 12
    assert sorted({*range(60)} - {*queries}) == found["database"].tolist()
    with pytest.raises(ValueError, match=r"too few for \[2\]"):
        draws.draw_per_label(targets * [1, 1, 0, 1], 2, 3, seed=5)


def test_too_few_images():
    with pytest.raises(ValueError, match="Received: 9 images"):
        draws.draw_at_random(np.zeros(9), 5, 5, 0, True)
    plan = protocols.find("voc2012", "voc2012")
    with pytest.raises(ValueError, match="3 ids, 2 different"):
        plan.split(np.zeros(3), ["a", "b", "a"])


def test_cifar100_levels():
    fine = np.arange(100)
    rows = np.zeros((100, 120), int)
    rows[fine, fine] = 1
    rows[fine, 100 + fine // 5] = 1
    shared = rows @ rows.T
    for i, j in itertools.product(range(100), repeat=2):
        assert shared[i, j] == (2 if i == j else int(i // 5 == j // 5))
    plan = protocols.find("cifar100", "levels")
    assert plan.fields == ("label", "coarse_label")


def shares_no_class(benchmark):
    classes = {
        part: set(benchmark.targets[rows].tolist())
        for part, rows in benchmark.parts.items()
    }
    assert classes["query"] == classes["database"]
    assert not classes["train"] & classes["query"]
    return len(classes["train"]), len(classes["query"])


def test_disjoint_classes_of_the_digits():
    digits = data.load("digits")
    benchmark = data.load("digits", "disjoint", validation=0.1)
    assert shares_no_class(benchmark) == (5, 5)
    assert len(benchmark.parts["validation"]) > 0
    whole = data.load("digits", "disjoint")
    plan = protocols.find("digits", "disjoint")
    assert plan.differences(whole.parts) == []
    again = data.disjoint_classes(digits)
    assert again.protocol == "disjoint" and again.checksum == whole.checksum
    for part in ("train", "query", "database"):
        assert set(whole.parts[part]) <= set(digits.parts[part])
    other = data.disjoint_classes(digits, train_share=0.3, seed=4)
    assert shares_no_class(other) == (3, 7)
    with pytest.raises(ValueError, match="both sides"):
        data.disjoint_classes(digits, train_share=0.01)
    with pytest.raises(ValueError, match="one label"):
        data.disjoint_classes(data.load("multidigits"))


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_disjoint_protocols(dataset):
    targets, ids, splits, labels = dummy(dataset)
    plan = protocols.find(dataset, "disjoint")
    split = plan.split(targets, ids, splits, labels)
    assert plan.differences(split.parts) == []
    classes = {
        part: set(split.targets[rows]) for part, rows in split.parts.items()
    }
    half = len(labels) // 2
    assert len(classes["train"]) == len(classes["query"]) == half
    assert classes["query"] == classes["database"]
    assert not classes["train"] & classes["query"]


@real
@needs_cifar
def test_cifar10_disjoint(cifar10_is_read):
    benchmark = data.load("cifar10", "disjoint")
    assert shares_no_class(benchmark) == (5, 5)
    assert benchmark.checksum.startswith("1e7832ab5eeba7e1")


def test_info_shows_a_protocol(capsys):
    assert cli.main(["info", "cifar10:dshc"]) == 0
    assert "1,000 a class" in capsys.readouterr().out
    assert cli.main(["info", "nus_wide:nus21-1", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["counts"]["database"] == 193_734 and card["k"] == 5000
    assert len(card["label_names"]) == 21
    assert cli.main(["info", "cifar10:moon"]) == 2
    assert "'cifar10-1'" in capsys.readouterr().err


def test_the_page_of_protocols_is_current():
    text = (ROOT / "docs" / "protocols.md").read_text()
    assert protocol_page.page() == text, "run python tools/protocol_page.py"
