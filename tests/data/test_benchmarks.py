"""Benchmarks: counts, checksums, order, and the inputs made from them."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import keras_hash
from keras_hash import data
from keras_hash.data import cifar10
from keras_hash.data import draws

needs_cifar = pytest.mark.skipif(
    not cifar10.is_prepared(),
    reason="CIFAR-10 is not prepared here; set TFDS_DATA_DIR",
)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture
def cifar(cifar10_is_read):
    return data.load("cifar10")


def test_digits(digits):
    assert digits.checksum == (
        "b8a0955a1390a8746639ed4120043676355126f6434b40521aabe9c792403d91"
    )
    assert digits.num_classes == 10 and not digits.multi_label
    sizes = {part: len(digits.parts[part]) for part in digits.parts}
    assert sizes == {
        "train": 1437,
        "validation": 0,
        "query": 360,
        "database": 1437,
    }
    assert digits.images.dtype == np.uint8
    assert digits.images.shape == (1797, 32, 32, 3)
    assert digits.images.min() == 0 and digits.images.max() == 255
    assert not set(digits.parts["query"]) & set(digits.parts["database"])
    _, labels = digits.arrays("query")
    np.testing.assert_array_equal(np.bincount(labels), [36] * 10)


def test_datasets_hold_the_arrays_in_order(digits):
    for part in ("train", "validation", "query", "database"):
        images, labels = digits.arrays(part)
        pairs = list(getattr(digits, part).as_numpy_iterator())
        assert len(pairs) == len(images)
        if pairs:
            np.testing.assert_array_equal([p[0] for p in pairs], images)
            np.testing.assert_array_equal([p[1] for p in pairs], labels)


@pytest.mark.real
@needs_cifar
def test_cifar10(cifar):
    assert cifar.checksum == (
        "37b72ae1e29e7a26bae77f9f4f088f6e7bfdeeae42bd296081b4c09c5731d7be"
    )
    assert cifar.labels[0] == "airplane" and cifar.labels[9] == "truck"
    train, labels = cifar.arrays("train")
    assert train.shape == (50_000, 32, 32, 3)
    np.testing.assert_array_equal(np.bincount(labels), [5000] * 10)
    assert len(cifar.parts["query"]) == 10_000
    # The known means of the training images show that these are the real ones.
    np.testing.assert_allclose(
        train.mean(axis=(0, 1, 2)) / 255, [0.4914, 0.4822, 0.4465], atol=5e-5
    )


@pytest.mark.real
@needs_cifar
@pytest.mark.parametrize(
    "protocol, train, query, database, checksum",
    [
        ("dshc", 5000, 1000, 5000, "4c8ad5ed4677a6e6"),
        ("cifar10-1", 500, 100, 5900, "2c747fa9045faf1a"),
        ("cifar10", 500, 100, 5400, "8859a807ce30632e"),
    ],
)
def test_drawn_protocols_of_cifar10(
    cifar10_is_read, protocol, train, query, database, checksum
):
    benchmark = data.load("cifar10", protocol)
    assert benchmark.checksum.startswith(checksum)
    counts = {
        part: np.bincount(benchmark.targets[indices], minlength=10)
        for part, indices in benchmark.parts.items()
        if len(indices)
    }
    for part, count in (
        ("train", train),
        ("query", query),
        ("database", database),
    ):
        np.testing.assert_array_equal(counts[part], [count] * 10)
    parts = {name: set(i) for name, i in benchmark.parts.items()}
    assert not parts["query"] & (parts["train"] | parts["database"])
    inside = parts["train"] <= parts["database"]
    assert inside == (protocol != "cifar10")


def test_draws_by_loops():
    targets = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    parts = draws.draw_per_class(
        targets, query=1, train=2, train_in_database=False, seed=0
    )
    random = np.random.RandomState(0)
    query, train = [], []
    for c in (0, 1):
        order = list(random.permutation([i for i in range(8) if i % 2 == c]))
        query.append(order[0])
        train += order[1:3]
    assert sorted(query) == list(parts["query"])
    assert sorted(train) == list(parts["train"])
    rest = set(range(8)) - set(query) - set(train)
    assert sorted(rest) == list(parts["database"])


def test_validation_is_cut_from_the_training_set_alone(digits):
    cut = data.load("digits", validation=0.2, seed=3)
    train, held = cut.parts["train"], cut.parts["validation"]
    assert not set(train) & set(held)
    np.testing.assert_array_equal(
        np.sort([*train, *held]), digits.parts["train"]
    )
    np.testing.assert_array_equal(cut.parts["query"], digits.parts["query"])
    assert cut.checksum == digits.checksum
    shares = np.bincount(cut.targets[held]) / np.bincount(
        digits.arrays("train")[1]
    )
    np.testing.assert_allclose(shares, 0.2, atol=0.01)
    again = data.load("digits", validation=0.2, seed=3)
    np.testing.assert_array_equal(again.parts["validation"], held)


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("share", [0.1, 0.35])
@pytest.mark.parametrize("several", [False, True])
def test_a_validation_cut_keeps_the_share_of_every_label(several, share, seed):
    """One label or several: stratified, of the training set, nothing lost."""
    random = np.random.RandomState(1)
    # Labels from frequent to rare, and images without one.
    targets = (random.rand(900, 8) < 0.5 ** np.arange(1, 9)).astype("uint8")
    if not several:
        targets = targets.argmax(axis=1)
    whole = data.load("digits")
    train = random.permutation(900)[:800]
    whole = dataclasses.replace(
        whole, targets=targets, parts=draws.parts(train, np.arange(5), train)
    )
    cut = whole.hold_out(share, seed)
    kept, held = cut.parts["train"], cut.parts["validation"]
    assert not set(kept) & set(held)
    assert sorted([*kept, *held]) == sorted(train)
    for part in ("query", "database"):
        np.testing.assert_array_equal(cut.parts[part], whole.parts[part])
    again = whole.hold_out(share, seed)
    np.testing.assert_array_equal(again.parts["validation"], held)
    assert set(held) != set(whole.hold_out(share, seed + 1).parts["validation"])
    rows = targets if several else np.eye(8)[targets]
    of_each = rows[train].sum(axis=0)
    np.testing.assert_allclose(
        rows[held].sum(axis=0), share * of_each, atol=2.5 if several else 0.5
    )


def test_a_validation_cut_of_one_label_is_drawn_class_by_class(digits):
    """Written out, since recipes were trained with it."""
    train, random = digits.parts["train"], np.random.RandomState(3)
    held = []
    for c in range(10):
        members = [i for i in train if digits.targets[i] == c]
        order = random.permutation(len(members))
        held += [members[i] for i in order[: round(0.1 * len(members))]]
    cut = digits.hold_out(0.1, 3)
    assert sorted(held) == cut.parts["validation"].tolist()
    assert len(digits.hold_out(0.001).parts["validation"]) == 0


def test_the_checksum_sees_a_change(digits):
    targets = digits.targets.copy()
    targets[digits.parts["query"][0]] += 1
    changed = dataclasses.replace(digits, targets=targets)
    assert changed.checksum != digits.checksum
    # The name of a file that is not valid UTF-8.
    ids = digits.ids.astype(object)
    ids[0] = "caf\udce9.png"
    renamed = dataclasses.replace(digits, ids=ids.astype(str))
    assert renamed.checksum not in (changed.checksum, digits.checksum)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": "cifar-10"}, "should be one of"),
        *(
            ({"name": name, "protocol": "mine"}, "protocol='mine'")
            for name in data.names()
        ),
        ({"name": "digits", "validation": 1}, "validation=1"),
    ],
)
def test_wrong_names(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.load(**arguments)


def test_wrong_part(digits):
    with pytest.raises(ValueError, match="part='test'"):
        digits.arrays("test")


def test_cifar10_elsewhere_says_what_to_do(monkeypatch, tmp_path):
    import tensorflow_datasets as tfds

    def refuse(*_, **__):
        raise ConnectionError("no network")

    for name in ("TFDS_DATA_DIR", "KERAS_HASH_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tfds, "load", refuse)
    assert not cifar10.is_prepared()
    with pytest.raises(FileNotFoundError, match="set TFDS_DATA_DIR to it"):
        data.load("cifar10")


def numbered(count=20):
    """Images whose pixels are their index."""
    images = np.arange(count, dtype="uint8")[:, None, None, None]
    images = np.broadcast_to(images, (count, 4, 4, 3))
    return tf.data.Dataset.from_tensor_slices((images, np.arange(count) % 3))


def collect(batches):
    return [
        (int(i), int(image[0, 0, 0]), int(label))
        for images, labels in batches.as_numpy_iterator()
        for i, image, label in zip(labels["index"], images, labels["label"])
    ]


def test_batches_keep_image_label_and_index_together():
    rows = collect(data.batches(numbered(), 6, shuffle=True, seed=1))
    assert sorted(rows) == [(i, i, i % 3) for i in range(20)]
    assert rows != sorted(rows)
    assert collect(data.batches(numbered(), 6)) == sorted(rows)
    assert len(data.batches(numbered(), 6, drop=True)) == 3
    labels = next(iter(data.batches(numbered(), 6, index=False)))[1]
    assert labels.shape == (6,)


def test_epochs_differ_and_runs_repeat():
    def epochs():
        batches = data.batches(
            numbered(),
            5,
            augment=data.Augment(flip=True, shift=2),
            shuffle=True,
            seed=7,
        )
        return [collect(batches) for _ in range(2)]

    first, second = epochs()
    assert first != second
    assert epochs() == [first, second]


@pytest.mark.parametrize(
    "dataset",
    [
        numbered().batch(4),
        numbered().map(lambda image, label: image),
    ],
)
def test_batches_refuse(dataset):
    with pytest.raises(
        ValueError, match="unbatched|should yield .image, label"
    ):
        data.batches(dataset, 4)


def test_shuffling_needs_a_size():
    with pytest.raises(ValueError, match="known size"):
        data.batches(numbered().filter(lambda *_: True), 4, shuffle=True)


def test_augmentation_only_flips_and_shifts(rng):
    images = rng.randint(0, 256, (40, 8, 8, 3)).astype("uint8")
    for flip in (False, True):
        for shift in (0, 2):
            augment = data.Augment(flip=flip, shift=shift)
            got = augment(tf.constant(images), tf.constant([1, 2])).numpy()
            assert got.dtype == np.uint8 and got.shape == images.shape
            padded = np.pad(
                images,
                [(0, 0), (shift, shift), (shift, shift), (0, 0)],
                mode="reflect",
            )
            seen = set()
            for image, options in zip(got, padded):
                found = [
                    (mirrored, dy, dx)
                    for dy in range(2 * shift + 1)
                    for dx in range(2 * shift + 1)
                    for mirrored in ((False, True) if flip else (False,))
                    if np.array_equal(
                        image,
                        options[dy : dy + 8, dx : dx + 8][
                            :, :: -1 if mirrored else 1
                        ],
                    )
                ]
                assert found
                seen.update(found)
            assert len(seen) > (10 if shift else int(flip))


def test_public_names():
    assert keras_hash.data.load is data.load


def test_a_failed_download_is_not_prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERAS_HASH_DATA", raising=False)
    (tmp_path / "cifar10" / "3.0.2").mkdir(parents=True)
    assert not keras_hash.data.cifar10.is_prepared()
    (tmp_path / "cifar10" / "3.0.2" / "dataset_info.json").write_text("{}")
    assert keras_hash.data.cifar10.is_prepared()


def test_a_validation_set_goes_back_before_another_is_cut():
    images = np.random.RandomState(0).randint(0, 256, (40, 4, 4, 3), "uint8")
    bench = data.from_arrays(images, np.arange(40) % 2, query=0.1)
    once = bench.hold_out(0.25)
    again = once.hold_out(0.1)
    for one in (once, again):
        both = [*one.parts["train"], *one.parts["validation"]]
        np.testing.assert_array_equal(
            np.sort(both), np.sort(bench.parts["train"])
        )
        assert one.checksum == bench.checksum
    for share in (1.5, -0.3, "0.1"):
        with pytest.raises(ValueError, match="`share` should be a share"):
            bench.hold_out(share)
