"""The warm-up requests that TensorFlow Serving replays."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_hash import export
from keras_hash import files
from keras_hash import zoo
from keras_hash.export import warm_up


def records(folder):
    """The warm-up requests, as the server parses them."""
    from tensorflow_serving.apis import prediction_log_pb2

    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        yield prediction_log_pb2.PredictionLog.FromString(record), record


@pytest.mark.parametrize("name", ["dshc_digits_30", "retrieval"])
def test_every_warm_up_request_runs(folders, name, request):
    served = request.getfixturevalue(
        "retrieval" if name == "retrieval" else "server"
    )
    seen = {}
    for log, record in records(folders / name / "1"):
        assert log.WhichOneof("log_type") == "predict_log"
        # Nothing that the messages do not know.
        assert log.SerializeToString(deterministic=True) == record
        asked = log.predict_log.request
        response = served.predict(asked)
        (tensor,) = asked.inputs.values()
        count = tensor.tensor_shape.dim[0].size
        for value in response.outputs.values():
            assert value.tensor_shape.dim[0].size == count
        assert count == len(tf.make_ndarray(tensor))
        seen.setdefault(asked.model_spec.signature_name, []).append(count)
    names = {s for s in served.meta.signature_def if not s.startswith("__")}
    assert seen == {name: [1, 2] for name in names}
    assert len(names) == (6 if name == "retrieval" else 3)


def test_warm_up_pictures_are_files(folders):
    found = set()
    for log, _ in records(folders / "dshc_digits_30" / "1"):
        for key, tensor in log.predict_log.request.inputs.items():
            value = tf.make_ndarray(tensor)
            if key == "image_bytes":
                for content in value:
                    picture = Image.open(io.BytesIO(content))
                    assert np.asarray(picture).std() > 10
                    found.add(picture.format)
            else:
                assert value.dtype == np.float32
                np.testing.assert_array_equal(value, 127.5)
    assert found == {"PNG", "JPEG"}
    path = folders / "dshc_digits_30" / "1" / warm_up.WARM_UP
    assert path.stat().st_size < 4096
    before = path.read_bytes()
    assert warm_up.warm_up(path.parent.parent) == path
    assert path.read_bytes() == before, "the same requests, byte for byte"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_card_has_the_warm_up_requests(folders):
    entry = folders / "dshc_digits_30"
    zoo.verify_files(entry)
    listed = zoo.card(entry)["files"][f"1/{warm_up.WARM_UP}"]
    assert listed == files.sha256(entry / "1" / warm_up.WARM_UP)


def test_a_request_written_by_hand_is_the_message():
    """Lengths of one, two and three bytes."""
    from tensorflow_serving.apis import prediction_log_pb2

    for size in (0, 1, 100, 127, 128, 300, 16_383, 16_384, 70_000):
        tensor = tf.make_tensor_proto([b"x" * size])
        inputs = {"a": tensor, "image_bytes": tensor}
        log = prediction_log_pb2.PredictionLog()
        request = log.predict_log.request
        request.model_spec.signature_name = "encode"
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(value)
        written = warm_up.prediction_log("encode", inputs)
        assert written == log.SerializeToString(deterministic=True)


def test_signatures_of_unknown_inputs_get_no_request(tmp_path):
    module = tf.Module()
    module.scale = tf.function(
        lambda x: {"y": 2 * x},
        input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")],
    )
    module.size = tf.function(
        lambda image: {"size": tf.shape(image)[1:]},
        input_signature=[tf.TensorSpec([None, None, None, 3], name="image")],
    )
    signatures = {"scale": module.scale, "size": module.size}
    export.save(module, signatures, tmp_path / "1")
    assert [
        log.predict_log.request.model_spec.signature_name
        for log, _ in records(tmp_path / "1")
    ] == ["size", "size"]
