"""Writes encoders for other runtimes, and opens what was written."""

import importlib.util
import pathlib
import pkgutil
import tempfile
import threading

import numpy as np

from keras_hash import codes
from keras_hash import devices
from keras_hash import files
from keras_hash import progress

# Images that an engine computes at a time.
_BATCH = 64


def formats():
    """The runtimes by name: every module of this folder without underscore.

    Each has `DTYPES` (the first is the default, `NEAREST` changes the fewest
    bits), `ENDING` (of a file, `None` for a folder), `NEEDED` (packages of the
    extra of the same name), `write` and `opened`; and `COMPUTES` where a model
    may compute in more than float32.
    """
    package = importlib.import_module("keras_hash.export.runtimes")
    return {
        name: importlib.import_module(f"{package.__name__}.{name}")
        for _, name, _ in pkgutil.iter_modules(package.__path__)
        if not name.startswith("_")
    }


def require(format, *purposes):
    """The runtime of a format, once its packages are found, before any work.

    Args:
        format: str, name of a runtime.
        *purposes: `"write"`, `"run"` or both.

    Raises:
        ValueError: there is no such format.
        RuntimeError: to write, Keras does not run on TensorFlow.
        ImportError: a package is missing; the message names the extra.
    """
    known = formats()
    if format not in known:
        raise ValueError(
            f"`format` should be one of {sorted(known)}. "
            f"Received: format={format!r}"
        )
    if "write" in purposes:
        devices.check_backend("Converting a model")
    for purpose in purposes:
        for package in known[format].NEEDED[purpose]:
            if importlib.util.find_spec(package) is None:
                raise ImportError(
                    f"To {purpose} format={format!r}, {package} is needed: "
                    f'pip install "keras-hash[{format}]"'
                )
    return known[format]


def convert(model, path, format, dtype=None, images=None):
    """Writes an encoder for another runtime.

    Args:
        model: a `HashModel`, built.
        path: where to write, `.tflite` for `"litert"` and `.onnx` for
            `"onnx"`; for `"openvino"` a folder, which gets `model.xml` and
            `model.bin`. Nothing is replaced.
        format: `"litert"`, `"onnx"` or `"openvino"`.
        dtype: str. Of `"litert"`: `"float16"` (the default) and `"float32"`
            are how weights are kept, computing is in float32; `"int8"`
            computes in 8 bits. The others keep weights as the model's entry
            does (`"stored"`) and compute in float32.
        images: for `"int8"`: representative images `[n, h, w, 3]` of any size,
            a few hundred or more, from which the range of every activation is
            taken. Training images: never the queries of a measurement.

    Raises:
        ValueError: a format, dtype or path that does not fit; images that are
            missing or not wanted; something is at `path` already; a model of
            features, or one that is not solved.
        ImportError: the package of an extra is missing.
        RuntimeError: Keras does not run on TensorFlow.
    """
    runtime, path = require(format, "write"), files.local(path)
    dtype = dtype or runtime.DTYPES[0]
    if dtype not in runtime.DTYPES:
        raise ValueError(
            f"`dtype` should be one of {list(runtime.DTYPES)} for "
            f"format={format!r}. Received: dtype={dtype!r}"
        )
    if (path.suffix == runtime.ENDING) != (runtime.ENDING is not None):
        raise ValueError(
            f"`path` should end in {runtime.ENDING} for format={format!r}. "
            f"Received: path={str(path)!r}"
        )
    files.check_new(path, "path")
    if (images is None) != (dtype != "int8"):
        raise ValueError(
            "`images` should be representative images for dtype='int8', and "
            f"None else. Received: dtype={dtype!r}, images of type "
            f"{type(images).__name__}"
        )
    if images is not None:
        images = _representative(model, images)
    with files.beside(path) as new:
        _write(runtime, model, new, dtype, images)


def _write(runtime, model, path, dtype, images=None, **kind):
    computes = model.dtype_policy.compute_dtype
    known = getattr(runtime, "COMPUTES", ("float32",))
    if computes not in known:
        raise ValueError(
            "A model for another runtime should compute in "
            f"{' or '.join(known)}: make it anew with "
            'dtype="float32", and give it the weights of this one by '
            f"`set_weights`. Received: one that computes in {computes}"
        )
    try:
        runtime.write(model, path, dtype, images, **kind)
    except (ValueError, OSError, RuntimeError):
        raise
    except Exception as error:  # Converters have classes of their own.
        format = runtime.__name__.rpartition(".")[2]
        reason = " ".join(str(error).split())[:500]
        raise ValueError(
            f"{type(model).__name__} on the backbone "
            f"{model.backbone.name!r} cannot be converted to {format}: "
            f"{reason}"
        ) from error


def engine(model, format):
    """What makes real codes of batches by a runtime, of images and `mirror`.

    A conversion takes seconds and its file is not kept. Threads may share it.
    """
    runtime = require(format, "write", "run")
    runs, lock = {}, threading.Lock()

    def opened(mirror):
        # Windows does not remove what is still read.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = pathlib.Path(folder) / f"model{runtime.ENDING or ''}"
            kind = {"real": True, "mirror": mirror}
            _write(runtime, model, path, runtime.NEAREST, **kind)
            return runtime.opened(path)[1]

    def real_codes(images, mirror=False):
        with lock:
            if mirror not in runs:
                runs[mirror] = opened(mirror)
            # Larger batches leave the processor's cache.
            starts = range(0, len(images), _BATCH)
            parts = [runs[mirror](images[i : i + _BATCH]) for i in starts]
        return np.concatenate(parts)

    real_codes(np.zeros((1, *model.image_shape), "float32"))
    return real_codes


def _representative(model, images):
    """A function of one image at a time, of the model's size."""
    images = model.encode_by(lambda batch: batch, images, verbose=False)
    steps = range(len(images))

    def batches():
        for index in progress.track(steps, len(steps), "Calibrating"):
            yield [images[index : index + 1]]

    return batches


class Exported:
    """A file of `convert`, opened and run by its runtime.

    It stands for the model in `keras_hash.evaluation.measure` and wherever
    else `bits` and `encode` are all that is asked for.

    Args:
        path: the file or folder that `convert` wrote.
        model: the `HashModel` that it was made of, which resizes images.

    Attributes:
        bits: int, code length.
        similarity: str, how codes are compared.

    Raises:
        ValueError: no such file, or one whose image or code is not the model's.
        ImportError: the package of an extra is missing.
    """

    def __init__(self, path, model):
        path = files.local(path)
        ending = None if path.is_dir() else path.suffix
        endings = {runtime.ENDING: name for name, runtime in formats().items()}
        format = endings.get(ending)
        if format is None or not path.exists():
            raise ValueError(
                "`path` should be a file of "
                "`keras_hash.export.runtimes.convert`, "
                ".tflite or .onnx, or a folder with model.xml. "
                f"Received: path={str(path)!r}"
            )
        runtime = require(format, "run")
        self.bits, self.similarity = model.bits, model.similarity
        self._model = model
        try:
            with files.plain(path) as place:
                shapes, run = runtime.opened(place)
        except (ValueError, RuntimeError, LookupError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ValueError(
                f"{path} cannot be opened; write it again. The runtime said: "
                f"{reason}"
            ) from error
        wanted = (model.image_shape, (codes.num_bytes(model.bits),))
        if shapes != wanted:
            raise ValueError(
                f"{path} was made of another model: it turns an image of shape "
                f"{shapes[0]} into a code of {shapes[1]} bytes. "
                f"Expected: {wanted[0]}, {wanted[1]}"
            )

        lock = threading.Lock()

        def alone(images):
            # Some runtimes answer one at a time.
            with lock:
                return run(images)

        self._run = alone

    def encode(self, images, batch_size=64, verbose="auto"):
        """Packed codes of images, as `HashModel.encode`.

        Args:
            images: array `[n, h, w, 3]` or a `tf.data.Dataset`.
            batch_size: int, for arrays and unbatched datasets.
            verbose: `True`, `False` or `"auto"`.

        Returns:
            `uint8 [n, ceil(bits / 8)]`.

        Raises:
            ValueError: as `HashModel.encode`.
        """
        found = self._model.encode_by(self._run, images, batch_size, verbose)
        return codes.check(found, self.bits)
