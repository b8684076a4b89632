"""`keras-hash export`: to TensorFlow Serving, and to other runtimes."""

import dataclasses
import os
import sys

from keras_hash import files
from keras_hash.cli import indexing
from keras_hash.cli import inputs
from keras_hash.cli import outputs
from keras_hash.cli import quiet

# Options of the other runtimes, and of the SavedModel.
_RUNTIME = "dtype", "images", "map", "no_check"
_SAVED_MODEL = "search", "k", "hamming"
_CHECKED, _CALIBRATED = 1000, 300
# More than any quantisation costs: such a file is broken.
_BROKEN = 0.2


def add_commands(add):
    """Adds the command to the parser."""
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
    export.add_argument(
        "--version",
        type=inputs.at_least(1),
        help="number of that version (default 1)",
    )
    export.add_argument(
        "--search",
        metavar="INDEX",
        help="index of `keras-hash search` or `keras_hash.Index`: images in, "
        "ids and distances out",
    )
    export.add_argument(
        "-k", type=inputs.at_least(1), help="items a search finds (default 10)"
    )
    inputs.add_hamming(export)
    inputs.add_any_runtime(export)
    saved = "TensorFlow Serving and tf.saved_model.load"
    formats = {"savedmodel": saved, **inputs.runtimes()}
    export.add_argument(
        "--format",
        choices=list(formats),
        default="savedmodel",
        help="; ".join(f"{name}: {text}" for name, text in formats.items()),
    )
    group = export.add_argument_group("litert, onnx and openvino")
    group.add_argument(
        "--dtype",
        choices=("float16", "float32", "int8"),
        help="for litert: float16 (the default) or float32 weights, or int8, "
        "which also computes in 8 bits",
    )
    group.add_argument(
        "--images",
        nargs="+",
        help="files and folders to compare on, in place of the benchmark on "
        "the card; for int8 every second one calibrates instead",
    )
    group.add_argument(
        "--map",
        action="store_true",
        help="encode the whole benchmark too and compare its mAP",
    )
    group.add_argument(
        "--no-check",
        action="store_true",
        help="do not compare codes with the encoder's on 1,000 images",
    )
    inputs.add_json(export)


def _export(chosen):
    card = inputs.card(chosen.model)
    if chosen.format == "savedmodel":
        _export_saved_model(chosen, card)
    else:
        _export_runtime(chosen, card)


def _refuse(chosen, *options, value=""):
    """Refuses options, or a value, that are not for the chosen format."""
    for name in options:
        if getattr(chosen, name) not in (None, False):
            raise ValueError(
                f"`{inputs.option(name)}{value}` is not for `--format "
                f"{chosen.format}`."
            )


def _version_folder(chosen):
    """The folder, of nothing yet, that a server reads next."""
    folder = files.local(chosen.out)
    if os.path.lexists(folder) and not folder.is_dir():
        raise ValueError(f"`--out` should be a folder. Received: {folder}")
    target = folder / str(chosen.version or 1)
    if os.path.lexists(target):
        numbers = [int(p.name) for p in folder.iterdir() if p.name.isdecimal()]
        raise ValueError(
            f"{target} already exists and is not replaced; add "
            f"`--version {max(numbers) + 1}`."
        )
    return target


def _size(path):
    """Bytes of a file, or of all files in a folder."""
    paths = path.rglob("*") if path.is_dir() else [path]
    return sum(p.stat().st_size for p in paths if p.is_file())


# TensorFlow Serving


def _export_saved_model(chosen, card):
    _refuse(chosen, *_RUNTIME)
    if chosen.search is None and (chosen.k is not None or chosen.hamming):
        raise ValueError("`-k` and `--hamming` are for `--search` only.")
    import keras_hash
    from keras_hash import export

    target = _version_folder(chosen)
    index = None
    if chosen.search is not None:
        index = indexing.existing(chosen.search, card, chosen).index
        for name in index.ids.tolist():
            if isinstance(name, str) and name != files.shown(name):
                raise ValueError(
                    "Names in an index that is served should be UTF-8: rename "
                    f"the file, and index it again. Received: {name!r}"
                )
    model = keras_hash.load(chosen.model)
    if index is None:
        module, functions = export.encoder_module(model)
    else:
        module, functions = export.retrieval_model(
            model,
            index.codes,
            index.ids,
            chosen.k or 10,
            card.magnitudes and not chosen.hamming,
        )
    export.save(module, functions, target)
    size, signatures = _size(target), _signatures(functions)
    if chosen.json:
        outputs.print_json(
            {"folder": str(target), "bytes": size, "signatures": signatures}
        )
        return
    print(f"Wrote {target}, {size / 2**20:.2f} MiB. Signatures:")
    for name, (taken, given) in signatures.items():
        print(f"  {name}: {_listed(taken)} -> {_listed(given)}")


def _signatures(functions):
    """Of each signature its inputs and outputs, as `"float32 [n, n, 3]"`."""

    def text(spec):
        sides = ("n" if side is None else str(side) for side in spec.shape)
        return f"{spec.dtype.name} [{', '.join(sides)}]"

    found = {}
    for name, function in sorted(functions.items()):
        concrete = function.get_concrete_function()
        (taken,), _ = concrete.structured_input_signature
        given = sorted(concrete.structured_outputs.items())
        found[name] = (
            {taken.name: text(taken)},
            {output: text(spec) for output, spec in given},
        )
    return found


def _listed(texts):
    return ", ".join(f"{name} {text}" for name, text in texts.items())


# Other runtimes


def _export_runtime(chosen, card):
    from keras_hash.export import runtimes

    target, dtype = _checked(chosen)
    checks = not chosen.no_check
    runtimes.require(chosen.format, "write", *["run"][: int(checks)])
    benchmark = check = calibrate = found = None
    if checks or dtype == "int8":
        benchmark, check, calibrate = _images(chosen, card, dtype == "int8")
    with quiet.without_noise(live=True), files.beside(target) as new:
        import keras_hash

        model = keras_hash.load(chosen.model)
        runtimes.convert(model, new, chosen.format, dtype, calibrate)
        if checks:
            found = runtimes.compare(
                model,
                new,
                check,
                benchmark if chosen.map else None,
                card.metrics.get("map"),
            )
            if found.bits_differing > _BROKEN:
                raise inputs.CheckFailed(
                    f"{chosen.format} cannot compute this encoder: {target} is "
                    f"not written. {found}"
                )
    _print(chosen, card, target, dtype, found)


def _checked(chosen):
    """Where to write and the dtype, once all arguments fit each other."""
    from keras_hash.export import runtimes

    runtime = runtimes.formats()[chosen.format]
    _refuse(chosen, *_SAVED_MODEL)
    dtype = chosen.dtype or runtime.DTYPES[0]
    if dtype not in runtime.DTYPES:
        _refuse(chosen, "dtype", value=f" {chosen.dtype}")
    if chosen.no_check and chosen.map:
        raise ValueError("`--map` compares: leave out `--no-check`.")
    if chosen.no_check and chosen.images and dtype != "int8":
        raise ValueError(
            "`--images` with `--no-check` is for `--dtype int8` only."
        )
    if runtime.ENDING is None:
        return _version_folder(chosen), dtype
    _refuse(chosen, "version")
    target = files.local(chosen.out)
    if target.suffix != runtime.ENDING:
        raise ValueError(
            f"`--out` should end in {runtime.ENDING} for `--format "
            f"{chosen.format}`. Received: --out {chosen.out}"
        )
    files.check_new(target, "--out")
    return target, dtype


def _images(chosen, card, calibrated):
    """The benchmark, images to compare with, and to calibrate with."""
    from keras_hash import data
    from keras_hash.export import runtimes

    benchmark, count = None, _CALIBRATED if calibrated else 0
    if chosen.map or not chosen.images:
        try:
            benchmark = inputs.benchmark_of_card(card)
        except FileNotFoundError as error:
            if chosen.map:
                raise
            hint = "`--images` gives others"
            hint += "" if chosen.no_check else ", `--no-check` compares nothing"
            raise FileNotFoundError(f"{error} {hint}.") from error
    if not chosen.images:
        check, calibrate = runtimes.sample(benchmark, _CHECKED, count)
        return benchmark, check, calibrate if calibrated else None
    paths = inputs.image_files(chosen.images)
    given = {str(files.local(place)) for place in chosen.images}
    for path in [path for path in paths if path not in given]:
        if why := data.images.check(path):
            print(f"left out: {path}: {why}", file=sys.stderr)
            paths.remove(path)
    pool = data.ImageFiles(paths)
    if not calibrated:
        return benchmark, pool.take(slice(_CHECKED)), None
    if len(paths) < 2:
        raise ValueError(
            "`--images` should be at least two, of which half calibrate. "
            f"Received: {paths[0]}"
        )
    numbers = range(len(pool))
    check, calibrate = numbers[1::2][:_CHECKED], numbers[::2][:_CALIBRATED]
    return benchmark, pool.take(check), pool.take(calibrate)


def _print(chosen, card, target, dtype, found):
    height, width = card.image_shape[:2]
    taken = {"image": f"float32 [n, {height}, {width}, 3]"}
    given = {"code": f"uint8 [n, {-(-card.bits // 8)}]"}
    if chosen.json:
        outputs.print_json(
            {
                "path": str(target),
                "bytes": _size(target),
                "format": chosen.format,
                "dtype": dtype,
                "inputs": taken,
                "outputs": given,
                "comparison": found and dataclasses.asdict(found),
            }
        )
        return
    print(
        f"Wrote {target}, {_size(target) / 2**20:.2f} MiB: image "
        f"{taken['image']}, raw 0..255 -> code {given['code']}."
    )
    print(found or "Not compared with the encoder.")
