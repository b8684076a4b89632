"""The SavedModel: the same bits as the Keras model, and what it refuses."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

import keras_hash
from keras_hash import codes
from keras_hash.data import images as photos
from keras_hash.export import encoder as export_encoder
from tests.entry import coarse_images
from tests.entry import encoded
from tests.entry import write


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo") / "entry"
    return folder, write(folder)


@pytest.fixture(scope="module")
def served(entry):
    return tf.saved_model.load(str(entry[0] / "1")).signatures


@pytest.fixture(scope="module")
def images():
    return coarse_images()


@pytest.mark.parametrize(
    "backbone, dtype",
    [
        ("small", "float16"),
        ("cifar", "int8"),
        pytest.param("small", "int8", marks=pytest.mark.slow),
        pytest.param("cifar", "float16", marks=pytest.mark.slow),
    ],
)
def test_loaded_model_and_signatures_agree_to_the_bit(
    tmp_path, images, dtype, backbone
):
    model = write(tmp_path / "entry", dtype, backbone=backbone)
    served = tf.saved_model.load(str(tmp_path / "entry" / "1")).signatures
    expected = model.encode(images)
    assert len(np.unique(expected, axis=0)) > 3, "codes should vary"
    for size in (1, 7, 64):
        for low in range(0, 64, size):
            batch = images[low : low + size].astype("float32")
            answer = served["encode"](image=tf.constant(batch))
            np.testing.assert_array_equal(
                answer["code"], expected[low : low + size]
            )
    png = served["encode_bytes"](
        image_bytes=tf.constant(encoded(images, "PNG"))
    )
    np.testing.assert_array_equal(png["code"], expected)
    np.testing.assert_array_equal(
        png["code_bits"].numpy() * 2 - 1.0, codes.unpack(expected, 12)
    )
    assert png["code_bytes"].numpy().tolist() == [bytes(c) for c in expected]


def test_all_formats_and_sizes(entry, served, rng):
    _, model = entry
    image = rng.randint(0, 256, (50, 70, 3)).astype("uint8")
    for kind in ("PNG", "JPEG"):
        content = encoded([image], kind)
        decoded = photos.decode(content[0])
        if kind == "PNG":
            np.testing.assert_array_equal(decoded, image)
        answer = served["serving_default"](image_bytes=tf.constant(content))
        np.testing.assert_array_equal(answer["code"], model.encode(decoded))
    grey = encoded([image[..., 0]], "PNG")
    answer = served["serving_default"](image_bytes=tf.constant(grey))
    expected = model.encode(np.repeat(image[..., :1], 3, axis=-1))
    np.testing.assert_array_equal(answer["code"], expected)
    # Images of several sizes in one batch.
    mixed = encoded([image, image[:20]], "PNG")
    answer = served["serving_default"](image_bytes=tf.constant(mixed))
    np.testing.assert_array_equal(answer["code"][:1], model.encode(image))
    np.testing.assert_array_equal(answer["code"][1:], model.encode(image[:20]))


def test_signature_names_and_types(served):
    assert set(served) == {"serving_default", "encode_bytes", "encode"}
    for name, inputs in [
        ("serving_default", {"image_bytes": (tf.string, [None])}),
        ("encode_bytes", {"image_bytes": (tf.string, [None])}),
        ("encode", {"image": (tf.float32, [None, None, None, 3])}),
    ]:
        specs = served[name].structured_input_signature[1]
        found = {k: (v.dtype, v.shape.as_list()) for k, v in specs.items()}
        assert found == inputs
        outputs = {
            k: (v.dtype, v.shape.as_list())
            for k, v in served[name].structured_outputs.items()
        }
        assert outputs == {
            "code": (tf.uint8, [None, 2]),
            "code_bits": (tf.uint8, [None, 12]),
            "code_bytes": (tf.string, [None]),
        }


def test_plain_tensorflow_is_enough(entry, images, tmp_path):
    """A process where keras_hash and keras cannot be imported."""
    folder, model = entry
    np.save(tmp_path / "images.npy", images.astype("float32"))
    script = f"""
import sys
sys.modules["keras_hash"] = sys.modules["keras"] = None
import numpy as np, tensorflow as tf
served = tf.saved_model.load({str(folder / "1")!r}).signatures
images = np.load({str(tmp_path / "images.npy")!r})
def encode(x):
    return served["encode"](image=tf.constant(x))["code"]
one = np.concatenate([encode(images[i : i + 1]) for i in range(64)])
png = tf.stack([tf.io.encode_png(tf.cast(i, tf.uint8)) for i in images])
files = served["serving_default"](image_bytes=png)["code"]
codes = np.stack([one, encode(images), files])
np.save({str(tmp_path / "codes.npy")!r}, codes)
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    expected = model.encode(images)
    for answer in np.load(tmp_path / "codes.npy"):
        np.testing.assert_array_equal(answer, expected)


def test_the_loader_of_tensorflow_serving(entry, images):
    """The C++ loader behind a TF1 session, as the server uses it."""
    folder, model = entry
    content = encoded(images, "PNG")
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta = tf.compat.v1.saved_model.load(
            session, ["serve"], str(folder / "1")
        )
        signature = meta.signature_def["serving_default"]
        assert signature.method_name == "tensorflow/serving/predict"
        outputs = {k: v.name for k, v in signature.outputs.items()}
        answer = session.run(
            outputs, {signature.inputs["image_bytes"].name: content}
        )
    np.testing.assert_array_equal(answer["code"], model.encode(images))


def test_wrong_arrays(served, images):
    encode = served["encode"]
    bad = images.astype("float32")
    bad[5, 1, 1, 0] = np.nan
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"NaN or infinity in images:\] \[5\]",
    ):
        encode(image=tf.constant(bad))
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="`image` is empty"
    ):
        encode(image=tf.zeros((0, 32, 32, 3)))
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="nothing to encode"
    ):
        served["encode_bytes"](image_bytes=tf.constant([], tf.string))
    for shape in ((32, 32, 3), (1, 32, 32, 1)):
        with pytest.raises((TypeError, ValueError, tf.errors.OpError)):
            encode(image=tf.zeros(shape))


def test_wrong_rank_in_the_server_is_an_invalid_argument(entry):
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta = tf.compat.v1.saved_model.load(
            session, ["serve"], str(entry[0] / "1")
        )
        signature = meta.signature_def["encode"]
        # The server feeds tensors without the checks of Python's `feed_dict`.
        fed = signature.inputs["image"].name
        out = signature.outputs["code"].name
        options = config_pb2.CallableOptions(feed=[fed], fetch=[out])
        call = session._make_callable_from_options(options)
        with pytest.raises(tf.errors.InvalidArgumentError):
            call(np.zeros((32, 32, 3), "float32"))


def test_compact_and_widen(rng):
    weight = rng.randn(3, 3, 4, 8).astype("float32")
    weight[..., 2] = 0
    for dtype, bound in (("float16", 2e-3), ("int8", 0.02)):
        stored, scale = export_encoder.compact(weight, dtype)
        assert stored.dtype == dtype
        assert (scale is None) == (dtype == "float16")
        wide = export_encoder.widen(stored, scale, "float32")
        np.testing.assert_allclose(wide, weight, atol=bound)
        assert not wide[..., 2].any()
    stored, scale = export_encoder.compact(weight, "int8")
    for channel in range(8):
        step = np.abs(weight[..., channel]).max() / 127
        error = export_encoder.widen(stored, scale, "float32") - weight
        assert np.abs(error[..., channel]).max() <= step / 2 + 1e-7


def test_depthwise_kernels_have_a_scale_for_each_channel(rng):
    kernel = rng.randn(3, 3, 5, 1).astype("float32") * 10.0 ** np.arange(5)[
        :, None
    ].astype("float32")
    stored, scale = export_encoder.compact(kernel, "int8")
    assert stored.dtype == "int8" and scale.shape == (5, 1)
    error = np.abs(export_encoder.widen(stored, scale, "float32") - kernel)
    largest = np.abs(kernel).max(axis=(0, 1))
    assert (error.max(axis=(0, 1)) <= largest / 127 * 0.51).all()


def test_what_compact_keeps_exactly(rng):
    vector = rng.randn(9).astype("float32")
    book = codes.sign(rng.randn(4, 9)).astype("float32")
    large = np.full((2, 2), 1e6, "float32")
    whole = np.arange(5, dtype="int32")
    for value in (vector, book, large, whole):
        stored, scale = export_encoder.compact(value, "float16")
        np.testing.assert_array_equal(
            export_encoder.widen(stored, scale, value.dtype.name), value
        )
    assert export_encoder.compact(book, "int8")[0].dtype == "int8"


def test_compact_refuses():
    with pytest.raises(ValueError, match="'float16' or 'int8'"):
        export_encoder.compact(np.zeros((2, 2)), "int4")
    with pytest.raises(ValueError, match="NaN or infinity"):
        export_encoder.compact(np.full((2, 2), np.inf), "int8")


def test_model_export_writes_what_the_zoo_holds(tmp_path, images):
    model = keras_hash.models.DSH(12, 3)
    for number, given in enumerate(({}, {"format": "tf_saved_model"})):
        path = tmp_path / "mine" / str(number)
        model.export(os.fspath(path), **given)
        answers = tf.saved_model.load(str(path)).signatures
        png = tf.constant(encoded(images[:5], "PNG"))
        served = answers["serving_default"](image_bytes=png)["code"]
        arrays = tf.constant(images[:5], "float32")
        for found in (served, answers["encode"](image=arrays)["code"]):
            np.testing.assert_array_equal(found, model.encode(images[:5]))
    assert sorted(p.name for p in path.parent.iterdir()) == ["0", "1"]


@pytest.mark.parametrize(
    "name, given, message",
    [
        ("new", {"format": "onxx"}, "'tf_saved_model', .*'onnx'.*'onxx'"),
        ("new", {"format": "tensorflow"}, "`format` should be one of"),
        ("there", {}, "already exists and is not replaced.*there"),
        ("there.tflite", {"format": "litert"}, "is not replaced"),
        ("link", {}, "is not replaced"),
        ("new", {"format": "litert"}, "end in .tflite .*new'"),
        ("new", {"dtype": "int4"}, "'float16' or 'int8'"),
        ("new", {"images": np.zeros((1, 32, 32, 3))}, "calibrate"),
    ],
)
def test_model_export_refuses(tmp_path, name, given, message):
    (tmp_path / "there").mkdir()
    (tmp_path / "there.tflite").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("nothing")
    model = keras_hash.models.DSH(12, 3)
    with pytest.raises(ValueError, match=message):
        model.export(tmp_path / name, **given)
    names = {"link", "there", "there.tflite"}
    assert {p.name for p in tmp_path.iterdir()} == names


def test_a_model_of_features_is_not_exported(tmp_path):
    model = keras_hash.models.DSH(12, 3, backbone="features", input_shape=(8,))
    with pytest.raises(ValueError, match="features"):
        model.export(tmp_path / "1")
    assert not list(tmp_path.iterdir())


def test_model_export_of_a_runtime(tmp_path):
    path = tmp_path / "new" / "mine.tflite"
    keras_hash.models.DSH(12, 3).export(path, format="litert")
    assert path.read_bytes()[4:8] == b"TFL3"
