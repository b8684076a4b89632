"""The calls of docs/serving.md, over HTTP and gRPC."""

import base64
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_hash.data import headers
from keras_hash.export import decoding
from tests.export.serving.page import PAGE
from tests.export.serving.page import blocks
from tests.export.serving.page import here
from tests.export.serving.pictures import file_of


@pytest.fixture
def photos(tmp_path, monkeypatch, digits):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(file_of(digits[0], "JPEG"))
    (tmp_path / "photo.png").write_bytes(file_of(digits[1]))
    return [
        np.asarray(Image.open(tmp_path / name).convert("RGB"))
        for name in ("photo.jpg", "photo.png")
    ]


@pytest.mark.parametrize("number", range(len(blocks("py"))))
def test_calls_of_the_page(number, ports, photos, model, capsys):
    scope = {}
    code = here(blocks("py")[number], ports)
    exec(compile(code, f"{PAGE.name} call {number}", "exec"), scope)
    printed = capsys.readouterr().out
    if "codes" in scope:
        images = scope.get("images", np.asarray(photos))
        np.testing.assert_array_equal(scope["codes"], model.encode(images))
        assert scope["codes"].dtype == np.uint8
    elif "row" in scope:
        assert len(printed.splitlines()) == 3
        assert printed.splitlines()[0].split() == [
            scope["row"]["ids"][0],
            str(scope["row"]["distances"][0]),
        ]
    else:
        assert printed.startswith("400 ")
        assert "should be JPEG or PNG" in printed
    if "channel" in scope:
        scope["channel"].close()


needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="no curl")


@needs_curl
def test_curl_of_the_page(ports, photos, model):
    answers = [
        subprocess.run(
            ["bash", "-c", here(block, ports)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for block in blocks("sh")
        if "curl" in block
    ]
    status, codes, metrics = answers
    states = json.loads(status)["model_version_status"]
    assert [s["state"] for s in states] == ["AVAILABLE"]
    assert metrics.startswith("# TYPE :tensorflow:")
    (row,) = json.loads(codes)["predictions"]
    assert row["code"] == model.encode(photos[0])[0].tolist()
    # The answer that the page shows is whole and true to itself.
    (shown,) = blocks("json")
    (shown,) = json.loads(shown)["predictions"]
    assert shown.keys() == row.keys()
    packed = np.packbits(shown["code_bits"])
    assert packed.tolist() == shown["code"]
    assert base64.b64decode(shown["code_bytes"]["b64"]) == bytes(packed)


def test_grpc_refuses_with_invalid_argument(ports):
    import grpc
    from tensorflow_serving.apis import predict_pb2
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    with grpc.insecure_channel(here("localhost:8500", ports)) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "dshc_digits_30"
        request.inputs["image_bytes"].CopyFrom(
            tf.make_tensor_proto([b"no image, but long enough"])
        )
        with pytest.raises(
            grpc.RpcError, match="should be JPEG or PNG"
        ) as caught:
            service.Predict(request, timeout=20)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_the_page_says_what_the_graph_says(server):
    """Limits and texts, from the code and from the graph."""
    page = PAGE.read_text()
    for bound in (
        headers.MAX_PIXELS,
        headers.MAX_WORK,
        headers.MAX_PROGRESSIVE,
        decoding.MAX_IMAGES,
    ):
        assert f"{bound:,}" in page
    assert f"{decoding.MAX_BYTES >> 20} MiB" in page
    assert 12 * headers.MAX_PIXELS == 384 << 20
    graph = server.session.graph.as_graph_def().SerializeToString()
    table = page.split("## What is refused")[1].split("\n\n")[2]
    for text in re.findall(r"^\| ``? ?(.*?) ?``? \|", table, re.MULTILINE):
        for part in text.split(" ``, `` "):
            assert part.encode() in graph, part
