"""ONNX: ONNX Runtime, Triton and most other servers of models.

tf2onnx converts the graph. It would compute with constant weights and write
them in float32; they are inputs while it works, and constants afterwards.
"""

import warnings

from keras_hash.export.runtimes import _graph

DTYPES = ("stored",)
NEAREST = "stored"
COMPUTES = ("float32", "float16")
ENDING = ".onnx"
NEEDED = {"write": ("onnx", "tf2onnx"), "run": ("onnxruntime",)}
# Of 2022: what reads ONNX at all reads this.
OPSET = 17


def write(model, path, dtype="stored", images=None, **kind):
    """Writes an `.onnx` file."""
    import onnx

    function, specs, arrays = _graph.encode(model, True, **kind)
    with warnings.catch_warnings(action="ignore"):
        import tf2onnx

        proto, _ = tf2onnx.convert.from_function(
            function, input_signature=specs, opset=OPSET
        )
    used = {name for node in proto.graph.node for name in node.input}
    for value in list(proto.graph.input):
        if value.name in arrays:
            proto.graph.input.remove(value)
    for name in sorted(used & set(arrays)):
        proto.graph.initializer.append(
            onnx.numpy_helper.from_array(arrays[name], name)
        )
    for value in (proto.graph.input[0], proto.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    proto.doc_string = "Raw pixels in 0..255 to packed binary codes."
    onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def opened(path):
    """The shapes of an image and of a code, and what encodes images."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    # Its errors derive from `Exception` alone.
    except Exception as error:
        raise ValueError(str(error)) from error
    shapes = tuple(
        tuple(values[0].shape[1:])
        for values in (session.get_inputs(), session.get_outputs())
    )

    def encode(images):
        return session.run(["code"], {"image": _graph.array(images)})[0]

    return shapes, encode
