"""TensorBoard itself, over HTTP, reads what `RetrievalMetrics` wrote."""

import http.client
import io
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import keras
import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash import codes as codes_lib
from keras_hash.callbacks import RetrievalMetrics

BITS, EPOCHS = 12, 2
NAMES = ["<b>red</b>", "green\tsea", "blue"]
PLUGINS = [
    "scalars",
    "pr_curves",
    "images",
    "histograms",
    "distributions",
    "text",
    "hparams",
    "projector",
    "custom_scalars",
]


class Board:
    """TensorBoard as a process, read through its pages of data."""

    def __init__(self, address):
        self.address = address

    def get(self, path, post=None, **query):
        url = f"{self.address}data/{path}?{urllib.parse.urlencode(query)}"
        data = None if post is None else json.dumps(post).encode()
        request = urllib.request.Request(
            url, data, {"Content-Type": "application/json"} if data else {}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def json(self, path, **query):
        return json.loads(self.get(f"plugin/{path}", **query))

    def wait(self, tag):
        """Until the files are read: they are, in threads, from the start."""
        limit = time.monotonic() + 120
        while time.monotonic() < limit:
            try:
                listed = json.loads(self.get("plugins_listing"))
                read = self.json("scalars/scalars", run="run", tag=tag)
                active = [name for name in PLUGINS if listed[name]["enabled"]]
                if len(read) == EPOCHS and active == PLUGINS:
                    return
            except (urllib.error.URLError, http.client.HTTPException):
                active = "nothing"
            time.sleep(0.3)
        raise AssertionError(f"TensorBoard has read only: {active}")


def labelled(rng, count):
    labels = rng.randint(0, 3, count)
    images = rng.randint(0, 256, (count, 32, 32, 3)).astype("uint8")
    images[:, 8:24, 8:24] = (
        255 * np.eye(3, dtype="uint8")[labels][:, None, None]
    )
    return images, labels


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder, a report an epoch, the model and its sets."""
    rng = np.random.RandomState(0)
    train, query, database = (labelled(rng, count) for count in (40, 12, 50))
    keras.utils.set_random_seed(0)
    model = keras_hash.models.DPSH(BITS, 3)
    model.compile(keras.optimizers.Adam(1e-3))
    folder = tmp_path_factory.mktemp("board")
    metrics = RetrievalMetrics(
        query,
        database,
        log_dir=folder / "run",
        k=5,
        hparams={"seed": 7, "augment": "none"},
        class_names=NAMES,
    )
    reports = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: reports.append(metrics.report)
    )
    model.fit(*train, epochs=EPOCHS, callbacks=[metrics, keep], verbose=0)
    return folder, reports, model, query, database


@pytest.fixture(scope="module")
def board(trained):
    process = subprocess.Popen(
        [
            *(sys.executable, "-W", "ignore", "-m", "tensorboard.main"),
            *("--logdir", str(trained[0]), "--host", "127.0.0.1"),
            *("--port", "0", "--load_fast", "false"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = []
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
                break
        else:
            raise AssertionError(f"TensorBoard did not start: {said}")
        board = Board(found[0])
        # The last scalar of the last epoch.
        board.wait(f"retrieval/{list(trained[1][-1].metrics)[-1]}")
        yield board
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()


def test_scalars_are_those_of_the_reports(board, trained):
    reports = trained[1]
    tags = board.json("scalars/tags")["run"]
    assert set(tags) == {f"retrieval/{name}" for name in reports[0].metrics}
    for name in reports[0].metrics:
        found = board.json(
            "scalars/scalars", run="run", tag=f"retrieval/{name}"
        )
        assert [step for _, step, _ in found] == [0, 1]
        expected = [report.metrics[name] for report in reports]
        np.testing.assert_allclose(
            [value for _, _, value in found], expected, rtol=1e-6
        )


def test_the_pr_curve_is_that_of_the_report(board, trained):
    found = board.json("pr_curves/pr_curves", run="run", tag="precision_recall")
    curves = found["run"]
    assert [curve["step"] for curve in curves] == [0, 1]
    for curve, report in zip(curves, trained[1]):
        expected = report.curves
        np.testing.assert_allclose(
            curve["precision"][::-1], expected["precision"], rtol=1e-6
        )
        np.testing.assert_allclose(
            curve["recall"][::-1], expected["recall"], rtol=1e-6
        )
        radius = BITS * (1 - np.array(curve["thresholds"][::-1]))
        np.testing.assert_allclose(radius, expected["radius"], atol=1e-6)


def test_histograms_count_all_pairs(board, trained):
    _, _, model, query, database = trained
    distances = codes_lib.hamming(
        model.encode(query[0]), model.encode(database[0])
    )
    similar = query[1][:, None] == database[1]
    for name, pairs in (("similar", similar), ("dissimilar", ~similar)):
        last = board.json(
            "histograms/histograms", run="run", tag=f"distances/{name}"
        )[-1]
        step, buckets = last[1], np.array(last[2])
        assert step == 1
        counts = np.bincount(distances[pairs], minlength=BITS + 1)
        np.testing.assert_array_equal(buckets[:, 2], counts)
    last = board.json(
        "histograms/histograms", run="run", tag="real_codes/query"
    )
    assert sum(row[2] for row in last[-1][2]) == 12 * BITS


def test_pictures_open(board):
    for tag, least in (("code_bits", (800, 300)), ("nearest", (900, 300))):
        listed = board.json("images/images", run="run", tag=tag, sample=0)
        assert [one["step"] for one in listed] == [0, 1]
        for one in listed:
            content = board.get(
                "plugin/images/individualImage",
                **dict(urllib.parse.parse_qsl(one["query"])),
            )
            picture = Image.open(io.BytesIO(content))
            assert picture.width >= least[0]
            assert picture.height >= least[1]
            # White paper and colours on it.
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 20


def test_text_has_the_card_and_the_report(board, trained):
    (card,) = board.json("text/text", run="run", tag="card")
    for setting, value in (
        ("method", "DPSH"),
        ("learning_rate", "0.001"),
        ("seed", "7"),
        ("database", "50"),
        ("ties", "expected"),
    ):
        row = rf"<td[^>]*>{setting}</td>\s*<td[^>]*>{value}</td>"
        assert re.search(row, card["text"]), setting
    reports = board.json("text/text", run="run", tag="report")
    assert [one["step"] for one in reports] == [0, 1]
    value = f"{trained[1][1].metrics['map']:.4f}"
    row = rf"<td[^>]*>map</td>\s*<td[^>]*>{value}</td>"
    assert re.search(row, reports[1]["text"])


def test_hparams_stand_beside_the_metrics(board, trained):
    experiment = board.json("hparams/experiment", post={})
    names = {one["name"] for one in experiment["hparamInfos"]}
    assert {"method", "bits", "backbone", "learning_rate", "seed"} <= names
    shown = [one["name"]["tag"] for one in experiment["metricInfos"]]
    assert shown == [
        f"retrieval/{name}" for name in ("map", "precision@5", "ndcg@5")
    ]
    asked = {
        "startIndex": 0,
        "sliceSize": 10,
        "allowedStatuses": ["STATUS_SUCCESS"],
        "colParams": [{"metric": {"tag": "retrieval/map"}}],
    }
    (group,) = board.json("hparams/session_groups", post=asked)["sessionGroups"]
    assert group["name"].endswith("/run")
    values = group["hparams"]
    assert values["method"] == "DPSH" and values["bits"] == BITS
    assert values["seed"] == 7 and values["augment"] == "none"
    (metric,) = [
        one
        for one in group["metricValues"]
        if one["name"]["tag"] == "retrieval/map"
    ]
    assert metric["trainingStep"] == 1
    assert metric["value"] == pytest.approx(trained[1][1].metrics["map"])


def test_custom_scalars_find_their_metrics(board, trained):
    layout = board.json("custom_scalars/layout")
    charts = {
        chart["title"]: chart["multiline"]["tag"]
        for category in layout["category"]
        for chart in category["chart"]
    }
    assert [one["title"] for one in layout["category"]] == [
        "ranking",
        "Hamming radius",
        "do the codes collapse?",
    ]
    for title, tags in charts.items():
        for tag in tags:
            found = board.json("custom_scalars/scalars", run="run", tag=tag)
            assert found["regex_valid"]
            ((name, points),) = found["tag_to_events"].items()
            value = trained[1][1].metrics[name.removeprefix("retrieval/")]
            assert points[-1][2] == pytest.approx(value), title
    assert charts["mAP, and of a random order"] == [
        "^retrieval/map$",
        "^retrieval/chance_map$",
    ]


def test_projector_shows_codes_labels_and_thumbnails(board, trained):
    _, _, model, _, (images, labels) = trained
    assert board.json("projector/runs") == ["run"]
    config = board.json("projector/info", run="run")
    (shown,) = config["embeddings"]
    place = {"run": "run", "name": shown["tensorName"]}
    tensor = board.get("plugin/projector/tensor", **place)
    vectors = np.frombuffer(tensor, "float32").reshape(50, BITS)
    metadata = board.get("plugin/projector/metadata", **place).decode()
    head, *rows = [line.split("\t") for line in metadata.splitlines()]
    assert head == ["label", "position"]
    positions = np.array([int(row[1]) for row in rows])
    assert sorted(positions) == list(range(50))
    expected = codes_lib.unpack(model.encode(images[positions]), BITS)
    np.testing.assert_array_equal(vectors, expected)
    tidy = [" ".join(name.split()) for name in NAMES]
    assert [row[0] for row in rows] == [tidy[n] for n in labels[positions]]
    sprite = board.get("plugin/projector/sprite_image", **place)
    sheet = np.asarray(Image.open(io.BytesIO(sprite)))
    side, _ = shown["sprite"]["singleImageDim"]
    columns = sheet.shape[1] // side
    for number in (0, 9, 49):
        row, column = divmod(number, columns)
        part = sheet[row * side :, column * side :][:side, :side]
        np.testing.assert_array_equal(part, images[positions[number]])
