"""Encoders for other runtimes: LiteRT, ONNX Runtime and OpenVINO.

`convert` writes a file that the runtime reads without TensorFlow or Keras,
`Exported` opens it again, `compare` says how far its codes are the model's.
What goes in is `image`, float32 `[n, h, w, 3]`, raw pixels in 0..255 of the
model's size, any number at once; what comes out is `code`, packed uint8
`[n, ceil(bits / 8)]`. Resizing and the check for NaN are outside: runtimes
resize in ways of their own.
"""

from keras_hash.export.runtimes._comparison import Comparison
from keras_hash.export.runtimes._comparison import compare
from keras_hash.export.runtimes._comparison import compare_codes
from keras_hash.export.runtimes._comparison import sample
from keras_hash.export.runtimes._conversion import Exported
from keras_hash.export.runtimes._conversion import convert
from keras_hash.export.runtimes._conversion import engine
from keras_hash.export.runtimes._conversion import formats
from keras_hash.export.runtimes._conversion import require

load = Exported

__all__ = [
    "Comparison",
    "Exported",
    "compare",
    "compare_codes",
    "convert",
    "engine",
    "formats",
    "load",
    "require",
    "sample",
]
