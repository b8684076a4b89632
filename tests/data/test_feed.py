"""Labelled data as models are fed it: every kind of data, one check."""

import functools
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_hash
from keras_hash import data
from keras_hash import similarity
from keras_hash.data import feed
from keras_hash.data import source

SLOW = pytest.mark.slow
RANDOM = np.random.RandomState(0)
FEATURES = RANDOM.randn(64, 8).astype("float32")
LABELS = RANDOM.randint(4, size=64)
INDEX = np.arange(64)
# A bad label in the last of four batches.
LATE = np.append(LABELS[:-1], 4)


class Batches(keras.utils.PyDataset):
    """Four batches of arrays."""

    def __init__(self, *arrays, **kwargs):
        super().__init__(**kwargs)
        self.arrays = arrays

    def __len__(self):
        return 4

    def __getitem__(self, step):
        part = slice(16 * step, 16 * step + 16)
        return keras.tree.map_structure(lambda a: a[part], self.arrays)


class Endless(Batches):
    num_batches = None


def unbatched(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays)


def generated(*arrays):
    while True:
        yield from (Batches(*arrays)[step] for step in range(4))


def as_dicts(features, labels):
    names = {"image": features, "label": labels}
    return tf.data.Dataset.from_tensor_slices(names)


KINDS = {
    "arrays": lambda x, y: (x, y),
    "lists": lambda x, y: (x.tolist(), y.tolist()),
    "tensors": lambda x, y: (tf.constant(x), tf.constant(y)),
    "batched": lambda x, y: (unbatched(x, y).batch(16),),
    "unbatched": lambda x, y: (unbatched(x, y),),
    "with index": lambda x, y: (
        unbatched(x, {"label": y, "index": INDEX}).batch(16),
    ),
    "dicts": lambda x, y: (as_dicts(x, y).batch(16),),
    "endless": lambda x, y: (unbatched(x, y).batch(16).repeat(),),
    "PyDataset": lambda x, y: (Batches(x, y),),
    "two workers": lambda x, y: (Batches(x, y, workers=2),),
    "generator": lambda x, y: (generated(x, y),),
}
# Labels, and what the error says of them; nothing where they are good.
LABEL_CASES = {
    "class numbers": (LABELS, None),
    "a column": (LABELS[:, None], None),
    "multi-hot": (np.eye(4, dtype="uint8")[LABELS], None),
    "shares": (np.eye(4, dtype="float32")[LABELS] / 2, None),
    "whole floats": (LABELS.astype("float32"), None),
    "too large": (LATE, r"0 .. 3 for num_classes=4. .* 0 to 4"),
    "a column too large": (LATE[:, None], r"0 .. 3 for num_classes=4"),
    "unlabelled": (np.append(LABELS[:-1], -1), "values from -1 to 3"),
    "fractions": (np.append(LABELS[:-1], 0.5), "class numbers.*fractions"),
    "NaN": (np.append(LABELS[:-1], np.nan), "finite. Received: NaN or inf"),
    "above one": (2 * np.eye(4)[LABELS], r"0 .. 1 for num_classes=4"),
    "another width": (np.eye(5)[LABELS], r"multi-hot \[\w+, 4\]"),
    "names": (LABELS.astype("U1"), "hold numbers; `np.unique"),
}


def make(bank=None, **settings):
    keras.utils.set_random_seed(0)
    model = keras_hash.models.DPSH(
        8, 4, backbone="features", input_shape=(8,), bank_size=bank
    )
    # Steps are not traced, which would take most of the time.
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True, **settings)
    return model


@pytest.fixture(scope="module")
def model():
    return make()


def tiers(kinds, everywhere, places, few):
    """Some kinds at all places, others at a few, and all in the slow tier."""
    return [
        pytest.param(
            kind,
            place,
            marks=[] if kind in everywhere or place in few else SLOW,
            id=f"{kind}-{place}",
        )
        for kind in kinds
        for place in places
    ]


@pytest.mark.parametrize(
    "labels, kind",
    tiers(
        ("a column", "shares", "too large")
        + ("unlabelled", "another width", "names"),
        ("a column", "too large"),
        KINDS,
        ("arrays", "unbatched", "PyDataset", "generator"),
    ),
)
def test_labels_are_checked_whatever_they_come_in(model, kind, labels):
    values, message = LABEL_CASES[labels]
    endless = kind in ("endless", "generator")
    steps = 4 if endless else None

    def fit():
        model.fit(
            *KINDS[kind](FEATURES, values),
            batch_size=16,
            verbose=0,
            steps_per_epoch=steps,
        )

    def evaluate():
        model.evaluate(*KINDS[kind](FEATURES, values), verbose=0, steps=steps)

    def validate():
        given = KINDS[kind](FEATURES, values)
        model.fit(
            FEATURES,
            LABELS,
            verbose=0,
            validation_data=given if len(given) > 1 else given[0],
            validation_steps=steps,
        )

    for call in (fit, evaluate, validate):
        if message is None:
            call()
            continue
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("labels", LABEL_CASES)
def test_labels_of_one_batch(model, labels):
    values, message = LABEL_CASES[labels]
    for call in (model.train_on_batch, model.test_on_batch):
        if message is None:
            call(FEATURES, values)
            continue
        with pytest.raises(ValueError, match=message):
            call(FEATURES, values)


def test_a_column_trains_as_class_numbers_do():
    losses = [
        make().fit(*given, batch_size=16, shuffle=False, verbose=0).history
        for labels in (LABELS, LABELS[:, None])
        for given in ((FEATURES, labels), (unbatched(FEATURES, labels),))
    ]
    for other in losses[1:]:
        assert other["loss"] == pytest.approx(losses[0]["loss"])


def test_a_bad_label_of_a_later_epoch():
    rows = np.array([[0], [0], [9]])
    epochs = tf.data.Dataset.from_tensor_slices(rows).repeat(2)
    dataset = epochs.map(lambda row: (tf.zeros((1, 8)), row))
    with pytest.raises(ValueError, match="values from 9 to 9"):
        make().fit(dataset.repeat(), steps_per_epoch=2, epochs=4, verbose=0)


def test_labels_are_checked_outside_the_step(monkeypatch):
    kinds = []
    check = similarity.check_labels

    def watched(labels, *args, **kwargs):
        kinds.append(type(labels))
        return check(labels, *args, **kwargs)

    monkeypatch.setattr(similarity, "check_labels", watched)
    model = make()
    model.compile("sgd")
    model.fit(unbatched(FEATURES, LABELS), batch_size=16, verbose=0)
    # What is known before, and each batch; the pipeline of another test may
    # still run ahead.
    assert len(kinds) >= 5 and set(kinds) == {np.ndarray}


@pytest.mark.parametrize(
    "given",
    [
        (FEATURES, None),
        (Batches(FEATURES), None),
        (generated(FEATURES), None),
        (iter([FEATURES]), None),
    ],
)
def test_images_without_labels(model, given):
    with pytest.raises(ValueError, match="Labels are missing.*labels=None"):
        model.fit(*given, verbose=0, steps_per_epoch=4)


ALONE = {
    "array": lambda x: x,
    "tuple": lambda x: (x,),
    "list": lambda x: [x],
    "None": lambda x: (x, None),
    "dict": lambda x: {"image": x},
    "weights": lambda x: (x, None, np.ones(len(x))),
}


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(form, marks=[] if form in ("tuple", "weights") else SLOW)
        for form in ALONE
    ],
)
def test_images_alone_in_a_batch(form):
    """One in a tuple was taken for views of a single image."""

    class Alone(Batches):
        def __getitem__(self, step):
            return ALONE[form](super().__getitem__(step)[0])

    def trained(given):
        keras.utils.set_random_seed(0)
        model = keras_hash.models.SDC(16, backbone="features", input_shape=(8,))
        model.compile("sgd", run_eagerly=True)
        model.fit(given, batch_size=16, shuffle=False, verbose=0)
        return model.get_weights()

    expected = trained(FEATURES)
    steps = Alone(FEATURES)
    generator = (steps[step] for step in range(len(steps)))
    for given in (steps, generator):
        for found, weight in zip(trained(given), expected, strict=True):
            np.testing.assert_array_equal(found, weight)


@pytest.mark.parametrize("given", [None, "photos", {"image": FEATURES}, {1}])
def test_what_is_no_data(model, given):
    with pytest.raises(ValueError, match="`x` should be arrays.*builtins"):
        model.fit(given, verbose=0)


@pytest.mark.parametrize(
    "elements",
    [
        FEATURES,
        (FEATURES,),
        {"image": FEATURES},
        {"picture": FEATURES, "label": LABELS},
        (FEATURES, {"class": LABELS}),
        (FEATURES, tf.ragged.constant([[1]] * 64)),
    ],
)
def test_datasets_of_other_elements(model, elements):
    dataset = tf.data.Dataset.from_tensor_slices(elements)
    message = "should yield .image, label., or dicts with 'image' and 'label'"
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=message):
            call(dataset, verbose=0)
    for call in (
        data.from_dataset,
        lambda given: data.batches(given, 2),
        lambda given: source.Source(given, "query"),
    ):
        with pytest.raises(ValueError, match=message):
            call(dataset)


def test_dicts_of_tfds_work_everywhere():
    images = RANDOM.randint(0, 256, (8, 32, 32, 3), "uint8")
    labels = np.arange(8) % 2
    dicts = as_dicts(images, labels)
    bench = data.from_dataset(dicts, query=0.25)
    np.testing.assert_array_equal(bench.targets, labels)
    model = keras_hash.models.CSQ(8, 2)
    for given in (dicts, dicts.batch(3)):
        np.testing.assert_array_equal(model.encode(given), model.encode(images))
    metrics = keras_hash.callbacks.RetrievalMetrics(dicts, dicts.batch(4))
    history = model.fit(data.batches(dicts, 4), callbacks=[metrics], verbose=0)
    assert "val_map" in history.history


def test_what_never_ends_is_refused_where_all_of_it_would_be_read(model):
    endless = unbatched(FEATURES, LABELS).repeat()
    solved = keras_hash.models.KSH(8, 4, backbone="features", input_shape=(8,))
    calls = [
        lambda: model.encode(endless),
        lambda: model.encode(endless.batch(4)),
        lambda: model.encode(Endless(FEATURES)),
        lambda: model.fit(endless, verbose=0),
        lambda: model.fit(Endless(FEATURES, LABELS), verbose=0),
        lambda: model.evaluate(endless, verbose=0),
        lambda: model.fit(FEATURES, LABELS, validation_data=endless),
        lambda: make(loss="mse").fit(endless, verbose=0),
        lambda: solved.adapt(endless),
        lambda: solved.adapt(Endless(FEATURES, LABELS)),
        lambda: data.from_dataset(endless),
        lambda: data.batches(endless, 32),
        lambda: data.batches(endless, 32, shuffle=True),
        lambda: source.Source(endless, "query"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="never ends: call `take"):
            call()
    model.fit(Endless(FEATURES, LABELS), steps_per_epoch=2, verbose=0)


def test_encode_takes_what_fit_takes(model):
    expected = model.encode(FEATURES)
    part = (Batches(FEATURES, LABELS)[step] for step in range(4))
    alone = (Batches(FEATURES)[step][0] for step in range(4))
    # As a loader of PyTorch: only to loop over.
    loader = {step: list(Batches(FEATURES, LABELS)[step]) for step in range(4)}
    for given in (
        loader.values(),
        Batches(FEATURES, LABELS),
        Batches(FEATURES, {"label": LABELS, "index": INDEX}),
        part,
        alone,
        list(FEATURES),
    ):
        np.testing.assert_array_equal(model.encode(given), expected)


def test_encode_takes_a_list_of_images_of_several_sizes():
    model = keras_hash.models.CSQ(16, 4)
    images = [
        RANDOM.randint(0, 256, (*size, 3), "uint8")
        for size in ((32, 32), (32, 32), (40, 20), (32, 32), (9, 70))
    ]
    expected = np.concatenate([model.encode(image) for image in images])
    np.testing.assert_array_equal(model.encode(images), expected)
    with pytest.raises(ValueError, match="repeat the channel of grey"):
        model.encode([images[0], images[2][..., :1]])


@pytest.mark.parametrize("name", ["KSH", "ITQ"])
def test_solved_methods_take_what_fit_takes(name):
    def solved(*given, **kwargs):
        model = getattr(keras_hash.models, name)(
            4,
            *([4] if name == "KSH" else []),
            backbone="features",
            input_shape=(8,),
        )
        model.adapt(*given, verbose=False, **kwargs)
        return model.encode(FEATURES)

    expected = solved(FEATURES, LABELS)
    for kind, given in KINDS.items():
        if kind not in ("endless", "generator"):
            found = solved(*given(FEATURES, LABELS))
            assert np.mean(found == expected) > 0.99, kind
            if name == "ITQ":
                solved(*given(FEATURES, LATE))
                continue
            for labels in ("too large", "unlabelled", "fractions", "names"):
                values, message = LABEL_CASES[labels]
                with pytest.raises(ValueError, match=message):
                    solved(*given(FEATURES, values))


# Weights


def with_index(*arrays):
    features, labels, *weights = arrays
    return features, {"label": labels, "index": INDEX}, *weights


WEIGHTS = INDEX % 3 * 1.0
CLASS_WEIGHTS = {0: 0.0, 1: 2.0, 3: 0.5}


@pytest.mark.parametrize(
    "kind, bank", tiers(["classes", "rows"], ["column"], [None, 64], [64])
)
@pytest.mark.parametrize("by", ["sample_weight", "class_weight"])
def test_weights_count_the_same_in_every_kind_of_data(bank, kind, by):
    labels = {
        "classes": LABELS,
        "column": LABELS[:, None],
        "rows": np.eye(4)[LABELS],
    }[kind]
    each = [CLASS_WEIGHTS.get(label, 1.0) for label in LABELS.tolist()]
    each = WEIGHTS if by == "sample_weight" else np.array(each)

    def fit(*given, **weights):
        mean = keras.metrics.MeanMetricWrapper(
            lambda labels, codes: keras.ops.mean(codes, axis=1), name="mean"
        )
        model = make(bank, weighted_metrics=[mean])
        found = model.fit(
            *given, batch_size=16, shuffle=False, verbose=0, **weights
        )
        return {name: values[0] for name, values in found.history.items()}

    arrays = FEATURES, labels
    expected = fit(Batches(*with_index(*arrays, each)))
    plain = fit(Batches(*with_index(*arrays)))
    assert plain["loss"] != pytest.approx(expected["loss"], rel=1e-3)
    assert plain["mean"] != pytest.approx(expected["mean"], rel=1e-3)
    if by == "sample_weight":
        found = [
            fit(*arrays, sample_weight=each),
            fit(unbatched(*with_index(*arrays, each)).batch(16)),
        ]
    else:
        weights = {"class_weight": CLASS_WEIGHTS}
        found = [
            fit(*arrays, **weights),
            fit(unbatched(*with_index(*arrays)).batch(16), **weights),
            fit(Batches(*with_index(*arrays)), **weights),
        ]
    for other in found:
        assert other == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("bank", [None, 64])
def test_two_kinds_of_weights(bank):
    model = make(bank)
    for given in (
        {"x": FEATURES, "y": LABELS, "sample_weight": WEIGHTS},
        {"x": unbatched(*with_index(FEATURES, LABELS, WEIGHTS)).batch(16)},
        {"x": Batches(*with_index(FEATURES, LABELS, WEIGHTS))},
    ):
        with pytest.raises(ValueError, match="cannot go together"):
            model.fit(**given, class_weight=CLASS_WEIGHTS, verbose=0)


@pytest.mark.parametrize("num_classes", [None, 2])
def test_a_dataset_may_have_none_for_weights(rng, num_classes):
    images = rng.randint(0, 256, (4, 8, 8, 3)).astype("float32")
    dataset = tf.data.Dataset.from_tensor_slices((images, [0, 1, 0, 1]))
    dataset = dataset.map(lambda image, label: (image, label, None))
    fed, *_ = feed.TrainingFeed(num_classes, (8, 8, 3)).take(dataset)
    ((got, labels, weights),) = fed
    np.testing.assert_array_equal(got, images)
    assert list(labels) == [0, 1, 0, 1] and weights is None
    weighted = feed.TrainingFeed(num_classes, (8, 8, 3), class_weight={1: 3})
    ((_, _, weights),) = weighted.take(dataset)[0]
    assert list(weights) == [1, 3, 1, 3]


def test_class_weights_of_several_labels_are_their_mean():
    fed = feed.TrainingFeed(4, (8,), class_weight=CLASS_WEIGHTS)
    rows = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 1, 1]])
    _, _, weights = fed.batch((FEATURES[:3], rows))
    np.testing.assert_allclose(weights, [1.0, 1.0, 3.5 / 3])


def test_class_weights_do_not_weigh_what_is_held_out():
    for bank in (None, 64):
        histories = [
            make(bank)
            .fit(FEATURES, LABELS, validation_split=0.25, verbose=0, **weights)
            .history
            for weights in ({"class_weight": {0: 1e-9}}, {})
        ]
        first, second = (h["val_loss"][0] for h in histories)
        assert first == pytest.approx(second, rel=0.02)


def test_class_weights_and_a_split_that_holds_nothing_out():
    """Keras takes no part of datasets, nor of arrays with validation data."""
    weights = {"class_weight": {0: 1e-9, 1: 1e-9, 2: 1e-9, 3: 1e-9}}
    with pytest.raises(ValueError, match="only supported for"):
        make().fit(
            unbatched(FEATURES, LABELS).batch(16),
            validation_split=0.25,
            verbose=0,
            **weights,
        )
    losses = [
        make()
        .fit(
            FEATURES,
            LABELS,
            validation_data=(FEATURES, LABELS),
            verbose=0,
            **split,
            **weights,
        )
        .history["loss"][0]
        for split in ({}, {"validation_split": 0.25})
    ]
    assert losses[0] < 1e-6 and losses[1] < 1e-6


def test_a_bank_that_is_too_small():
    model = make(63)
    for given in (
        (FEATURES, LABELS),
        (unbatched(*with_index(FEATURES, LABELS)).batch(16),),
        (Batches(*with_index(FEATURES, LABELS)),),
    ):
        message = "`bank_size` should be the number .* 64. Received.*=63"
        with pytest.raises(ValueError, match=message):
            model.fit(*given, shuffle=False, verbose=0)
        # Validation does not enter the bank.
        whole = FEATURES[:32], LABELS[:32]
        shown = given if len(given) > 1 else given[0]
        model.fit(*whole, validation_data=shown, verbose=0)


def test_a_bank_holds_no_shares_of_labels():
    with pytest.raises(ValueError, match="multi-hot, 0 and 1.*fractions"):
        make(64).fit(FEATURES, np.eye(4)[LABELS] / 2, verbose=0)


@pytest.mark.parametrize("bank", [None, 64])
def test_a_loss_of_ones_own_takes_any_labels(bank):
    targets = RANDOM.randn(64, 8)
    model = make(bank, loss="mse")
    for given in (
        (FEATURES, targets),
        (unbatched(FEATURES, targets).batch(16),),
        (Batches(FEATURES, targets),),
    ):
        model.fit(*given, verbose=0)
        model.evaluate(*given, verbose=0)


# The one check


@pytest.mark.parametrize(
    "labels, expected",
    [
        ([1, 0], [1, 0]),
        ([[1], [0]], [1, 0]),
        ([True, False], [1, 0]),
        ([2.0, 0.0], [2, 0]),
        (tf.constant([[2], [1]], "int32"), [2, 1]),
        (np.array([3, 1], "uint8"), [3, 1]),
        ([], []),
        ([[0, 1, 1], [0, 0, 0]], [[0, 1, 1], [0, 0, 0]]),
        ([[0.25, 0, 0.75], [1, 0, 0]], [[0.25, 0, 0.75], [1, 0, 0]]),
    ],
)
def test_labels_in_one_form(labels, expected):
    found = similarity.check_labels(labels, soft=True)
    np.testing.assert_array_equal(found, expected)
    assert found.ndim == 2 or found.dtype == "int64"


@pytest.mark.parametrize("kind", ["ClassSampler", "ListSampler"])
def test_samplers_check_labels(kind):
    sampler = getattr(data, kind)
    for name in ("class numbers", "a column", "multi-hot"):
        drawn = sampler(LABEL_CASES[name][0], 3)(0, 0)
        np.testing.assert_array_equal(drawn, sampler(LABELS, 3)(0, 0))
    for name in ("unlabelled", "fractions", "names", "NaN"):
        with pytest.raises(ValueError, match="Labels"):
            sampler(LABEL_CASES[name][0], 3)


ELSEWHERE = """
import sys
sys.modules["tensorflow"] = None
from concurrent import futures
import keras
import numpy as np
import keras_hash
random = np.random.RandomState(0)
x, y = random.randn(32, 8).astype("float32"), np.arange(32) % 4
class Batches(keras.utils.PyDataset):
    def __init__(self, *arrays):
        super().__init__()
        self.arrays = arrays
    def __len__(self):
        return 4
    def __getitem__(self, step):
        return tuple(a[8 * step : 8 * step + 8] for a in self.arrays)
def generated(*arrays):
    while True:
        yield from (Batches(*arrays)[step] for step in range(4))
def made(bank=None):
    model = keras_hash.models.DPSH(
        8, 4, backbone="features", input_shape=(8,), bank_size=bank
    )
    model.compile("sgd")
    return model
late = np.append(y[:-1], 4)
kinds = (
    lambda *a: a, lambda *a: (Batches(*a),), lambda *a: (generated(*a),)
)
for make in kinds:
    for name, steps in (("fit", "steps_per_epoch"), ("evaluate", "steps")):
        model = made()
        method = getattr(model, name)
        for labels in (y, y[:, None], np.eye(4)[y]):
            method(*make(x, labels), verbose=0, batch_size=8, **{steps: 4})
        try:
            method(*make(x, late), verbose=0, batch_size=8, **{steps: 4})
        except ValueError as error:
            assert "0 .. 3 for num_classes=4" in str(error), error
        else:
            raise AssertionError(method)
        # Nothing that stops it takes the variables away.
        model.encode(x)
        method(*make(x, y), verbose=0, batch_size=8, **{steps: 4})
pixels = np.zeros((20, 8, 8, 3), "uint8") + np.arange(20, dtype="uint8")[
    :, None, None, None
]
bench = keras_hash.data.from_arrays(pixels, np.arange(20) % 2)
for needs in (
    lambda: keras_hash.load("dshc_digits_30"),
    lambda: keras_hash.data.batches(x, 8),
    lambda: keras_hash.data.Augment(flip=True)(pixels, 1),
    lambda: keras_hash.data.ImageFiles(["a.png"]).dataset([0]),
    lambda: bench.query,
):
    try:
        needs()
    except ImportError as error:
        assert "needs TensorFlow: `pip install" in str(error), error
    else:
        raise AssertionError(needs)
class Stopped(keras.callbacks.Callback):
    def on_predict_batch_end(self, batch, logs=None):
        raise KeyboardInterrupt
    on_train_batch_end = on_test_batch_end = on_predict_batch_end
for name in ("fit", "evaluate", "predict"):
    model = made()
    model.encode(x)
    labels = () if name == "predict" else (y,)
    try:
        getattr(model, name)(x, *labels, verbose=0, callbacks=[Stopped()])
    except KeyboardInterrupt:
        model.encode(x)
    else:
        raise AssertionError(name)
model = made(bank=32)
try:
    model.fit(generated(x, y), verbose=0, steps_per_epoch=4)
except ValueError as error:
    assert "memory bank" in str(error), error
    model.encode(x)
else:
    raise AssertionError(model)
model.fit(x, y, class_weight={0: 2.0}, verbose=0)
# From many threads: what one writes back another one would miss.
expected = model.encode(x)
with futures.ThreadPoolExecutor(8) as pool:
    for found in pool.map(model.encode, [x] * 100):
        assert (found == expected).all()
assert (model.features(x) == x).all()
halves = keras.ops.cast(np.eye(4)[y], "bfloat16")
report = keras_hash.evaluate(expected, halves, expected, halves, bits=8)
whole = np.eye(4)[y]
same = keras_hash.evaluate(expected, whole, expected, whole, bits=8)
assert report.metrics["map"] == same.metrics["map"]
try:
    keras_hash.evaluation.count_table
except ImportError as error:
    assert "`count_table` needs TensorFlow" in str(error), error
else:
    raise AssertionError(error)
assert (model.encode(Batches(x)) == model.encode(x)).all()
"""


def test_on_another_backend():
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ELSEWHERE],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=True,
    )


PHOTOS = np.random.RandomState(1).randint(0, 256, (64, 9, 8, 3)).astype("uint8")
CLASSES = np.arange(64) % 4
# Arrays that are no raw pixels, and what mends them.
WRONG = {
    "0..1": (PHOTOS / 255, "by 255"),
    "0..1 of float16": ((PHOTOS / 255).astype("float16"), "by 255"),
    "-1..1": (PHOTOS / 127.5 - 1, "127.5"),
    "standard": ((PHOTOS - 127.0) / 60, "mean and deviation"),
    "floats of 16 bits": (PHOTOS * 257.0, "257"),
    "16 bits": (PHOTOS.astype("uint16") * 257, "257"),
    "negative": (PHOTOS.astype("int32") - 128, "raw pixels"),
    "nan": (np.where(PHOTOS > 99, np.nan, PHOTOS), "finite"),
}
RIGHT = {
    "uint8": PHOTOS,
    "int64": PHOTOS.astype("int64"),
    "float32": PHOTOS.astype("float32"),
    "overshoot": PHOTOS * 1.1 - 9,
    "black": np.zeros_like(PHOTOS, "float32"),
    "nearly black": np.minimum(PHOTOS, 1).astype("float32"),
    "a dark half": np.concatenate([PHOTOS[:32] / 256, PHOTOS[32:] / 1.0]),
}


@functools.cache
def photo_models():
    # Images are checked outside the steps, which are not traced.
    model = keras_hash.models.CSQ(8, 4, input_shape=(9, 8, 3))
    model.compile("adam", run_eagerly=True)
    plain = keras_hash.models.CSQ(8, 4, input_shape=(9, 8, 3))
    plain.compile(
        "adam",
        loss=lambda labels, codes: keras.ops.mean(codes),
        run_eagerly=True,
    )
    return model, plain, keras_hash.models.ITQ(4, input_shape=(9, 8, 3))


def photo_doors(images):
    """All ways in for images, by name: functions without arguments."""
    model, plain, solved = photo_models()
    pairs = unbatched(images, CLASSES)
    quiet = {"verbose": 0}
    metrics = keras_hash.callbacks.RetrievalMetrics(
        (images, CLASSES), (PHOTOS, CLASSES)
    )
    return {
        "fit": lambda: model.fit(images, CLASSES, **quiet),
        "fit of a dataset": lambda: model.fit(pairs.batch(64), **quiet),
        "fit of a PyDataset": lambda: model.fit(
            Batches(images, CLASSES), **quiet
        ),
        "fit with an own loss": lambda: plain.fit(pairs.batch(64), **quiet),
        "validation": lambda: model.fit(
            PHOTOS, CLASSES, validation_data=(images, CLASSES), **quiet
        ),
        "evaluate": lambda: model.evaluate(images, CLASSES, **quiet),
        "train_on_batch": lambda: model.train_on_batch(images, CLASSES),
        "test_on_batch": lambda: model.test_on_batch(images, CLASSES),
        "encode": lambda: model.encode(images, batch_size=16),
        "encode a dataset": lambda: model.encode(pairs.batch(64)),
        "adapt": lambda: solved.adapt(images, verbose=False),
        "adapt to a dataset": lambda: solved.adapt(
            pairs.batch(64), verbose=False
        ),
        "callback": lambda: model.fit(
            PHOTOS, CLASSES, callbacks=[metrics], **quiet
        ),
        "from_arrays": lambda: data.from_arrays(images, CLASSES, query=0.25),
    }


DOORS = (
    "fit",
    "fit of a dataset",
    "fit of a PyDataset",
    "fit with an own loss",
    "validation",
    "evaluate",
    "train_on_batch",
    "test_on_batch",
    "encode",
    "encode a dataset",
    "adapt",
    "adapt to a dataset",
    "callback",
    "from_arrays",
)


def crossed(kinds, everywhere):
    """Some kinds at all doors, the others at two of them."""
    return [
        (kind, door)
        for kind in kinds
        for door in DOORS
        if kind in everywhere or door in ("fit of a dataset", "encode")
    ]


@pytest.mark.parametrize("name, door", crossed(WRONG, ("0..1", "16 bits")))
def test_images_that_are_no_raw_pixels(name, door):
    images, says = WRONG[name]
    with pytest.raises(ValueError, match=says):
        photo_doors(images)[door]()


@pytest.mark.filterwarnings("ignore:arrays. .* left out")
@pytest.mark.parametrize("name, door", crossed(RIGHT, ("float32", "int64")))
def test_images_of_raw_pixels(name, door):
    photo_doors(RIGHT[name])[door]()


def test_images_of_several_sizes_have_the_codes_that_they_have_alone(tmp_path):
    model = keras_hash.models.CSQ(16, 4, input_shape=(9, 8, 3))
    images = [
        np.random.RandomState(i).randint(0, 256, (7 + i, 20 - i, 3), "uint8")
        for i in range(7)
    ]
    alone = np.concatenate([model.encode(image) for image in images])
    assert len(np.unique(alone, axis=0)) > 1

    def pairs():
        yield from ((image, 0) for image in images)

    signature = (
        tf.TensorSpec((None, None, 3), tf.uint8),
        tf.TensorSpec((), tf.int64),
    )
    dataset = tf.data.Dataset.from_generator(pairs, output_signature=signature)
    paths = [tmp_path / f"{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images):
        Image.fromarray(image).save(path)
    floats = [image.astype("float32") for image in images]
    for size in (2, 256):
        for given in (images, tuple(images), floats, dataset, paths):
            codes = model.encode(given, batch_size=size, verbose=False)
            np.testing.assert_array_equal(codes, alone)
    texts = [str(path) for path in paths]
    np.testing.assert_array_equal(model.encode(texts), alone)
    (tmp_path / "3.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="3.png: not an image"):
        model.encode(paths)
    with pytest.raises(ValueError, match="by 255"):
        model.encode([image / 255 for image in images])


def test_validation_arrays_come_as_tuple_or_list():
    model = keras_hash.models.CSQ(8, 4, input_shape=(9, 8, 3))
    model.compile("adam")
    dataset = unbatched(PHOTOS, CLASSES)
    for pack in (tuple, list):
        history = model.fit(
            dataset,
            batch_size=16,
            validation_data=pack([PHOTOS, CLASSES]),
            verbose=0,
        )
        assert len(history.history["val_loss"]) == 1
        with pytest.raises(ValueError, match="lie in 0 .. 3"):
            model.fit(
                dataset,
                validation_data=pack([PHOTOS, CLASSES + 1]),
                verbose=0,
            )


def test_features_of_all_views():
    images = RANDOM.randint(0, 256, (10, 3, 16, 16, 3)).astype("uint8")
    backbone = keras_hash.backbones.build("small", (16, 16, 3))
    flat = images.reshape(-1, 16, 16, 3).astype("float32")
    expected = backbone.predict_on_batch(flat).reshape(10, 3, -1)
    found = data.feature_views(backbone, images, batch_size=7)
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    one = data.feature_views(backbone, images[:, 0])
    np.testing.assert_allclose(one, expected[:, :1], rtol=1e-5, atol=1e-6)
    order = RANDOM.permutation(10)
    y = {"label": np.zeros(10), "index": order}
    named = unbatched(images[order], y).batch(4)
    found = data.feature_views(backbone, named)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    # Those that `batches` makes, of any order.
    digits = data.load("digits").train.take(20)
    views = data.batches(digits, 6, image_size=16, views=2, shuffle=True)
    first = data.feature_views(backbone, views)
    assert first.shape == (20, 2, expected.shape[-1])
    np.testing.assert_array_equal(data.feature_views(backbone, views), first)
    for bad, message in (
        (named.take(2), "8 images, the last index"),
        (unbatched(images).batch(2), "index of every image"),
        ((images for _ in range(2)), "of type generator"),
        (images + 0.5 * np.inf, "`images`"),
    ):
        with pytest.raises(ValueError, match=message):
            data.feature_views(backbone, bad)


def test_pools_and_paths_at_every_door(tmp_path, rng):
    for number in range(12):
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        size = 9 + number % 3, 8, 3
        Image.fromarray(rng.randint(0, 256, size).astype("uint8")).save(path)
    bench = data.from_folder(tmp_path, query=0.3)
    model = keras_hash.models.CSQ(8, 2, input_shape=(8, 8, 3))
    model.compile("adam")
    both = (bench.images, bench.targets)
    watched = keras_hash.callbacks.RetrievalMetrics(both, both, metrics="map")
    history = model.fit(*both, callbacks=[watched], verbose=0).history
    report, _ = keras_hash.evaluation.measure(model, bench)
    assert history["val_map"][0] > 0 and report.metrics["map"] > 0
    one = bench.images.paths[0]
    for wrong in (one, pathlib.Path(one), os.fsencode(one), (p for p in [one])):
        with pytest.raises(ValueError, match=r"one file is a list too"):
            model.encode(wrong)


def test_tensors_and_wrong_arguments_of_samplers_and_batches():
    images, labels = np.ones((12, 8), "float32"), np.arange(12) % 3
    sampler = data.EpochSampler(12, 4)
    found, _ = data.SampledBatches(tf.constant(images), labels, sampler)[0]
    assert found.shape == (4, 8)
    both = tf.constant(images), tf.constant(labels)
    read = source.Source(both, "query")
    read.choose(5, 0, 1)
    assert sum(len(part[0]) for part in read.batches(4, 1)) == 5
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    for wrong, message in (
        (lambda: data.batches(dataset, 4, shard=3), "`shard` should be"),
        (lambda: data.batches(dataset, 4, shard=(0, 1, 2)), "`shard` should"),
        (lambda: data.EpochSampler(12, 4, seed=-1), "`seed` should be an int"),
        (
            lambda: data.SampledBatches(images, labels, sampler, views=2),
            "`data.feature_views` makes them",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
