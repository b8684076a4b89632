"""Images, labels, weights and lists that no batch should be made of, and lists
that are fine, at every door of a model."""

import itertools
import os
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_hash
from keras_hash import data
from keras_hash import zoo
from keras_hash.data import images as pixels
from keras_hash.data.source import Source

RANDOM = np.random.RandomState(0)
IMAGES = RANDOM.randint(0, 256, (12, 8, 8, 3)).astype("uint8")
LABELS = np.arange(12) % 3
ONE_HOT = np.eye(3, dtype=int)[LABELS]
SEVERAL = [IMAGES[0], RANDOM.randint(0, 256, (9, 20, 3)).astype("uint8")] * 6


class Batches(keras.utils.PyDataset):
    """Three batches of a triple of arrays, or of fewer."""

    def __init__(self, *arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return 3

    def __getitem__(self, step):
        return tuple(a[4 * step : 4 * step + 4] for a in self.arrays)


def make(method="CSQ", eagerly=False, **settings):
    given = {} if method == "BiHalf" else {"num_classes": 3}
    model = getattr(keras_hash.models, method)(
        8, **given, **{"input_shape": (8, 8, 3), **settings}
    )
    model.compile("sgd", run_eagerly=eagerly)
    return model


@pytest.fixture(scope="module")
def model():
    return make()


def batches(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(4)


FITS = {
    "arrays": lambda m, *a: m.fit(*a[:2], sample_weight=(*a, None)[2]),
    "validation": lambda m, *a: m.fit(IMAGES, LABELS, validation_data=a),
    "evaluate": lambda m, *a: m.evaluate(*a[:2], sample_weight=(*a, None)[2]),
    "train_on_batch": lambda m, *a: m.train_on_batch(*a),
    "test_on_batch": lambda m, *a: m.test_on_batch(*a),
    "tf.data": lambda m, *a: m.fit(batches(*a)),
    "PyDataset": lambda m, *a: m.fit(Batches(*a)),
    "generator": lambda m, *a: m.fit(Batches(*a)[i] for i in range(3)),
}
WRONG = {
    "four channels": IMAGES[..., [0, 1, 2, 0]],
    "channels first": IMAGES.transpose(0, 3, 1, 2),
    "grey": IMAGES[..., 0],
    "no height": IMAGES[:, :0],
}


@pytest.mark.parametrize("door", FITS)
@pytest.mark.parametrize("kind", WRONG)
def test_images_of_another_shape(model, door, kind):
    with pytest.raises(ValueError, match="should be raw pixels"):
        FITS[door](model, WRONG[kind], LABELS)


@pytest.mark.parametrize("door", [door for door in FITS if door != "tf.data"])
def test_images_that_are_objects(model, door):
    with pytest.raises(ValueError, match="should be raw pixels"):
        FITS[door](model, np.array([None] * 12), LABELS)


@pytest.mark.parametrize("door", FITS)
def test_features_that_are_not_finite(door):
    features = RANDOM.randn(12, 4).astype("float32")
    features[9, 2] = np.nan
    model = make(backbone="features", input_shape=(4,))
    with pytest.raises(ValueError, match="should be finite"):
        if door == "validation":
            held = features, LABELS
            model.fit(np.ones((12, 4)), LABELS, validation_data=held)
        else:
            FITS[door](model, features, LABELS)
    assert all(np.isfinite(value).all() for value in model.get_weights())


@pytest.mark.parametrize("door", FITS)
def test_weights_that_are_not_finite(model, door):
    weights = np.ones(12, "float32")
    weights[5] = np.inf
    with pytest.raises(ValueError, match="`sample_weight` should be finite"):
        FITS[door](model, IMAGES, LABELS, weights)


@pytest.mark.parametrize(
    "weight", [{0: np.nan}, {0: None}, {"0": 5.0}, {7: 5.0}, [1, 2, 3], {0: -1}]
)
def test_class_weights_that_are_none(model, weight):
    with pytest.raises(ValueError, match="`class_weight` should be a dict"):
        model.fit(IMAGES, LABELS, class_weight=weight)
    with pytest.raises(ValueError, match="`class_weight` should be a dict"):
        model.train_on_batch(IMAGES, LABELS, class_weight=weight)


@pytest.mark.parametrize(
    "door", ["arrays", "evaluate", "train_on_batch", "test_on_batch"]
)
def test_other_counts(model, door):
    with pytest.raises(ValueError, match=r"Labels should be ints \[12\]"):
        FITS[door](model, IMAGES, LABELS[:11])
    with pytest.raises(ValueError, match=r"`sample_weight` should be .* \[12"):
        FITS[door](model, IMAGES, LABELS, np.ones(11))
    with pytest.raises(ValueError, match="There are no images"):
        FITS[door](model, IMAGES[:0], LABELS[:0])


def test_ragged_labels_are_no_rows(model):
    ragged = tf.ragged.constant([[0], [0, 1]] * 6)
    for door in ("arrays", "evaluate", "train_on_batch"):
        with pytest.raises(ValueError, match="a ragged tensor"):
            FITS[door](model, IMAGES, ragged)
    packed = keras_hash.codes.pack(RANDOM.randn(12, 8))
    for sides in ((ragged, LABELS), (LABELS, ragged)):
        with pytest.raises(ValueError, match="a ragged tensor"):
            keras_hash.evaluate(packed, sides[0], packed, sides[1], bits=8)


def test_masks_are_not_passed_over(model):
    hidden = np.arange(12) == 4
    labels = np.ma.masked_array(LABELS, hidden)
    images = np.ma.masked_array(IMAGES, np.zeros(IMAGES.shape, bool))
    model.train_on_batch(images, np.ma.masked_array(LABELS, False))
    images.mask[4] = True
    for door in ("arrays", "evaluate", "train_on_batch", "test_on_batch"):
        with pytest.raises(ValueError, match="a masked array"):
            FITS[door](model, IMAGES, labels)
        with pytest.raises(ValueError, match="some is masked"):
            FITS[door](model, images, LABELS)
    with pytest.raises(ValueError, match="some is masked"):
        model.encode(images)


@pytest.mark.parametrize("index", [np.arange(12) - 1, np.arange(6)])
def test_an_index_that_is_none(index):
    model = make("DPSH", bank_size=12)
    labels = {"label": LABELS, "index": index}
    with pytest.raises(ValueError, match="`index` should be the position"):
        model.train_on_batch(IMAGES, labels)


def test_lists_that_hold_no_single_images(model):
    for images in (
        [IMAGES[:5], IMAGES[5:]],
        [IMAGES[:6], IMAGES[6:]],
        (list(part) for part in (IMAGES[:4], IMAGES[4:])),
        batches((IMAGES, IMAGES), LABELS),
    ):
        with pytest.raises(ValueError, match="Received"):
            model.encode(images)
    for images, says in (
        (["a.png", IMAGES[0]], "ndarray among paths"),
        ([*zip(IMAGES, LABELS)], "A list of images should hold arrays"),
    ):
        for door in (model.encode, lambda x: model.fit(x, LABELS)):
            with pytest.raises(ValueError, match=says):
                door(images)
    dicts = tf.data.Dataset.from_tensor_slices({"x": IMAGES}).batch(4)
    with pytest.raises(ValueError, match="Dicts should have 'image'"):
        model.encode(dicts)


def test_lists_of_images_and_of_paths_train(tmp_path):
    paths = [str(tmp_path / f"{number}.png") for number in range(12)]
    for path, image in zip(paths, IMAGES):
        Image.fromarray(image).save(path)
    model = make()
    expected = model.evaluate(IMAGES, LABELS, verbose=0)
    for images in (list(IMAGES), tuple(IMAGES), paths):
        found = model.evaluate(images, LABELS, verbose=0)
        assert found == pytest.approx(expected)
    for images in (SEVERAL, list(IMAGES)):
        for method in ("CSQ", "BiHalf"):
            labels = LABELS if method == "CSQ" else None
            history = make(method, True).fit(images, labels, verbose=0).history
            assert np.isfinite(history["loss"]).all()
        given = {"validation_data": (images, LABELS), "verbose": 0}
        make(eagerly=True).fit(
            images, LABELS, sample_weight=[1.0] * 12, **given
        )
        make(eagerly=True).train_on_batch(images, LABELS)
        parts = [(images[i : i + 4], LABELS[i : i + 4]) for i in (0, 4, 8)]
        endless = (part for part in itertools.cycle(parts))
        make(eagerly=True).fit(endless, steps_per_epoch=3, verbose=0)


def test_numbers_and_rows_train_one_model():
    model = make()
    for labels in (ONE_HOT, LABELS, ONE_HOT.astype("float64")):
        model.fit(IMAGES, labels, verbose=0)
        model.fit(batches(IMAGES, labels), verbose=0)
        model.evaluate(IMAGES, labels, verbose=0)
    model.train_on_batch(IMAGES, LABELS)
    model.test_on_batch(IMAGES, LABELS)
    signature = (
        tf.TensorSpec((None, 8, 8, 3), tf.uint8),
        tf.TensorSpec(None, tf.int64),
    )
    unknown = tf.data.Dataset.from_generator(
        lambda: iter([(IMAGES, LABELS)]), output_signature=signature
    )
    with pytest.raises(ValueError, match="how many axes its labels have"):
        model.fit(unknown, verbose=0)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="pipe.png: not a file"):
        keras_hash.data.images.decode(pipe)
    with pytest.raises(ValueError, match="pipe.png .*: not a file"):
        zoo.encode_files("phash_64", [pipe])
    for wrong in (None, str(pipe), [IMAGES[0]], 5):
        with pytest.raises(ValueError, match="`paths` should be a list of pa"):
            zoo.encode_files("phash_64", wrong)
    with pytest.raises(ValueError, match="There are no files to encode"):
        zoo.encode_files("phash_64", [])


def test_names_of_classes(tmp_path):
    images = RANDOM.randint(0, 256, (40, 8, 8, 3)).astype("uint8")
    for labels in (
        np.array([b"a", b"b"] * 20),
        np.array([b"a", b"b"] * 20, object),
        np.array(["a", "b"] * 20),
    ):
        assert data.from_arrays(images, labels).labels == ["a", "b"]
    for wrong, says in (
        (np.array(["a", None] * 20, object), "Each image should have a label"),
        (np.array(["a", np.nan] * 20, object), "Each image should have a lab"),
        (np.array([b"\xff", b"b"] * 20, object), "should be UTF-8"),
        (np.array([10**12, 5] * 20), "labels up to 1000000000000"),
    ):
        with pytest.raises(ValueError, match=says):
            data.from_arrays(images, wrong)
    table = tmp_path / "x.csv"
    table.write_text("file,label,label\na.png,b,c\n")
    with pytest.raises(ValueError, match="the column 'label' once"):
        data.from_csv(table, "file", "label")


def test_images_are_looked_at_before_an_epoch_is_spent():
    model = make()
    for images in (IMAGES / 255.0, IMAGES[..., :2], ["nowhere.png"] * 12):
        retrieval = keras_hash.callbacks.RetrievalMetrics(
            (images, LABELS), (IMAGES, LABELS)
        )
        before = model.get_weights()
        with pytest.raises(ValueError, match="Received|No such file"):
            model.fit(IMAGES, LABELS, callbacks=[retrieval], verbose=0)
        for value, old in zip(model.get_weights(), before):
            np.testing.assert_array_equal(value, old)


# Two alike.
LIKE = np.concatenate([IMAGES] * 2)
LIKE[12:] ^= 1
NAMES = ["a", "b", "c"] * 8


@pytest.mark.parametrize(
    "wrong, says",
    [
        (["a", "b", None] * 8, "Each image should have a label.*None"),
        (["a", "b", float("nan")] * 8, "Each image should have a label.*nan"),
        (["a", "b", np.float64("nan")] * 8, "Each image should have a label"),
        ([["a", "b"]] * 24, "should hold numbers"),
        ([["a", "b"], ["a"]] * 12, "one row an item"),
        (["a", ["b", "c"]] * 12, "one name or number an image.*list"),
        ([{"a", "b"}, {"b"}] * 12, "one name or number an image.*set"),
        ([{"a": 1}, {"b": 1}] * 12, "one name or number an image.*dict"),
        ([np.array([1, 2])] * 23 + [np.array([1])], "one row an item"),
        (
            np.ma.masked_array(NAMES, mask=[True] + [False] * 23),
            "there for every item",
        ),
    ],
)
def test_no_class_is_made_of_what_is_no_name(wrong, says):
    with pytest.raises(ValueError, match=says):
        data.from_arrays(LIKE, wrong)


@pytest.mark.parametrize(
    "fine",
    [
        NAMES,
        tuple(NAMES),
        [name.encode() for name in NAMES],
        ["a", b"b", np.str_("c")] * 8,
        [[name] for name in NAMES],
        np.array(NAMES, np.dtypes.StringDType()),
    ],
)
def test_names_of_any_kind_are_the_same_classes(fine):
    bench = data.from_arrays(LIKE, fine)
    assert bench.labels == ["a", "b", "c"]
    np.testing.assert_array_equal(bench.targets, [0, 1, 2] * 8)


@pytest.mark.parametrize(
    "option, wrong",
    [
        ("query", "0.1"),
        ("query", None),
        ("query", [0.1]),
        ("validation", True),
        ("seed", -1),
        ("seed", 1.5),
        ("seed", None),
        ("seed", 1 << 32),
    ],
)
def test_shares_and_seeds_that_are_none(option, wrong):
    with pytest.raises(ValueError, match=f"`{option}` should be"):
        data.from_arrays(LIKE, NAMES, **{option: wrong})


def test_arrays_are_no_dataset():
    for wrong in ((IMAGES, LABELS), IMAGES, None):
        with pytest.raises(ValueError, match="should be a tf.data.Dataset"):
            data.batches(wrong, 4)


def test_paths_in_an_array_are_those_of_a_list(tmp_path):
    paths = [str(tmp_path / f"{i}.png") for i in range(2)]
    for path, image in zip(paths, IMAGES):
        Image.fromarray(image).save(path)
    model = make()
    want = model.encode(IMAGES[:2], verbose=False)
    several = np.empty(2, object)
    several[:] = SEVERAL[:2]
    for given in (paths, np.array(paths), np.array(paths, object)):
        codes = model.encode(given, verbose=False)
        np.testing.assert_array_equal(codes, want)
    np.testing.assert_array_equal(
        model.encode(several, verbose=False),
        model.encode(SEVERAL[:2], verbose=False),
    )


def test_a_line_of_pixels_is_drawn(tmp_path):
    lines = RANDOM.randint(0, 256, (12, 1, 600, 3)).astype("uint8")
    model = make()
    retrieval = keras_hash.callbacks.RetrievalMetrics(
        (lines, LABELS), (lines, LABELS), k=5, log_dir=tmp_path
    )
    model.fit(lines, LABELS, epochs=1, callbacks=[retrieval], verbose=0)
    for square in (False, True):
        small = data.images.thumbnail(lines[0], 32, square=square)
        assert small.shape == (32 if square else 1, 32, 3)
        assert small.any()


def test_a_frame_holds_features_and_numbers_as_arrays_do():
    """As pandas' frames, which give columns, and objects for their numbers."""

    class Frame:
        iloc = None

        def __init__(self, values):
            self.values = np.asarray(values, object)
            self.shape = self.values.shape

        def __getitem__(self, key):
            raise KeyError(key)

        def __array__(self, dtype=None, copy=None):
            return self.values.astype(dtype or object)

        def to_numpy(self, dtype):
            return self.values.astype(dtype)

    index = keras_hash.Index(8, np.arange(5, dtype="uint8")[:, None])
    features = RANDOM.randn(5, 3)
    query = np.zeros((1, 1), "uint8")
    found = [
        index.search(query, 3, rerank=(features[:1], given))
        for given in (features, Frame(features), tf.constant(features))
    ]
    for ids, distances in found[1:]:
        np.testing.assert_array_equal(ids, found[0][0])
        np.testing.assert_array_equal(distances, found[0][1])
    codes = np.zeros((3, 1), "uint8")
    one_hot = np.eye(3, dtype=int)
    reports = [
        keras_hash.evaluate(codes, labels, codes, labels, bits=8)
        for labels in (one_hot, Frame(one_hot))
    ]
    assert reports[0].metrics == reports[1].metrics


class Named:
    """A frame of multi-hot rows, as pandas has it, with names of columns."""

    def __init__(self, *columns):
        self.columns = columns
        self.rows = np.array([[name in "ab", name in "bc"] for name in columns])

    def __array__(self, dtype=None, copy=None):
        return np.repeat(self.rows.T, 9, 0).astype(dtype or int)

    def __len__(self):
        return 18


def test_columns_of_frames_are_the_names_of_labels():
    images = RANDOM.randint(0, 256, (18, 8, 8, 3)).astype("uint8")
    frame, turned, other = Named("a", "b"), Named("b", "a"), Named("a", "c")
    bench = data.from_arrays(images, frame, query=0.2)
    assert bench.labels == ["a", "b"] and bench.targets.shape == (18, 2)
    # Arrow's tables have their values there, and the names elsewhere.
    table = Named("a", "b")
    table.column_names, table.columns = ["a", "b"], [[1, 0], [0, 1]]
    assert data.from_arrays(images, table, query=0.2).labels == ["a", "b"]
    bench = data.from_arrays(images, frame, query=0.2, names=["x", "y"])
    assert bench.labels == ["x", "y"]
    codes = np.arange(18, dtype="uint8")[:, None]
    report = keras_hash.evaluate(codes, frame, codes, Named("a", "b"), 8)
    rows = np.asarray(frame)
    assert report == keras_hash.evaluate(codes, rows, codes, rows, 8)
    model = keras_hash.models.CSQ(8, 2, input_shape=(8, 8, 3))
    model.compile("adam")
    for wrong, told in (
        (turned, r"\['a', 'b'\], \['b', 'a'\]"),
        (other, "'c'"),
    ):
        for call in (
            lambda y: keras_hash.evaluate(codes, frame, codes, y, 8),
            lambda y: model.fit(images, frame, validation_data=(images, y)),
            lambda y: keras_hash.callbacks.RetrievalMetrics(
                (images, frame), (images, y)
            ),
        ):
            with pytest.raises(ValueError, match=f"same columns .*{told}"):
                call(wrong)


def test_masked_codes_and_booleans_are_no_real_codes():
    masked = np.ma.masked_array(RANDOM.randn(3, 8), RANDOM.rand(3, 8) > 0.5)
    with pytest.raises(ValueError, match="a masked array"):
        keras_hash.codes.pack(masked)
    with pytest.raises(ValueError, match="booleans are bits"):
        keras_hash.codes.sign([True, False])


def test_a_dark_batch_among_others_is_encoded(model):
    dark = np.full((2, 8, 8, 3), 0.5)
    found = model.encode(np.concatenate([dark, IMAGES]), batch_size=2)
    np.testing.assert_array_equal(found[2:], model.encode(IMAGES, 2))


def test_what_predict_is_given_are_raw_pixels(model):
    for call in (model.predict, model.predict_on_batch):
        with pytest.raises(ValueError, match="multiply those in 0..1 by 255"):
            call(IMAGES / 255)
        with pytest.raises(ValueError, match="repeat the channel"):
            call(IMAGES[..., :1])
    expected = model.predict(IMAGES, verbose=0)
    for given in (list(IMAGES), IMAGES.astype("float32")):
        np.testing.assert_array_equal(model.predict(given, verbose=0), expected)
    one = model.predict(IMAGES[0], verbose=0)
    np.testing.assert_allclose(one, expected[:1], rtol=1e-5, atol=1e-6)


def test_shares_rates_and_weights_that_are_none(model):
    model.fit(IMAGES, LABELS, validation_split=None, verbose=0)
    for split in (1.5, -0.1, "a"):
        with pytest.raises(ValueError, match="`validation_split` should be a"):
            model.fit(IMAGES, LABELS, validation_split=split)
    with pytest.raises(ValueError, match=r"`sample_weight` should .* \[12\]"):
        model.fit(IMAGES, LABELS, sample_weight=np.ones((12, 2)))
    for rate in (np.nan, np.inf, -1, "0.1"):
        with pytest.raises(ValueError, match="`backbone_rate` should be a num"):
            model.compile("adam", backbone_rate=rate)


def test_features_are_batched_as_images_are():
    features = RANDOM.randn(12, 5).astype("float32")
    dataset = tf.data.Dataset.from_tensor_slices((features, LABELS))
    batches = data.batches(dataset, 4, shuffle=True, index=True)
    seen = {
        int(i): x.numpy()
        for xs, y in batches
        for x, i in zip(xs, y["index"].numpy())
    }
    assert len(seen) == 12
    for i, x in seen.items():
        np.testing.assert_array_equal(x, features[i])
    ragged = tf.data.Dataset.from_generator(
        lambda: iter(zip(features, LABELS)),
        output_signature=(
            tf.TensorSpec([None], "float32"),
            tf.TensorSpec([], "int64"),
        ),
    )
    with pytest.raises(ValueError, match="of one width"):
        data.batches(ragged, 4)
    for given in ({"views": 2}, {"image_size": 8}):
        with pytest.raises(ValueError, match="neither resized nor augmented"):
            data.batches(dataset, 4, **given)


def test_few_photos_are_held_at_once(tmp_path, monkeypatch):
    """Those of a camera take 36 MB each."""
    paths = [str(tmp_path / f"{number}.png") for number in range(90)]
    for place, path in enumerate(paths):
        sides = (9, 20, 3) if place % 2 else (30, 11, 3)
        Image.fromarray(RANDOM.randint(0, 256, sides, "uint8")).save(path)

    class Photo(np.ndarray):
        """An image of which it is known whether it is still there."""

    alive, most = set(), [0]
    decode = pixels.decode

    def noted(path):
        photo = decode(path).view(Photo)
        alive.add(id(photo))
        weakref.finalize(photo, alive.discard, id(photo))
        most[0] = max(most[0], len(alive))
        return photo

    model = make()
    expected = model.encode(paths)
    monkeypatch.setattr(pixels, "decode", noted)
    pool = keras_hash.data.ImageFiles(paths)
    for given in (paths, pool, pool.take(slice(None))):
        np.testing.assert_array_equal(model.encode(given), expected)
    model.fit(paths, np.arange(90) % 3, verbose=0)
    assert 0 < most[0] <= 6 * pixels.threads()
    assert len(pool.take([1, 2])) == 2 and pool.take([4]).paths == [paths[4]]


def test_few_photos_of_a_dataset_are_held_at_once():
    def photos():
        for place in range(40):
            yield np.full((8 + place % 2, 9, 3), place, "uint8"), place % 3

    dataset = tf.data.Dataset.from_generator(
        photos,
        output_signature=(
            tf.TensorSpec((None, 9, 3), "uint8"),
            tf.TensorSpec((), "int64"),
        ),
    )
    found = [*Source(dataset, "query").batches(256, rank=3)]
    assert [len(images) for _, images, _, _ in found] == [16, 16, 8]
    assert np.concatenate([one[0] for one in found]).tolist() == [*range(40)]
