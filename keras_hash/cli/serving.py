"""`keras-hash export`: to TensorFlow Serving, and to other runtimes."""

import os
import shutil

from keras_hash.cli import inputs
from keras_hash.cli import runtime_files

# What an encoder can be exported as, and what each is for.
FORMATS = {
    "savedmodel": "for TensorFlow Serving and tf.saved_model.load",
    **runtime_files.FORMATS,
}


def add_commands(add):
    """Adds the command to the parser.

    Args:
        add: function that makes a command, see `app.make_parser`.
    """
    export = add(
        "export",
        _export,
        "Write an encoder, alone or with an index, for a server or a device.",
        [
            "export dshc_cifar10_30 --out serving/cifar10",
            "export runs/mine --search photos.index -k 20 --out serving/photos",
            "export runs/mine --out serving/mine --version 2",
            "export runs/mine --format onnx --out mine.onnx",
            "export runs/mine --format litert --dtype int8 --out mine.tflite",
        ],
    )
    export.add_argument("model", help=inputs.MODEL)
    export.add_argument(
        "--out",
        required=True,
        help="folder to which a version is added; a file for onnx and litert",
    )
    export.add_argument("--version", type=int, help="number of it (default 1)")
    export.add_argument(
        "--search",
        metavar="INDEX",
        help="index of `keras-hash search` or `keras_hash.Index`: images in, "
        "ids and distances out",
    )
    export.add_argument(
        "-k", type=int, help="items a search finds (default 10)"
    )
    export.add_argument(
        "--format",
        choices=list(FORMATS),
        default="savedmodel",
        help="; ".join(f"{name}: {text}" for name, text in FORMATS.items()),
    )
    runtime_files.add_options(export)
    inputs.add_json(export)


def _export(chosen):
    if chosen.format in runtime_files.FORMATS:
        return runtime_files.export(chosen)
    runtime_files.refuse(chosen, runtime_files.OPTIONS)
    import keras_hash
    from keras_hash.cli import indexing

    card = inputs.card(chosen.model)
    k = 10 if chosen.k is None else chosen.k
    if k < 1:
        raise ValueError(f"`-k` should be at least 1. Received: -k {k}")
    target = runtime_files.version_folder(chosen)
    index = None
    if chosen.search:
        index = indexing.existing(chosen.search, card).index
    model = keras_hash.load(chosen.model)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Servers pass over what is not a number.
    beside = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        lines = _write_saved_model(model, index, k, beside)
        os.rename(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    size = runtime_files.size(target)
    if chosen.json:
        inputs.print_json(
            {"folder": str(target), "bytes": size, "signatures": lines}
        )
        return
    print(f"Wrote {target}, {size / 2**20:.2f} MiB. Signatures:")
    for name, (taken, given) in lines.items():
        print(f"  {name}: {_listed(taken)} -> {_listed(given)}")


def _write_saved_model(model, index, k, folder):
    from keras_hash import export

    if index is None:
        export.save_encoder(model, folder)
    else:
        system = export.retrieval_model(model, index.codes, index.ids, k)
        export.save(*system, folder)
    # Written for debuggers and asset files: nothing reads them.
    shutil.rmtree(folder / "assets", ignore_errors=True)
    (folder / "fingerprint.pb").unlink(missing_ok=True)
    return _signatures(folder / "saved_model.pb")


def _signatures(path):
    """The signatures in a file.

    Returns:
        dict from name to a pair of dicts, from inputs and from outputs to text
        such as `"float32 [n, n, n, 3]"`.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    signatures = saved.meta_graphs[0].signature_def

    def described(tensors):
        texts = {}
        for name, info in sorted(tensors.items()):
            sides = [
                "n" if side.size < 0 else str(side.size)
                for side in info.tensor_shape.dim
            ]
            dtype = tf.dtypes.as_dtype(info.dtype).name
            texts[name] = f"{dtype} [{', '.join(sides)}]"
        return texts

    return {
        name: (described(each.inputs), described(each.outputs))
        for name, each in sorted(signatures.items())
        if not name.startswith("__")
    }


def _listed(texts):
    return ", ".join(f"{name} {text}" for name, text in texts.items())
