"""What TensorFlow Serving does with a request; the server itself is not here.

The C++ loader of SavedModels and a session on the tensors of the signature,
`PredictRequest` and `PredictResponse` with values in typed fields, and for REST
the rules of its `json_tensor.cc`.
"""

import base64
import json

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import config_pb2


class Refused(Exception):
    """What the server answers with HTTP 400 or INVALID_ARGUMENT."""


class Server:
    """One model, as the server loads and runs it (`RunPredict`)."""

    def __init__(self, folder):
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            self.meta = tf.compat.v1.saved_model.load(
                self.session, ["serve"], str(folder)
            )
        self.calls = {}

    def signature(self, name):
        name = name or "serving_default"
        if name not in self.meta.signature_def:
            raise Refused(f'Serving signature name: "{name}" not found')
        return name, self.meta.signature_def[name]

    def predict(self, request):
        """A `PredictResponse` to a `PredictRequest`."""
        from tensorflow_serving.apis import predict_pb2

        name, signature = self.signature(request.model_spec.signature_name)
        if set(request.inputs) != set(signature.inputs):
            raise Refused("input size does not match signature")
        wanted = sorted(request.output_filter) or sorted(signature.outputs)
        key = name, tuple(wanted)
        if key not in self.calls:
            # Without the checks of Python's `feed_dict`: the server has none.
            options = config_pb2.CallableOptions(
                feed=[signature.inputs[k].name for k in signature.inputs],
                fetch=[signature.outputs[k].name for k in wanted],
            )
            self.calls[key] = self.session._make_callable_from_options(options)
        inputs = [tf.make_ndarray(request.inputs[k]) for k in signature.inputs]
        for value, k in zip(inputs, signature.inputs):
            assert tf.as_dtype(value.dtype) == signature.inputs[k].dtype, k
        try:
            found = self.calls[key](*inputs)
        except tf.errors.InvalidArgumentError as error:
            raise Refused(error.message) from error
        response = predict_pb2.PredictResponse()
        response.model_spec.signature_name = name
        for output, value in zip(wanted, found):
            response.outputs[output].CopyFrom(in_fields(value))
        return response

    def rest(self, body):
        """The body of an answer to a body of `:predict`."""
        request, by_row = from_json(body, self)
        return to_json(self.predict(request).outputs, by_row)


FIELDS = {
    tf.float32: "float_val",
    tf.int32: "int_val",
    tf.uint8: "int_val",
    tf.int64: "int64_val",
    tf.string: "string_val",
}


NUMBERS = {tf.float32: (int, float), tf.uint8: (int,), tf.int64: (int,)}


def in_fields(value):
    """`Tensor::AsProtoField`: the server does not use `tensor_content`."""
    dtype = tf.as_dtype(value.dtype)
    return tensor_pb2.TensorProto(
        dtype=dtype.as_datatype_enum,
        tensor_shape=tf.TensorShape(value.shape).as_proto(),
        **{FIELDS[dtype]: value.ravel().tolist()},
    )


def is_base64(value):
    return (
        isinstance(value, dict)
        and list(value) == ["b64"]
        and isinstance(value["b64"], str)
    )


def from_json(body, server):
    """`FillPredictRequestFromJson`: a request, and whether it is by row."""
    from tensorflow_serving.apis import predict_pb2

    content = json.loads(body)
    if not isinstance(content, dict):
        raise Refused("Is not object")
    request = predict_pb2.PredictRequest()
    name = content.get("signature_name", "")
    if not isinstance(name, str):
        raise Refused("'signature_name' key must be a string value.")
    request.model_spec.signature_name = name
    infos = server.signature(name)[1].inputs
    if ("instances" in content) == ("inputs" in content):
        raise Refused("one of 'inputs' or 'instances' keys")
    by_row = "instances" in content
    if not by_row:
        given = content["inputs"]
        if not isinstance(given, dict) or is_base64(given):
            if len(infos) > 1:
                raise Refused("inputs is a plain value/list")
            given = {next(iter(infos)): given}
        for key, info in infos.items():
            if key not in given:
                raise Refused(f"Missing named input: {key}")
            request.inputs[key].CopyFrom(tensor(given[key], info.dtype))
        return request, by_row
    rows = content["instances"]
    if not isinstance(rows, list) or not rows:
        raise Refused("Expecting 'instances' to be a list with values")
    named = isinstance(rows[0], dict) and not is_base64(rows[0])
    if not named and len(infos) > 1:
        raise Refused("instances is a plain list")
    for row in rows:
        if (isinstance(row, dict) and not is_base64(row)) != named:
            raise Refused("Expecting object but got list, or the reverse")
        if named and set(row) != set(infos):
            raise Refused(f"keys must be equal to: {','.join(infos)}")
    for key, info in infos.items():
        parts = [tensor(row[key] if named else row, info.dtype) for row in rows]
        shapes = {
            tuple(d.size for d in part.tensor_shape.dim) for part in parts
        }
        if len(shapes) > 1:
            raise Refused(f"Expecting shape {shapes}")
        whole = request.inputs[key]
        whole.dtype = info.dtype
        for size in (len(rows), *shapes.pop()):
            whole.tensor_shape.dim.add().size = size
        for part in parts:
            field = FIELDS[tf.as_dtype(info.dtype)]
            getattr(whole, field).extend(getattr(part, field))
    return request, by_row


def tensor(value, dtype):
    """`FillTensorProto`: nested lists of one shape, and base64 objects."""
    dtype = tf.as_dtype(dtype)
    result = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum)
    level, sizes = value, []
    while isinstance(level, list):
        sizes.append(len(level))
        level = level[0] if level else None
    for size in sizes:
        result.tensor_shape.dim.add().size = size

    def fill(value, depth):
        if isinstance(value, list):
            if depth >= len(sizes) or len(value) != sizes[depth]:
                raise Refused("Encountered list at unexpected size or level")
            for part in value:
                fill(part, depth + 1)
            return
        if depth != len(sizes):
            raise Refused("found at incorrect level")
        if dtype == tf.string and is_base64(value):
            value = base64.b64decode(value["b64"], validate=True)
        elif dtype == tf.string and isinstance(value, str):
            value = value.encode()
        elif dtype == tf.string or type(value) not in NUMBERS[dtype]:
            raise Refused(f"{value!r} is not of expected type: {dtype.name}")
        getattr(result, FIELDS[dtype]).append(value)

    fill(value, 0)
    return result


def to_json(outputs, by_row):
    """`MakeJsonFromTensors`."""
    values = {}
    for name, proto in outputs.items():
        kind = tf.as_dtype(proto.dtype)
        shape = [d.size for d in proto.tensor_shape.dim]
        flat = list(getattr(proto, FIELDS[kind]))
        if kind == tf.string and name.endswith("_bytes"):
            flat = [{"b64": base64.b64encode(x).decode()} for x in flat]
        elif kind == tf.string:
            flat = [x.decode() for x in flat]
        items = np.empty(len(flat), object)
        items[:] = flat
        values[name] = items.reshape(shape).tolist()
    if not by_row:
        single = next(iter(values.values()))
        return json.dumps({"outputs": values if len(values) > 1 else single})
    count = {len(value) for value in values.values()}
    if len(count) != 1:
        raise Refused("inconsistent batch size")
    rows = [dict(zip(values, row)) for row in zip(*values.values())]
    if len(values) == 1:
        rows = [next(iter(row.values())) for row in rows]
    return json.dumps({"predictions": rows})
