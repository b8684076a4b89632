"""What the server is given and what it answers, over REST and messages."""

import base64
import concurrent.futures
import contextlib
import io
import json
import pathlib
import re
import threading

import numpy as np
import pytest
import tensorflow as tf

from keras_hash import zoo
from tests.export.serving.pictures import file_of
from tests.export.serving.server import Refused
from tests.export.serving.server import in_fields

ROOT = pathlib.Path(__file__).resolve().parents[3]


def versions(folder):
    """The server's rule: children whose whole name is a number."""
    return sorted(
        int(p.name)
        for p in folder.iterdir()
        if re.fullmatch(r"-?[0-9]+", p.name)
    )


def test_versioned_folders(folders):
    assert versions(folders / "dshc_digits_30") == [1]
    assert versions(folders / "retrieval") == [1]
    for card in (ROOT / "zoo").glob("*/card.json"):
        # The server takes the largest, `load` what the card says.
        assert versions(card.parent)[-1] == zoo.card(card.parent)["version"]


def test_saved_model_cli(folders):
    # The command `saved_model_cli show --all`, without a process of its own.
    from tensorflow.python.tools import saved_model_cli

    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        saved_model_cli._show_all(str(folders / "retrieval" / "1"))
    shown = stdout.getvalue()
    parts = re.split(r"signature_def\['(\w+)'\]:", shown)
    found = {
        name: set(
            re.findall(
                r"(inputs|outputs)\['(\w+)'\] tensor_info:\s+"
                r"dtype: (\w+)\s+shape: (\S+(?: \S+)*)\n",
                text.split("Concrete Functions")[0],
            )
        )
        for name, text in zip(parts[1::2], parts[2::2])
    }
    text = ("inputs", "image_bytes", "DT_STRING", "(-1)")
    arrays = ("inputs", "image", "DT_FLOAT", "(-1, -1, -1, 3)")
    codes = {
        ("outputs", "code", "DT_UINT8", "(-1, 4)"),
        ("outputs", "code_bits", "DT_UINT8", "(-1, 30)"),
        ("outputs", "code_bytes", "DT_STRING", "(-1)"),
    }
    items = {
        ("outputs", "distances", "DT_INT32", "(-1, 3)"),
        ("outputs", "ids", "DT_STRING", "(-1, 3)"),
    }
    assert found["encode_bytes"] == {text} | codes
    assert found["encode"] == {arrays} | codes
    assert found["search"] == found["serving_default"] == {text} | items
    assert found["search_arrays"] == {arrays} | items
    code = ("inputs", "code", "DT_UINT8", "(-1, 4)")
    assert found["search_codes"] == {code} | items
    assert shown.count("tensorflow/serving/predict") == 6


def test_predict_request_and_response(server, model, digits):
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "dshc_digits_30"
    request.inputs["image_bytes"].CopyFrom(
        tf.make_tensor_proto([file_of(image) for image in digits])
    )
    # Over the wire and back, both ways.
    request = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    response = server.predict(request)
    response = predict_pb2.PredictResponse.FromString(
        response.SerializeToString()
    )
    assert response.model_spec.signature_name == "serving_default"
    assert set(response.outputs) == {"code", "code_bits", "code_bytes"}
    expected = model.encode(digits)
    code = tf.make_ndarray(response.outputs["code"])
    assert code.dtype == np.uint8
    np.testing.assert_array_equal(code, expected)
    assert list(response.outputs["code_bytes"].string_val) == [
        bytes(c) for c in expected
    ]
    request.output_filter.append("code_bytes")
    assert list(server.predict(request).outputs) == ["code_bytes"]
    # Arrays by another signature, as `tensor_content` and as typed fields.
    arrays = predict_pb2.PredictRequest()
    arrays.model_spec.signature_name = "encode"
    for proto in (
        tf.make_tensor_proto(digits.astype("float32")),
        in_fields(digits.astype("float32")),
    ):
        arrays.inputs["image"].CopyFrom(proto)
        found = server.predict(arrays).outputs["code"]
        np.testing.assert_array_equal(tf.make_ndarray(found), expected)


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


@pytest.mark.parametrize(
    "shape", [lambda x: x, lambda x: {"image_bytes": x}], ids=["bare", "named"]
)
def test_rest_by_row(server, model, digits, shape):
    expected = model.encode(digits)
    body = {"instances": [shape(b64(file_of(image))) for image in digits]}
    answer = json.loads(server.rest(json.dumps(body)))
    assert list(answer) == ["predictions"]
    for row, code in zip(answer["predictions"], expected, strict=True):
        assert set(row) == {"code", "code_bits", "code_bytes"}
        assert row["code"] == code.tolist()
        bits = np.unpackbits(code)[: len(row["code_bits"])]
        assert row["code_bits"] == bits.tolist()
        # Base64, as its name ends in `_bytes`.
        assert list(row["code_bytes"]) == ["b64"]
        assert base64.b64decode(row["code_bytes"]["b64"]) == bytes(code)


def test_rest_by_column(server, model, digits):
    expected = model.encode(digits)
    files = [b64(file_of(image)) for image in digits]
    for given in (files, {"image_bytes": files}):
        answer = json.loads(server.rest(json.dumps({"inputs": given})))
        assert answer["outputs"]["code"] == expected.tolist()
    body = {"signature_name": "encode", "inputs": digits[:2].tolist()}
    answer = json.loads(server.rest(json.dumps(body)))
    assert answer["outputs"]["code"] == expected[:2].tolist()
    body = {"signature_name": "encode", "instances": digits[:2].tolist()}
    answer = json.loads(server.rest(json.dumps(body)))
    assert answer["predictions"][1]["code"] == expected[1].tolist()


def test_rest_search(retrieval, model, digits):
    files = [b64(file_of(image)) for image in digits]
    rows = json.loads(retrieval.rest(json.dumps({"instances": files})))
    codes = model.encode(digits)
    for signature, given in [
        ("search", files),
        ("search_arrays", digits.tolist()),
        ("search_codes", codes.tolist()),
    ]:
        body = json.dumps({"signature_name": signature, "instances": given})
        assert json.loads(retrieval.rest(body)) == rows
    first = rows["predictions"][0]
    assert set(first) == {"ids", "distances"} and len(first["ids"]) == 3
    assert all(isinstance(name, str) for name in first["ids"])
    assert first["distances"] == sorted(first["distances"])


@pytest.mark.parametrize(
    "body, message",
    [
        ({}, "one of"),
        ({"instances": [], "inputs": []}, "one of"),
        ({"instances": []}, "with values"),
        ({"instances": ["plain text"]}, "should be JPEG or PNG"),
        ({"instances": [b64(b"x" * 99)]}, "should be JPEG or PNG"),
        ({"instances": [{"image": b64(b"x")}]}, "keys must be equal"),
        ({"instances": [3]}, "not of expected type: string"),
        ({"inputs": []}, "nothing to encode"),
        ({"signature_name": "hash", "instances": [1]}, "not found"),
        (
            {"signature_name": "encode", "instances": [[[[1, 2]]]]},
            "3|dimension|shape",
        ),
        (
            {"signature_name": "encode", "instances": [[[[1, 2, 3]]], [[]]]},
            "Expecting shape",
        ),
    ],
)
def test_rest_errors(server, body, message):
    with pytest.raises(Refused, match=message):
        server.rest(json.dumps(body))


def test_eight_threads_give_identical_bits(folders, server, model, rng):
    coarse = rng.randint(0, 256, (96, 4, 4, 3)).astype("uint8")
    images = coarse.repeat(9, axis=1).repeat(10, axis=2)
    kinds = ("PNG", "JPEG")
    contents = [file_of(image, kinds[i % 2]) for i, image in enumerate(images)]
    loaded = tf.saved_model.load(str(folders / "dshc_digits_30" / "1"))
    encode = loaded.signatures["encode"]
    encode_bytes = loaded.signatures["encode_bytes"]

    def arrays(places):
        batch = tf.constant(images[places], tf.float32)
        return encode(image=batch)["code"].numpy()

    def files(places):
        batch = tf.constant([contents[i] for i in places])
        return encode_bytes(image_bytes=batch)["code"].numpy()

    def session(places):
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.inputs["image_bytes"].CopyFrom(
            tf.make_tensor_proto([contents[i] for i in places])
        )
        return tf.make_ndarray(server.predict(request).outputs["code"])

    everything = np.arange(len(images))
    alone = {call: call(everything) for call in (arrays, files, session)}
    np.testing.assert_array_equal(alone[arrays], model.encode(images))
    np.testing.assert_array_equal(alone[files], alone[session])
    assert len(np.unique(alone[files], axis=0)) > 5, "codes should vary"
    start = threading.Barrier(8)

    def work(seed):
        random = np.random.RandomState(seed)
        start.wait()
        for _ in range(12):
            places = random.permutation(everything)[: random.randint(1, 24)]
            for call, expected in alone.items():
                np.testing.assert_array_equal(call(places), expected[places])
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
