"""`RetrievalMetrics`: values, monitors, inputs and what TensorBoard reads."""

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
from keras_hash import codes as codes_lib
from keras_hash.callbacks import RetrievalMetrics


def labelled(rng, count, multi=False):
    images = rng.randint(0, 256, (count, 32, 32, 3)).astype("uint8")
    labels = rng.randint(0, 3, count)
    if multi:
        labels = (rng.rand(count, 3) < 0.5).astype("uint8")
    # A colour for each label, so that there is something to find.
    hot = labels if multi else np.eye(3, dtype="uint8")[labels]
    images[:, 8:24, 8:24] = 255 * hot[:, None, None]
    return images, labels


@pytest.fixture
def sets(rng):
    return [labelled(rng, count) for count in (40, 12, 50)]


def make(bits=12, method="DPSH", backbone=None):
    """A model of the mean colours of an image, which is quick to train."""
    keras.utils.set_random_seed(0)
    if backbone is None:
        inputs = keras.Input((32, 32, 3))
        means = keras.layers.AveragePooling2D(8)(inputs / 255)
        backbone = keras.Model(inputs, keras.layers.Flatten()(means))
    model = getattr(keras_hash.models, method)(bits, 3, backbone=backbone)
    model.compile(keras.optimizers.Adam(1e-3))
    return model


def fit(model, train, *callbacks, epochs=1, **kwargs):
    return model.fit(
        *train,
        batch_size=20,
        epochs=epochs,
        verbose=0,
        callbacks=list(callbacks),
        **kwargs,
    ).history


def as_dataset(pair, batch=None, index=False):
    dataset = tf.data.Dataset.from_tensor_slices(pair)
    if index:
        return keras_hash.data.batches(dataset, batch)
    return dataset.batch(batch) if batch else dataset


@pytest.mark.parametrize("multi", [False, True])
def test_values_are_those_of_evaluate(rng, multi):
    train, query, database = (
        labelled(rng, count, multi) for count in (40, 12, 50)
    )
    model = make()
    names = ("map", "map@7", "precision_radius@2", "unique_codes")
    if multi:
        names += ("jaccard_ndcg@5",)
    metrics = RetrievalMetrics(
        query, database, k=5, metrics=names, batch_size=50
    )
    history = fit(model, train, metrics, epochs=2)
    expected = keras_hash.evaluate(
        model.encode(query[0], 50),
        query[1],
        model.encode(database[0], 50),
        database[1],
        bits=12,
        k=(5, 7),
    )
    for name in names:
        assert history[f"val_{name}"][-1] == expected.metrics[name], name
        assert len(history[f"val_{name}"]) == 2
    assert metrics.report == expected


def test_default_names_and_similarity_of_the_model(rng):
    train, query, database = (
        labelled(rng, count, True) for count in (40, 12, 50)
    )
    model = make(3, "DSHCMultiLabel")
    metrics = RetrievalMetrics(query, database, k=(5, 9))
    history = fit(model, train, metrics)
    assert metrics.report.settings["similarity"] == "and"
    assert {name for name in history if name.startswith("val_")} == {
        "val_map",
        "val_precision@5",
        "val_ndcg@5",
        "val_precision@9",
        "val_ndcg@9",
    }


def test_options_reach_the_evaluation(sets):
    train, _, database = sets
    metrics = RetrievalMetrics(database, database, self_match="drop", k=5)
    fit(make(), train, metrics)
    assert metrics.report.settings["self_match"] == "drop"


def test_checkpoint_and_early_stopping_see_the_values(sets, tmp_path):
    train, query, database = sets
    model = make()
    metrics = RetrievalMetrics(query, database)
    best = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.keras",
        monitor="val_map",
        mode="max",
        save_best_only=True,
    )
    history = fit(model, train, metrics, best, epochs=3)
    assert best.best == max(history["val_map"])
    kept = keras.models.load_model(tmp_path / "best.keras")
    expected = keras_hash.evaluate(
        kept.encode(query[0]),
        query[1],
        kept.encode(database[0]),
        database[1],
        bits=12,
    )
    assert expected.metrics["map"] == pytest.approx(best.best)
    stop = keras.callbacks.EarlyStopping("val_map", 2.0, mode="max", patience=1)
    # No mAP is better by 2.
    history = fit(model, train, metrics, stop, epochs=5)
    assert len(history["val_map"]) == 2


def test_a_monitor_in_front_is_reported(sets):
    train, query, database = sets
    metrics = RetrievalMetrics(query, database)
    stop = keras.callbacks.EarlyStopping("val_map", mode="max")
    with pytest.raises(ValueError, match="put `RetrievalMetrics` before it"):
        fit(make(), train, stop, metrics)
    # What it does not measure is none of its business.
    other = keras.callbacks.EarlyStopping("loss", mode="min")
    fit(make(), train, other, metrics)
    listed = keras.callbacks.CallbackList([stop, metrics], model=make())
    with pytest.raises(ValueError, match="`EarlyStopping` first"):
        make().fit(*train, callbacks=listed, verbose=0)


@pytest.mark.parametrize("subset", [None, 9])
def test_all_kinds_of_input_agree(sets, subset):
    _, query, database = sets
    model = make()
    reports = []
    for kind in (
        lambda pair: pair,
        lambda pair: (list(pair[0]), {"label": pair[1][:, None]}),
        as_dataset,
        lambda pair: as_dataset(pair, 7),
        lambda pair: as_dataset(pair, 40),
        lambda pair: as_dataset(pair, 7, index=True),
        lambda pair: as_dataset(pair).filter(lambda image, label: True),
        lambda pair: as_dataset((pair[0], pair[1][:, None])),
    ):
        metrics = RetrievalMetrics(
            kind(query), kind(database), subset=subset, batch_size=10
        )
        metrics.set_model(model)
        metrics.on_train_begin()
        metrics.on_epoch_end(0, {})
        reports.append(metrics.report)
    assert all(report == reports[0] for report in reports)
    assert reports[0].settings["queries"] == (subset or 12)
    assert reports[0].settings["database"] == (subset or 50)


def test_subset_follows_the_seed(sets):
    train, query, database = sets
    found = []
    for seed in (0, 0, 1):
        metrics = RetrievalMetrics(query, database, subset=20, seed=seed)
        fit(make(), train, metrics)
        found.append(metrics.report)
        assert len(np.unique(metrics.database.chosen)) == 20
        assert metrics.report.settings["queries"] == 12
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_every_measures_first_every_so_manieth_and_last(sets, monkeypatch):
    train, query, database = sets
    measured = []
    measure = RetrievalMetrics._measure

    def noted(self, epoch):
        measured.append(epoch)
        measure(self, epoch)

    monkeypatch.setattr(RetrievalMetrics, "_measure", noted)
    metrics = RetrievalMetrics(query, database, every=2)
    history = fit(make(), train, metrics, epochs=5)
    assert measured == [0, 1, 3, 4]
    assert len(history["val_map"]) == 5
    assert history["val_map"][2] == history["val_map"][1]
    fit(make(), train, metrics, epochs=5, initial_epoch=2)
    assert measured[4:] == [2, 3, 4]


def test_validation_and_training_are_left_alone(sets):
    """The same weights with and without, and Keras' own values stay."""
    train, query, database = sets
    # With moving averages, which evaluation must not touch.
    plain, watched = make(backbone="small"), make(backbone="small")
    fit(plain, train, epochs=2)
    metrics = RetrievalMetrics(query, database)
    history = fit(watched, train, metrics, epochs=2, validation_data=query)
    assert {"val_loss", "val_map"} <= set(history)
    for a, b in zip(plain.weights, watched.weights):
        np.testing.assert_array_equal(a, b)


def events(folder):
    """Tag to list of (step, value), from the event files of a folder."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value))
    return found


def array(value):
    return tf.make_ndarray(value.tensor)


def plugin(value):
    return value.metadata.plugin_data.plugin_name


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board") / "log"
    rng = np.random.RandomState(0)
    train, query, database = (labelled(rng, count) for count in (40, 12, 50))
    model = make()
    metrics = RetrievalMetrics(
        query, as_dataset(database, 16), log_dir=folder, k=5
    )
    fit(model, train, metrics, epochs=2)
    codes = [model.encode(part[0]) for part in (query, database)]
    return folder, metrics.report, model, codes, query, database


def test_scalars_and_settings(written):
    folder, report, *_ = written
    found = events(folder)
    for name, value in report.metrics.items():
        scalars = found[f"retrieval/{name}"]
        assert [step for step, _ in scalars] == [0, 1]
        assert plugin(scalars[0][1]) == "scalars"
        assert array(scalars[1][1]) == pytest.approx(value)
    ((step, text),) = found["settings"]
    assert plugin(text) == "text"
    text = array(text).item().decode()
    assert "| method | DPSH |" in text and "| database | 50 |" in text


def test_pr_curve_and_distances(written):
    folder, report, model, (asked, stored), query, database = written
    found = events(folder)
    distances = codes_lib.hamming(asked, stored)
    similar = query[1][:, None] == database[1]
    for name, pairs in (("similar", similar), ("dissimilar", ~similar)):
        value = found[f"distances/{name}"][1][1]
        assert plugin(value) == "histograms"
        buckets = array(value)
        np.testing.assert_array_equal(
            buckets[:, 2], np.bincount(distances[pairs], minlength=13)
        )
        assert buckets[3, :2].tolist() == [2.5, 3.5]
    value = found["precision_recall"][1][1]
    assert plugin(value) == "pr_curves"
    rows = array(value)
    assert rows.shape == (6, 13)
    for radius in range(13):
        near = distances <= radius
        counts = [
            (near & similar).sum(),
            (near & ~similar).sum(),
            (~near & ~similar).sum(),
            (~near & similar).sum(),
        ]
        assert rows[:4, 12 - radius].tolist() == counts
    curves = report.curves
    np.testing.assert_allclose(rows[4, ::-1], curves["precision"], rtol=1e-6)
    np.testing.assert_allclose(rows[5, ::-1], curves["recall"], rtol=1e-6)


def test_tensorboard_reads_the_curve(written):
    """The plugin itself finds the curve, with one threshold a radius."""
    from tensorboard.backend.event_processing import event_accumulator
    from tensorboard.plugins.pr_curve import metadata

    reader = event_accumulator.EventAccumulator(str(written[0]))
    reader.Reload()
    content = reader.PluginTagToContent("pr_curves")["precision_recall"]
    assert metadata.parse_plugin_metadata(content).num_thresholds == 13
    assert len(reader.Tensors("precision_recall")) == 2


def test_histograms_of_real_codes(written):
    folder, _, model, _, query, database = written
    found = events(folder)
    for name, images in (("query", query[0]), ("database", database[0])):
        value = found[f"real_codes/{name}"][1][1]
        assert plugin(value) == "histograms"
        buckets, real = array(value), model.real_codes(images)
        assert buckets[:, 2].sum() == real.size
        np.testing.assert_allclose(buckets[0, 0], real.min(), rtol=1e-4)
        np.testing.assert_allclose(buckets[-1, 1], real.max(), rtol=1e-4)


def test_pictures(written, monkeypatch):
    folder = written[0]
    found = events(folder)
    for name in ("code_bits", "nearest"):
        assert [step for step, _ in found[name]] == [0, 1]
        value = found[name][0][1]
        assert plugin(value) == "images"
        picture = tf.io.decode_png(array(value)[2]).numpy()
        assert picture.shape[0] > 200 and picture.std() > 1
    framed = tf.io.decode_png(array(found["nearest"][0][1])[2]).numpy()
    green = np.array([0x2A, 0x9D, 0x3A])
    assert (framed == green).all(axis=-1).sum() > 100


def drawn(monkeypatch, name):
    from keras_hash import figures

    calls = []
    draw = getattr(figures, name)

    def noted(*args):
        calls.append(args)
        draw(*args)

    monkeypatch.setattr(figures, name, noted)
    return calls


@pytest.mark.parametrize("method", ["DPSH", "DSHCMultiLabel"])
def test_the_gallery_is_the_nearest(rng, tmp_path, monkeypatch, method):
    multi = method != "DPSH"
    train, query, database = (
        labelled(rng, count, multi) for count in (40, 12, 50)
    )
    calls = drawn(monkeypatch, "gallery")
    model = make(3 if multi else 12, method)
    metrics = RetrievalMetrics(query, database, log_dir=tmp_path, batch_size=13)
    fit(model, train, metrics)
    ((shown, neighbours, distances, relevant, _),) = calls
    _, firsts = np.unique(query[1], axis=0, return_index=True)
    firsts = np.sort(firsts)[:8]
    np.testing.assert_array_equal(shown, query[0][firsts])
    asked, stored = model.encode(query[0][firsts]), model.encode(database[0])
    if multi:
        common = np.bitwise_count(asked[:, None] & stored).sum(axis=-1)
        expected = 3 - common.astype(int)
    else:
        expected = codes_lib.hamming(asked, stored)
    order = np.argsort(expected, axis=1, kind="stable")[:, :10]
    np.testing.assert_array_equal(
        distances, np.take_along_axis(expected, order, axis=1)
    )
    np.testing.assert_array_equal(neighbours, database[0][order])
    labels, other = query[1][firsts][:, None], database[1][order]
    same = (labels & other).any(axis=-1) if multi else labels == other
    np.testing.assert_array_equal(relevant, same)


def test_the_bits(sets, tmp_path, monkeypatch):
    train, query, database = sets
    calls = drawn(monkeypatch, "code_bits")
    model = make()
    metrics = RetrievalMetrics(query, database, log_dir=tmp_path)
    fit(model, train, metrics)
    ((share, correlation, _),) = calls
    ones = codes_lib.unpack(model.encode(database[0]), 12) > 0
    np.testing.assert_allclose(share, ones.mean(axis=0))
    varied = np.flatnonzero(ones.any(axis=0) & ~ones.all(axis=0))
    np.testing.assert_allclose(
        correlation[np.ix_(varied, varied)],
        np.corrcoef(ones[:, varied].T),
        atol=1e-9,
    )
    np.testing.assert_allclose(
        metrics.report.metrics["bit_correlation"],
        np.abs(correlation - np.diag(np.diag(correlation))).sum() / (12 * 11),
    )


def test_projector_files(written):
    folder, _, model, (_, stored), _, database = written
    vectors = np.loadtxt(folder / "codes.tsv", delimiter="\t")
    rows = (folder / "metadata.tsv").read_text().splitlines()
    assert rows[0] == "position\tlabel" and len(rows) == 51
    positions, labels = np.array([r.split("\t") for r in rows[1:]], int).T
    np.testing.assert_array_equal(labels, database[1][positions])
    expected = codes_lib.unpack(stored, 12)[positions]
    np.testing.assert_array_equal(vectors, expected)
    sprite = np.asarray(Image.open(folder / "sprite.png"))
    assert sprite.shape == (8 * 32, 8 * 32, 3)
    np.testing.assert_array_equal(
        sprite[32:64, 64:96], database[0][positions[8 + 2]]
    )
    from google.protobuf import text_format
    from tensorboard.plugins import projector

    text = (folder / "projector_config.pbtxt").read_text()
    config = text_format.Parse(text, projector.ProjectorConfig())
    (shown,) = config.embeddings
    assert (folder / shown.tensor_path).exists()
    assert (folder / shown.metadata_path).exists()
    assert (folder / shown.sprite.image_path).exists()
    assert list(shown.sprite.single_image_dim) == [32, 32]


def test_projector_takes_a_bounded_sample(rng, tmp_path):
    """Of several labels, with the positions in the whole database."""
    train, query, database = (
        labelled(rng, count, True) for count in (40, 12, 1100)
    )
    log = tmp_path / "log"
    metrics = RetrievalMetrics(query, database, log_dir=log, subset=1050)
    fit(make(), train, metrics)
    rows = (log / "metadata.tsv").read_text().splitlines()[1:]
    assert len(rows) == 1000
    for row in rows:
        position, label = row.split("\t")
        assert int(position) in metrics.database.chosen
        hot = np.flatnonzero(database[1][int(position)])
        assert label == (" ".join(map(str, hot)) or "none")


@pytest.mark.parametrize("given", [False, True])
def test_features_are_drawn_by_given_images(rng, tmp_path, given):
    pictures = [labelled(rng, count) for count in (40, 12, 50)]
    train, query, database = (
        (images.reshape(len(images), -1)[:, ::96] / 255, labels)
        for images, labels in pictures
    )
    model = keras_hash.models.DPSH(
        12, 3, backbone="features", input_shape=(32,)
    )
    images = (pictures[1][0], pictures[2][0]) if given else None
    metrics = RetrievalMetrics(query, database, log_dir=tmp_path, images=images)
    fit(model, train, metrics)
    assert ("nearest" in events(tmp_path)) == given
    assert (tmp_path / "sprite.png").exists() == given
    assert (tmp_path / "codes.tsv").exists()


def test_no_radius_where_there_is_none(rng, tmp_path):
    train, query, database = (
        labelled(rng, count, True) for count in (40, 12, 50)
    )
    metrics = RetrievalMetrics(query, database, log_dir=tmp_path)
    fit(make(3, "DSHCMultiLabel"), train, metrics)
    found = events(tmp_path)
    assert "precision_recall" not in found
    pairs = sum(
        array(found[f"distances/{name}"][0][1])[:, 2].sum()
        for name in ("similar", "dissimilar")
    )
    assert pairs == 12 * 50


def test_large_and_oblong_pictures_become_thumbnails(rng, tmp_path):
    train = labelled(rng, 40)
    images = rng.rand(12, 120, 150, 3) * 300
    metrics = RetrievalMetrics(
        (images, np.arange(12) % 3), (images, np.arange(12) % 3), tmp_path
    )
    fit(make(), train, metrics)
    assert Image.open(tmp_path / "sprite.png").size == (4 * 48, 4 * 48)


IMAGES, LABELS = np.zeros((4, 32, 32, 3), "uint8"), np.arange(4) % 3


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"query": (IMAGES[:0], LABELS[:0])}, "`query` has no images"),
        ({"database": (IMAGES, LABELS[:3])}, "for each of its 4 images"),
        ({"database": (IMAGES, 3)}, "for each of its 4 images"),
        ({"query": IMAGES}, "should be a pair of arrays"),
        ({"every": 0}, "`every` should be"),
        ({"subset": 0.5}, "`subset` should be"),
        ({"batch_size": None}, "`batch_size` should be"),
        ({"images": IMAGES}, r"should be a pair \(query_images"),
        ({"images": (IMAGES[:3], IMAGES)}, "a picture for each of the 4"),
        (
            {"query": tf.data.Dataset.from_tensor_slices(IMAGES)},
            "should yield",
        ),
        (
            {"query": as_dataset((IMAGES, {"class": LABELS}))},
            "dicts with 'label'",
        ),
        ({"query": as_dataset((IMAGES, LABELS)).repeat()}, "never ends"),
        ({"query": as_dataset((IMAGES, LABELS)).take(0)}, "has no images"),
        # When training begins.
        ({"metrics": ["map", "mapp"]}, r"Received: \['mapp'\]"),
        ({"metrics": "recall"}, r"Received: \['recall'\]"),
        ({"k": 0}, "`k` should be"),
        ({"ties": "none"}, "`ties` should be one of"),
        ({"query": (IMAGES, np.eye(4))}, "labels"),
        ({"query": (IMAGES, LABELS + 0.5)}, "`query_labels` of rank 1"),
        ({"database": (IMAGES, LABELS - 0.5)}, "`database_labels` of rank 1"),
        ({"query": as_dataset((IMAGES, np.eye(4)), 2)}, "labels"),
        ({"query": as_dataset((IMAGES[..., 0], LABELS))}, "have rank 3"),
        (
            {
                "query": as_dataset((IMAGES, LABELS)).filter(
                    lambda image, label: False
                )
            },
            "has no images",
        ),
        (
            {
                "database": as_dataset((IMAGES, LABELS)).filter(
                    lambda image, label: False
                ),
                "subset": 2,
            },
            "has no images",
        ),
    ],
)
def test_errors(changes, message):
    settings = {"query": (IMAGES, LABELS), "database": (IMAGES, LABELS)}
    with pytest.raises(ValueError, match=message):
        metrics = RetrievalMetrics(**{**settings, **changes})
        metrics.set_model(make())
        metrics.on_train_begin()


def test_other_models_are_refused():
    metrics = RetrievalMetrics((IMAGES, LABELS), (IMAGES, LABELS))
    metrics.set_model(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="of type Sequential"):
        metrics.on_train_begin()


SCRIPT = """
import sys
sys.modules["tensorflow"] = None
import keras, numpy as np, keras_hash
assert keras.backend.backend() == "jax"
random = np.random.RandomState(0)
labels = random.randint(3, size=60)
features = np.eye(3)[labels] @ random.randn(3, 8) + random.randn(60, 8)
features = features.astype("float32")
model = keras_hash.models.DPSH(
    12, 3, backbone="features", input_shape=(8,)
)
model.compile(keras.optimizers.Adam(1e-2))
data = features, labels
metrics = keras_hash.callbacks.RetrievalMetrics(data, data, subset=50, k=5)
stop = keras.callbacks.EarlyStopping("val_map", mode="max", patience=9)
history = model.fit(
    *data, epochs=3, verbose=0, callbacks=[metrics, stop]
).history
chosen = metrics.query.chosen
codes = model.encode(features[chosen])
args = codes, labels[chosen], codes, labels[chosen]
expected = keras_hash.evaluate(*args, bits=12, k=5)
assert metrics.report == expected
assert history["val_map"][-1] == expected.metrics["map"]
assert history["val_map"][0] != history["val_map"][-1]
"""


def test_jax_without_tensorflow():
    pytest.importorskip("jax")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
