"""LiteRT (TensorFlow Lite): phones, microcontrollers, browsers.

TensorFlow's own converter writes the file; the extra `litert` runs it.
"""

import os
import warnings

from keras_hash.export.runtimes import _graph

DTYPES = ("float16", "float32", "int8")
NEAREST = "float32"
ENDING = ".tflite"
# What has to be installed to write a file, and to run one.
NEEDED = {"write": (), "run": ("ai_edge_litert",)}


def write(model, path, dtype, images=None, **kind):
    """Writes a `.tflite` file, with the signature `serving_default`."""
    function, _, _ = _graph.encode(model, **kind)
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], tf.Module()
    )
    if dtype != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if dtype == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if dtype == "int8":
        converter.representative_dataset = images
        # Packing bits is arithmetic on int32, which stays as it is.
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
            tf.lite.OpsSet.TFLITE_BUILTINS,
        ]
    with warnings.catch_warnings():
        # Calibration uses the interpreter that TensorFlow itself deprecates.
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter", UserWarning)
        path.write_bytes(converter.convert())


def opened(path):
    """The shapes of an image and of a code, and what encodes images."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    run = interpreter.get_signature_runner()
    shapes = tuple(
        tuple(int(side) for side in details[name]["shape"][1:])
        for details, name in (
            (run.get_input_details(), "image"),
            (run.get_output_details(), "code"),
        )
    )

    def encode(images):
        return run(image=_graph.array(images))["code"]

    return shapes, encode
