"""Warm-up requests, so that a server's first answer is as fast as the others.

TensorFlow Serving replays them when it loads a model. They are records of
`tensorflow.serving.PredictionLog`, whose few fields are written here by hand:
the package `tensorflow-serving-api` is needed by clients only.
"""

import pathlib

import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import saved_model_pb2

from keras_hash import files

WARM_UP = "assets.extra/tf_serving_warmup_requests"


def warm_up(folder):
    """Writes the warm-up requests of a SavedModel, beside its graph.

    For each signature, in batches of one and of two: encoded pictures for a
    vector of strings, grey pictures for float32 `[n, h, w, 3]`, zeros for uint8
    `[n, width]`. A signature with other inputs gets no request: a wrong one
    would keep the server from loading the model.
    """
    folder = pathlib.Path(folder)
    saved = saved_model_pb2.SavedModel.FromString(
        (folder / "saved_model.pb").read_bytes()
    )
    # The loader's own, which initialises.
    signatures = {
        name: signature
        for name, signature in saved.meta_graphs[0].signature_def.items()
        if not name.startswith("__")
    }
    path = folder / WARM_UP
    with (
        files.beside(path) as new,
        files.plain(new) as place,
        tf.io.TFRecordWriter(str(place)) as writer,
    ):
        for name in sorted(signatures):
            inputs = sorted(signatures[name].inputs.items())
            for count in (1, 2):
                batch = {key: _batch(info, count) for key, info in inputs}
                if None not in batch.values():
                    writer.write(prediction_log(name, batch))
    return path


def prediction_log(signature, inputs):
    """A request as a serialised `tensorflow.serving.PredictionLog`."""
    # PredictionLog.predict_log = 6, PredictLog.request = 1,
    # PredictRequest.model_spec = 1 and .inputs = 2, a map from key = 1 to
    # value = 2, ModelSpec.signature_name = 3.
    request = _field(1, _field(3, signature.encode()))
    for key, tensor in inputs.items():
        value = tensor.SerializeToString(deterministic=True)
        request += _field(2, _field(1, key.encode()) + _field(2, value))
    return _field(6, _field(1, request))


def _field(number, content):
    """A field of bytes in the wire format of Protocol Buffers."""
    length, size = bytearray(), len(content)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


def _batch(info, count):
    """A batch for an input as a `TensorProto`, `None` for an unknown one."""
    dtype = tf.as_dtype(info.dtype)
    shape = [d.size for d in info.tensor_shape.dim]
    if dtype == tf.string and shape == [-1]:
        return tf.make_tensor_proto(_pictures()[-count:])
    if dtype == tf.float32 and shape == [-1, -1, -1, 3]:
        return _filled(dtype, [count, 18, 22, 3], float_val=[127.5])
    if dtype == tf.uint8 and len(shape) == 2 and shape[1] > 0:
        return _filled(dtype, [count, shape[1]], int_val=[0])
    return None


def _filled(dtype, shape, **values):
    """A tensor of one value, which is stored once."""
    return tensor_pb2.TensorProto(
        dtype=dtype.as_datatype_enum,
        tensor_shape=tf.TensorShape(shape).as_proto(),
        **values,
    )


def _pictures():
    """A PNG and a JPEG of a colour gradient."""
    ramp = tf.linspace(0.0, 255.0, 24)
    picture = tf.stack(
        [
            tf.tile(ramp[None, :], [18, 1]),
            tf.tile(ramp[:18, None], [1, 24]),
            tf.fill([18, 24], 128.0),
        ],
        axis=-1,
    )
    picture = tf.cast(picture, tf.uint8)
    return [
        tf.io.encode_png(picture).numpy(),
        tf.io.encode_jpeg(picture, optimize_size=True).numpy(),
    ]
