"""Files for TensorBoard: what is in the events, and for the projector."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_hash import codes as codes_lib
from keras_hash.callbacks import RetrievalMetrics
from tests.callbacks.events import array
from tests.callbacks.events import events
from tests.callbacks.events import plugin
from tests.callbacks.training import as_dataset
from tests.callbacks.training import fit
from tests.callbacks.training import labelled
from tests.callbacks.training import make


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


@pytest.fixture(scope="module")
def model():
    """For tests that any model serves: what it traced is kept."""
    return make()


def test_scalars_and_card(written):
    folder, report, *_ = written
    found = events(folder)
    for name, value in report.metrics.items():
        scalars = found[f"retrieval/{name}"]
        assert [step for step, _ in scalars] == [0, 1]
        assert plugin(scalars[0][1]) == "scalars"
        assert array(scalars[1][1]) == pytest.approx(value)
    ((step, text),) = found["card"]
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


def test_projector_files(written):
    folder, _, model, (_, stored), _, database = written
    vectors = np.loadtxt(folder / "codes.tsv", delimiter="\t")
    rows = (folder / "metadata.tsv").read_text().splitlines()
    assert rows[0] == "label\tposition" and len(rows) == 51
    labels, positions = np.array([r.split("\t") for r in rows[1:]], int).T
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
        label, position = row.split("\t")
        assert int(position) in metrics.database.chosen
        hot = np.flatnonzero(database[1][int(position)])
        assert label == (" ".join(map(str, hot)) or "none")


@pytest.mark.parametrize(
    "name", ["a [1]", "b*?{}", "back\\slash", "$x", "\udcff"], ids=ascii
)
def test_a_folder_of_any_name(model, sets, tmp_path, name):
    train, query, database = sets
    folder = tmp_path / name
    fit(model, train, RetrievalMetrics(query, database, log_dir=folder))
    assert [p.name for p in tmp_path.iterdir()] == [name]
    there = {p.name for p in folder.iterdir()}
    assert {"codes.tsv", "metadata.tsv", "projector_config.pbtxt"} < there
    assert any(one.startswith("events") for one in there)


def test_a_url_is_taken_whole(model, sets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train, query, database = sets
    # A file system of TensorFlow's, in memory.
    url = "ram://runs/first"
    fit(model, train, RetrievalMetrics(query, database, log_dir=url))
    there = set(tf.io.gfile.listdir(url))
    assert {"codes.tsv", "metadata.tsv", "projector_config.pbtxt"} < there
    assert {"sprite.png"} < there and len(there) == 5
    with tf.io.gfile.GFile(f"{url}/codes.tsv") as file:
        assert len(file.read().splitlines()) == 50
    assert not list(tmp_path.iterdir())
    log_dir = pathlib.Path("gs://runs")
    with pytest.raises(ValueError, match="not a URL"):
        fit(model, train, RetrievalMetrics(query, database, log_dir=log_dir))
