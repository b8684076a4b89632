"""One's own images as a benchmark: folders, CSV files, arrays, datasets."""

import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_hash
from keras_hash import data
from keras_hash.data import benchmark as benchmarks
from keras_hash.data import draws
from keras_hash.data import images


def paint(path, number):
    """A small image that no other number has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    color = (number % 256, number // 256, 7)
    Image.new("RGB", (12, 8), color).save(path)


@pytest.fixture
def photos(tmp_path):
    """Three classes of 10 images, some nested, with names in any case."""
    root = tmp_path / "photos"
    for c, name in enumerate(("ant", "bee", "cow")):
        for i in range(10):
            inside = f"deep/er/{i}.PNG" if i == 9 else f"{i}.png"
            paint(root / name / inside, 10 * c + i)
    return root


def check_parts(benchmark, used=None):
    parts = {name: set(indices) for name, indices in benchmark.parts.items()}
    everything = set(range(len(benchmark.targets)) if used is None else used)
    assert not parts["query"] & parts["database"]
    assert parts["query"] | parts["database"] == everything
    assert not parts["train"] & parts["validation"]
    assert parts["train"] | parts["validation"] == parts["database"]


def test_folder(photos):
    benchmark = data.from_folder(photos, query=0.2)
    check_parts(benchmark)
    assert benchmark.name == "photos" and not benchmark.multi_label
    assert benchmark.labels == ["ant", "bee", "cow"]
    assert not any(benchmark.notes.values())
    images, labels = benchmark.arrays("query", image_size=(8, 12))
    np.testing.assert_array_equal(np.bincount(labels), [2, 2, 2])
    assert images.shape == (6, 8, 12, 3)
    assert "ant/deep/er/9.PNG" in benchmark.ids
    # Image, label and id belong together, in arrays and datasets.
    for part in ("train", "query", "database"):
        images, labels = benchmark.arrays(part)
        names = benchmark.ids[benchmark.parts[part]]
        for image, label, name in zip(images, labels, names):
            folder, number = name.split("/")[0], name.split("/")[-1][0]
            assert benchmark.labels[label] == folder
            assert image[0, 0, 0] == 10 * label + int(number)
        pairs = list(getattr(benchmark, part).as_numpy_iterator())
        np.testing.assert_array_equal([p[0] for p in pairs], images)
        np.testing.assert_array_equal([p[1] for p in pairs], labels)


def test_the_seed_decides_the_split(photos):
    def load(seed):
        return data.from_folder(photos, validation=0.2, seed=seed)

    first, again, other = load(3), load(3), load(4)
    for part, indices in first.parts.items():
        np.testing.assert_array_equal(again.parts[part], indices)
    assert first.checksum == again.checksum != other.checksum
    check_parts(first)
    np.testing.assert_array_equal(
        np.bincount(first.arrays("validation")[1]), [2, 2, 2]
    )


def test_what_cannot_be_used_is_named_in_one_warning(photos):
    (photos / "ant/empty.jpg").touch()
    (photos / "ant/notes.txt").write_text("about ants")
    whole = (photos / "bee/1.png").read_bytes()
    (photos / "bee/cut.png").write_bytes(whole[:-30])
    (photos / "bee/.hidden").touch()
    (photos / "Thumbs.db").touch()
    (photos / "loose.png").write_bytes(whole)
    (photos / "nobody").mkdir()
    (photos / "broken").mkdir()
    (photos / "broken/1.png").touch()
    shutil.copy(photos / "cow/1.png", photos / "cow/copy.png")
    shutil.copy(photos / "ant/1.png", photos / "cow/not_a_cow.png")
    with pytest.warns(UserWarning) as caught:
        benchmark = data.from_folder(photos)
    assert len(caught) == 1
    assert benchmark.labels == ["ant", "bee", "cow"]
    assert len(benchmark.targets) == 30
    check_parts(benchmark)
    skipped = benchmark.notes["skipped"]
    assert set(skipped) == {
        "ant/empty.jpg", "ant/notes.txt", "bee/cut.png", "loose.png",
        "nobody/", "broken/1.png",
    }  # fmt: skip
    assert skipped["ant/empty.jpg"] == "empty file"
    assert "damaged" in skipped["bee/cut.png"]
    assert benchmark.notes["duplicates"] == {
        "cow/copy.png": "same content as cow/1.png",
        "cow/not_a_cow.png": "same content as ant/1.png, which has another "
        "label and is kept",
    }
    text = str(caught[0].message)
    for name in [*skipped, *benchmark.notes["duplicates"]]:
        assert name in text and name in benchmark.summary()


def test_classes_with_one_image_have_no_query(photos):
    paint(photos / "yak/1.png", 99)
    paint(photos / "zebu/1.png", 100)
    paint(photos / "zebu/2.png", 101)
    benchmark = data.from_folder(photos, query=0.9)
    counts = np.bincount(benchmark.arrays("query")[1], minlength=5)
    np.testing.assert_array_equal(counts, [9, 9, 9, 0, 1])


def test_chosen_classes(photos):
    benchmark = data.from_folder(photos, labels=["cow", "ant"])
    assert benchmark.labels == ["cow", "ant"]
    assert len(benchmark.targets) == 20
    assert benchmark.ids[0].startswith("cow/")
    with pytest.raises(ValueError, match="Received: dog"):
        data.from_folder(photos, labels=["cow", "dog"])


def test_folders_that_make_no_benchmark(photos, tmp_path):
    with pytest.raises(ValueError, match="which is not there"):
        data.from_folder(tmp_path / "moon")
    with pytest.raises(ValueError, match="which is a file"):
        data.from_folder(photos / "ant/1.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="two or more classes.*0 folders"):
        data.from_folder(tmp_path / "empty")
    with pytest.raises(ValueError, match="0.png: not in the folder"):
        data.from_folder(photos / "ant")
    for arguments in ({"query": 1}, {"validation": -0.1}):
        with pytest.raises(ValueError, match="share in"):
            data.from_folder(photos, **arguments)
    lonely = tmp_path / "lonely"
    paint(lonely / "a/1.png", 1)
    paint(lonely / "b/1.png", 2)
    with pytest.raises(ValueError, match="no image can be a query"):
        data.from_folder(lonely)
    benchmark = data.from_folder(lonely, query=0)
    assert len(benchmark.parts["query"]) == 0
    assert "0.5000" in benchmark.summary()


def write_csv(path, *lines, encoding="utf-8"):
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def test_csv_with_one_label_each(photos):
    rows = [
        f"{c}/{i}.png, {label} ,x"
        for c, label in (("ant", "10"), ("bee", "9"))
        for i in range(9)
    ]
    # Excel begins UTF-8 with a mark.
    path = write_csv(
        photos / "list.csv", "file,kind,more", *rows, encoding="utf-8-sig"
    )
    benchmark = data.from_csv(path, "file", "kind")
    assert benchmark.labels == ["9", "10"] and not benchmark.multi_label
    np.testing.assert_array_equal(np.bincount(benchmark.targets), [9, 9])
    assert benchmark.ids[0] == "ant/0.png" and benchmark.targets[0] == 1
    check_parts(benchmark)
    moved = photos.parent / "elsewhere.csv"
    path.rename(moved)
    again = data.from_csv(moved, "file", "kind", folder=photos)
    assert again.checksum == benchmark.checksum


def test_csv_with_a_separator_and_rows_without_labels(photos):
    rows = [f"ant/{i}.png;sky|sea" for i in range(5)]
    rows += [f"bee/{i}.png;sea| sea |" for i in range(5)]
    rows += ["cow/0.png;", "cow/1.png"]
    path = write_csv(photos / "list.csv", "file;words", *rows)
    benchmark = data.from_csv(
        path, "file", "words", separator="|", delimiter=";"
    )
    assert benchmark.multi_label and benchmark.labels == ["sea", "sky"]
    np.testing.assert_array_equal(
        benchmark.targets, [[1, 1]] * 5 + [[1, 0]] * 5 + [[0, 0]] * 2
    )
    check_parts(benchmark)
    assert {10, 11} <= set(benchmark.parts["train"])
    assert "labels an image  1.25; none: 2" in benchmark.summary()
    # Without a separator, rows without a label make rows of 0 and 1 too.
    rows = [f"ant/{i}.png,a" for i in range(5)] + ["bee/1.png,"]
    path = write_csv(photos / "list.csv", "file,words", *rows)
    with pytest.warns(UserWarning, match="1 of 6 images have no label"):
        assert data.from_csv(path, "file", "words").multi_label


def test_csv_with_a_column_a_label(photos):
    rows = [f"ant/{i}.png,1,0" for i in range(4)]
    rows += [f"bee/{i}.png,TRUE,1.0" for i in range(4)]
    rows += [f"cow/{i}.png,-1," for i in range(2)]
    path = write_csv(photos / "list.csv", "file,big,red", *rows)
    benchmark = data.from_csv(path, "file", ["red", "big"])
    assert benchmark.labels == ["red", "big"]
    np.testing.assert_array_equal(
        benchmark.targets, [[0, 1]] * 4 + [[1, 1]] * 4 + [[0, 0]] * 2
    )


def test_csv_leaves_out_and_names(photos):
    shutil.copy(photos / "ant/2.png", photos / "ant/copy.png")
    (photos / "ant/bad.png").touch()
    rows = [f"ant/{i}.png,a" for i in range(4)]
    rows += ["ant/moon.png,a", "./ant/1.png,a", "ant/copy.png,b", ",a"]
    rows += ["ant/bad.png,a", "ant/5.png,b", "ant/6.png,b"]
    # Names that no file can have.
    rows += [f"{'x' * 300}.png,a", "ant/\0.png,a"]
    path = write_csv(photos / "list.csv", "file,kind", *rows)
    with pytest.warns(UserWarning, match="7 left out") as caught:
        benchmark = data.from_csv(path, "file", "kind")
    assert len(caught) == 1
    assert benchmark.notes["skipped"] == {
        "ant/moon.png (line 6)": "no such file",
        f"{'x' * 300}.png (line 13)": "no such file",
        "ant/\0.png (line 14)": "no such file",
        "line 9": "no image named",
        "ant/bad.png": "empty file",
    }
    assert benchmark.notes["duplicates"]["line 7"] == "same image as line 3"
    assert "ant/2.png" in benchmark.notes["duplicates"]["ant/copy.png"]
    np.testing.assert_array_equal(benchmark.targets, [0, 0, 0, 0, 1, 1])


@pytest.mark.parametrize(
    "lines, arguments, message",
    [
        (["file,kind"], {}, "no image that can be read.*0 rows"),
        (["file,kind", "x.png,a"], {}, "x.png .line 2.: no such file"),
        (["a,b", "1,2"], {}, "list.csv should have the column 'file'"),
        (["file;kind", "a;b"], {}, "'file'.*file;kind.*delimiter"),
        ([""], {}, "should have the column 'file'"),
        (
            ["file,kind", "ant/1.png,a", "ant/1.png,b"],
            {},
            r"line 3: ant/1.png should have one row.*\['b'\].*line 2",
        ),
        (
            ["file,kind", "ant/1.png,cta"],
            {"labels": ["cat"]},
            "line 2: labels should be among .*'cta'",
        ),
        (
            ["file,big,red", "ant/1.png,1,0", "ant/2.png,2,0"],
            {"label_columns": ["big", "red"]},
            "line 3: column 'big' should be 0 or 1. Received: '2'",
        ),
        (
            ["file,big,red"],
            {"label_columns": ["big", "red"], "separator": "|"},
            "`label_columns` should be one column",
        ),
        (["file,kind"], {"label_columns": []}, "`label_columns` should be"),
        (["file,sky", "a.png,1"], {"label_columns": ["sky"]}, "two or more"),
        (["file,sky"], {"label_columns": ["sky", "sky"]}, "'sky' 2 times"),
        (["file,kind"], {"labels": ["a", "b", "a"]}, "'a' 2 times"),
    ],
)
def test_csv_that_makes_no_benchmark(photos, lines, arguments, message):
    path = write_csv(photos / "list.csv", *lines)
    arguments = {"label_columns": "kind", **arguments}
    with pytest.raises(ValueError, match=message):
        data.from_csv(path, "file", **arguments)


@pytest.mark.parametrize("cell", ['file,"{}', '"file,{}', 'file,"{}"x'])
def test_a_quote_without_an_end_takes_in_no_rows(photos, cell):
    lines = [f"ant/{i}.png,k{i % 2}" for i in range(9)]
    lines[5] = cell.replace("file", "ant/5.png").format("k1")
    path = photos / "list.csv"
    path.write_text("\n".join(["file,label", *lines, ""]))
    with pytest.raises(ValueError, match="csv, line 7: a quote that opens"):
        data.from_csv(path, "file", "label")
    lines[5] = 'ant/5.png,"k ""1"""'
    path.write_text("\n".join(["file,label", *lines, ""]))
    bench = data.from_csv(path, "file", "label", query=0.3)
    assert bench.labels == ['k "1"', "k0", "k1"]


def test_csv_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match="list.csv cannot be read"):
        data.from_csv(tmp_path / "list.csv", "file", "kind")
    path = tmp_path / "list.csv"
    path.write_bytes("file,kind\nmöwe.png,möwe\n".encode("latin-1"))
    with pytest.raises(ValueError, match="list.csv should be .* UTF-8"):
        data.from_csv(path, "file", "kind")


def test_names_are_different(photos, rng):
    with pytest.raises(ValueError, match="`labels` should be different"):
        data.from_folder(photos, labels=["ant", "bee", "ant"])
    images = rng.randint(0, 256, (9, 8, 8, 3)).astype("uint8")
    for labels in (np.arange(9) % 3, np.array(["a", "b", "c"] * 3)):
        with pytest.raises(ValueError, match="`names` should be different"):
            data.from_arrays(images, labels, names=["a", "b", "c", "a"])


def test_arrays(rng):
    images = rng.randint(0, 256, (60, 8, 8, 3)).astype("uint8")
    labels = np.arange(60) % 3
    benchmark = data.from_arrays(images, labels, names=["a", "b", "c"])
    check_parts(benchmark)
    np.testing.assert_array_equal(benchmark.images, images)
    np.testing.assert_array_equal(benchmark.targets, labels)
    named = data.from_arrays(images, np.array(["c", "a", "b"])[labels])
    assert named.labels == ["a", "b", "c"]
    np.testing.assert_array_equal(named.targets, (labels + 2) % 3)
    # Floats and grey images are what they look like.
    grey = data.from_arrays(images[..., 0].astype("float64"), labels[:, None])
    np.testing.assert_array_equal(
        grey.images, images[..., :1].repeat(3, axis=-1)
    )
    many = data.from_arrays(images, np.eye(3, dtype=bool)[labels])
    assert many.multi_label and many.targets.dtype == np.uint8


def test_equal_arrays_are_used_once(rng):
    images = rng.randint(0, 256, (30, 8, 8, 3)).astype("uint8")
    labels = np.arange(30) % 2
    images[[20, 21]] = images[0]
    with pytest.warns(UserWarning, match="20: same content as 0; 21"):
        benchmark = data.from_arrays(images, labels)
    assert len(benchmark.images) == 30
    check_parts(benchmark, set(range(30)) - {20, 21})
    assert "another label" in benchmark.notes["duplicates"]["21"]


@pytest.mark.parametrize(
    "images, labels, arguments, message",
    [
        (np.ones((2, 4, 4, 4)), [0, 1], {}, "images.shape=.2, 4, 4, 4."),
        (np.full((2, 4, 4, 3), 256), [0, 1], {}, "values from 256 to 256"),
        (np.full((2, 4, 4, 3), np.nan), [0, 1], {}, "should be finite"),
        (np.full((2, 4, 4, 3), 0.5), [0, 1], {}, "multiply .* by 255"),
        (np.full((2, 4, 4, 3), "a"), [0, 1], {}, "dtype=<U1"),
        (
            [np.ones((4, 4, 3)), np.ones((5, 4, 3))], [0, 1], {},
            "2 shapes, such as .4, 4, 3. and .5, 4, 3.",
        ),
        (np.ma.masked_equal(np.ones((2, 4, 4, 3)), 1), [0, 1], {}, "masked"),
        (np.ones((2, 4, 4, 3), int), [0], {}, "2 images, 1 labels"),
        (np.ones((0, 4, 4, 3), int), [], {}, "0 images, 0 labels"),
        (np.ones((2, 4, 4, 3), int), [0, -1], {}, "class numbers from 0"),
        (np.ones((2, 4, 4, 3), int), [0.5, 1], {}, "class numbers from 0"),
        (np.ones((2, 4, 4, 3), int), [[0, 2], [1, 1]], {}, "0 and 1 only"),
        (
            np.ones((2, 4, 4, 3), int), [0, 2], {"names": ["a"]},
            "one name a label, 3",
        ),
        (
            np.ones((2, 4, 4, 3), int), ["a", "x"], {"names": ["a"]},
            "Image 1: labels should be among",
        ),
    ],
)  # fmt: skip
def test_arrays_that_make_no_benchmark(images, labels, arguments, message):
    with pytest.raises(ValueError, match=message):
        data.from_arrays(images, labels, **arguments)


@pytest.mark.parametrize("batch", [None, 4, 7])
def test_datasets(rng, batch):
    images = rng.randint(0, 256, (30, 8, 8, 3)).astype("uint8")
    labels = np.arange(30) % 3
    expected = data.from_arrays(images, labels, validation=0.2)
    for pixels in (images, images.astype("float32")):
        dataset = tf.data.Dataset.from_tensor_slices((pixels, labels))
        dataset = dataset if batch is None else dataset.batch(batch)
        benchmark = data.from_dataset(dataset, validation=0.2)
        np.testing.assert_array_equal(benchmark.images, images)
        assert benchmark.checksum == expected.checksum


def test_datasets_of_several_sizes_and_of_keras(photos):
    def generate():
        for i in range(20):
            yield np.full((8 + i % 3, 9, 1), 10 * i, "uint8"), [i % 2, 1]

    dataset = tf.data.Dataset.from_generator(
        generate,
        output_signature=(
            tf.TensorSpec((None, 9, 1), "uint8"),
            tf.TensorSpec((2,), "int32"),
        ),
    )
    with pytest.raises(ValueError, match="3 shapes, such as .8, 9, 3."):
        data.from_dataset(dataset)
    benchmark = data.from_dataset(dataset, image_size=(4, 5))
    assert benchmark.images.shape == (20, 4, 5, 3) and benchmark.multi_label
    np.testing.assert_array_equal(
        benchmark.images[:, 0, 0, 0], 10 * np.arange(20)
    )
    import keras

    dataset = keras.utils.image_dataset_from_directory(
        photos, image_size=(8, 12), shuffle=False, verbose=False
    )
    benchmark = data.from_dataset(dataset)
    assert benchmark.labels == ["ant", "bee", "cow"]
    assert len(benchmark.targets) == 30


@pytest.mark.parametrize(
    "dataset, message",
    [
        (tf.data.Dataset.range(3), "should yield .image, label."),
        ([1, 2], "of .image, label.*: list"),
        (
            tf.data.Dataset.from_tensors((np.ones((4, 4, 3)), 0)).repeat(),
            "never ends: call `take",
        ),
        (
            tf.data.Dataset.from_tensors((np.full((4, 4, 3), 0.5), 0)),
            "multiply .* by 255",
        ),
        (
            tf.data.Dataset.from_tensors((np.ones((4, 4, 3)), 0)).take(0),
            "0 images",
        ),
    ],
)
def test_datasets_that_make_no_benchmark(dataset, message):
    with pytest.raises(ValueError, match=message):
        data.from_dataset(dataset)


def many_labels(rng, count=1000, labels=20):
    """Rows with about three labels, common and rare ones, some related."""
    rows = rng.rand(count, labels) < 0.6 / np.arange(1, labels + 1)
    rows[:, 1] &= rows[:, 0]
    return rows.astype("uint8")


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_stratification_by_several_labels(rng, share):
    targets = many_labels(rng)

    def unlike(drawn):
        shares = targets[drawn].sum(axis=0) / targets.sum(axis=0)
        return np.abs(shares - share).mean()

    labelled = np.flatnonzero(targets.any(axis=1))
    drawn = draws.draw(targets, share, seed=1)
    np.testing.assert_array_equal(drawn, draws.draw(targets, share, seed=1))
    assert not np.array_equal(drawn, draws.draw(targets, share, seed=2))
    assert set(drawn) <= set(labelled)
    assert abs(len(drawn) / len(labelled) - share) < 0.01
    at_random = [
        unlike(rng.choice(labelled, len(drawn), replace=False))
        for _ in range(50)
    ]
    assert unlike(drawn) < 0.3 * np.mean(at_random)


def test_every_query_has_an_answer():
    # Labels that one image has alone, beside one that many have.
    targets = np.eye(30, dtype="uint8")
    targets[:20, 0] = 1
    drawn = draws.draw(targets, 0.4, seed=0)
    assert len(drawn) > 0 and set(drawn) <= set(range(20))
    rest = np.delete(np.arange(30), drawn)
    assert (targets[drawn] @ targets[rest].T > 0).any(axis=1).all()
    assert len(draws.draw(np.zeros((9, 3), int), 0.5, 0)) == 0


@pytest.mark.parametrize("several", [False, True])
def test_chance_by_loops(rng, several):
    if several:
        a, b = many_labels(rng, 30, 5), many_labels(rng, 40, 5)
        hits = [[bool((x & y).any()) for y in b] for x in a]
    else:
        a, b = rng.randint(0, 4, 30), rng.randint(0, 4, 40)
        hits = [[x == y for y in b] for x in a]
    assert benchmarks.chance(a, b) == pytest.approx(np.mean(hits))
    assert benchmarks.chance(a, b[:0]) == 0


def test_summary_of_many(rng):
    images = np.arange(40, dtype="uint8")[:, None, None, None]
    images = images * np.ones((1, 4, 6, 3), "uint8")
    text = data.from_arrays(images, np.arange(40) // 2).summary(top=3)
    assert "40 of 4x6 pixels" in text and "and 17 more" in text
    assert str(data.load("digits").summary()).startswith("digits (official)")


@pytest.fixture
def of_several_sizes(tmp_path):
    """A benchmark of two classes of photos, each of another size."""
    rng = np.random.RandomState(0)
    for number in range(24):
        sides = (20 + number, 61 - 2 * number)
        pixels = rng.randint(0, 256, (*sides, 3)).astype("uint8")
        kind = ("png", "jpeg")[number % 2]
        place = tmp_path / "photos" / "ab"[number // 12] / f"{number}.{kind}"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place)
    return data.from_folder(tmp_path / "photos", query=0.25)


def test_files_keep_their_sizes(of_several_sizes):
    bench = of_several_sizes
    assert bench.image_size is None and "their own sizes" in bench.summary()
    for part in ("query", "database"):
        wanted = [images.decode(path) for path in files_of(bench, part)]
        for got, image in zip(getattr(bench, part), wanted, strict=True):
            np.testing.assert_array_equal(got[0], image)
        with pytest.raises(ValueError, match="pass `image_size=.height, wid"):
            bench.arrays(part)
        got, _ = bench.arrays(part, image_size=(32, 30))
        wanted = [images.fit(image, (32, 30)) for image in wanted]
        np.testing.assert_array_equal(got, wanted)
    assert bench.arrays("validation")[0].shape == (0, 0, 0, 3)


def test_batches_of_files_need_a_size(of_several_sizes):
    train = of_several_sizes.train
    for dataset in (train, train.map(lambda image, y: (image / 2, y))):
        with pytest.raises(ValueError, match="pass `image_size=.height, wid"):
            data.batches(dataset, 4)
    wanted, _ = of_several_sizes.arrays("train", image_size=32)
    sized = data.batches(train, 5, image_size=32)
    got = np.concatenate([image for image, _ in sized.as_numpy_iterator()])
    np.testing.assert_array_equal(got, wanted)
    floats = train.map(lambda image, y: (tf.cast(image, "float32"), y))
    floats = data.batches(floats, 5, image_size=32)
    got = np.concatenate([image for image, _ in floats.as_numpy_iterator()])
    assert 0 < np.abs(got - wanted).max() <= 0.5


def test_models_resize_files_themselves(of_several_sizes):
    """Training, measuring, encoding and callbacks see the same photos."""
    bench = of_several_sizes
    sized = data.batches(bench.train, 4, image_size=32, index=False)
    weights = []
    for fed, settings in (
        ([bench.train], {"batch_size": 4, "validation_data": bench.query}),
        (bench.arrays("train", image_size=32), {"batch_size": 4}),
        ([sized], {}),
    ):
        keras.utils.set_random_seed(0)
        model = keras_hash.models.CSQ(16, 2)
        # Tracing would take most of the time.
        model.compile("adam", run_eagerly=True)
        metrics = keras_hash.callbacks.RetrievalMetrics(
            bench.query, bench.database, batch_size=3
        )
        history = model.fit(
            *fed, shuffle=False, callbacks=[metrics], verbose=0, **settings
        )
        weights.append(model.get_weights())
    for others in weights[1:]:
        for ours, theirs in zip(weights[0], others, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    report, codes = keras_hash.evaluation.measure(model, bench)
    assert history.history["val_map"][-1] == report.metrics["map"]
    for part in ("query", "database"):
        paths = files_of(bench, part)
        np.testing.assert_array_equal(codes[part], model.encode(paths))
        given = [images.decode(path) for path in paths]
        np.testing.assert_array_equal(codes[part], model.encode(given))
    # Lists take the place of datasets in the callback.
    pairs = [(files_of(bench, p), bench.targets[bench.parts[p]]) for p in codes]
    metrics = keras_hash.callbacks.RetrievalMetrics(*pairs, batch_size=3)
    history = model.fit(sized, epochs=1, callbacks=[metrics], verbose=0)
    report, _ = keras_hash.evaluation.measure(model, bench)
    assert history.history["val_map"][-1] == report.metrics["map"]


def test_a_photo_that_vanishes_is_named(of_several_sizes):
    benchmark = of_several_sizes
    gone = benchmark.images.paths[benchmark.parts["train"][0]]
    model = keras_hash.models.CSQ(8, benchmark.num_classes)
    os.remove(gone)
    for call in (model.fit, model.encode, model.features):
        with pytest.raises(ValueError, match=f"^{gone}: No such file"):
            call(benchmark.train, verbose=False)


def test_an_iterator_over_files_that_is_left_ends_with_python(of_several_sizes):
    """It hung there: its threads waited for Python, and Python for them."""
    path = of_several_sizes.images.paths[0]
    script = f"""
import numpy as np
from keras_hash.data import ImageFiles
iterator = iter(ImageFiles([{path!r}] * 5000).dataset(np.arange(5000)))
print(next(iterator).shape)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=300
    )
    assert done.returncode == 0 and done.stdout


def files_of(bench, part):
    return [bench.images.paths[place] for place in bench.parts[part]]
