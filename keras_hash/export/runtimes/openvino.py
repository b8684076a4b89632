"""OpenVINO: Intel and Arm processors, OpenVINO Model Server.

It converts the graph itself and keeps weights as they are stored.
"""

from keras_hash import files
from keras_hash.export.runtimes import _graph

DTYPES = ("stored",)
NEAREST = "stored"
COMPUTES = ("float32", "float16")
ENDING = None
NEEDED = {"write": ("openvino",), "run": ("openvino",)}
# Unless it is asked for accuracy, OpenVINO computes in bfloat16 where the
# processor can, and quantises what meets 8-bit weights.
SETTINGS = {"EXECUTION_MODE_HINT": "ACCURACY"}


def write(model, path, dtype="stored", images=None, **kind):
    """Writes `model.xml` and `model.bin` into a folder."""
    import openvino

    function, _, _ = _graph.encode(model, **kind)
    converted = openvino.convert_model(function.get_concrete_function())
    path.mkdir()
    with files.plain(path) as place:
        openvino.save_model(
            converted, str(place / "model.xml"), compress_to_fp16=False
        )


def opened(path):
    """The shapes of an image and of a code, and what encodes images."""
    import openvino

    compiled = openvino.Core().compile_model(
        str(path / "model.xml"), "CPU", SETTINGS
    )
    shapes = tuple(
        tuple(side.get_length() for side in list(port.partial_shape)[1:])
        for port in (compiled.input("image"), compiled.output("code"))
    )

    def encode(images):
        return compiled({"image": _graph.array(images)})["code"]

    return shapes, encode
