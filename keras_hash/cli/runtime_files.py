"""`keras-hash export --format litert | onnx | openvino`."""

import dataclasses
import os
import pathlib
import shutil
import sys

from keras_hash.cli import inputs
from keras_hash.cli import quiet

FORMATS = {
    "litert": "a .tflite file for phones and small devices",
    "onnx": "an .onnx file for ONNX Runtime and other servers",
    "openvino": "for OpenVINO and its model server",
}
DTYPES = ("float16", "float32", "int8")
# Of other formats than a SavedModel, as they are parsed and written.
OPTIONS = {
    "dtype": "--dtype",
    "images": "--images",
    "map": "--map",
    "no_check": "--no-check",
}
_CHECKED, _CALIBRATED = 1000, 300
# More than any quantisation costs: such a file is broken.
_BROKEN = 0.2


def add_options(command):
    """Adds what is for these formats.

    Args:
        command: an `argparse.ArgumentParser`.
    """
    group = command.add_argument_group("litert, onnx and openvino")
    group.add_argument(
        "--dtype",
        choices=DTYPES,
        help="of litert: float16 (the default) and float32 weights, or int8, "
        "which computes in 8 bits too",
    )
    group.add_argument(
        "--images",
        nargs="+",
        help="files and folders to calibrate and compare with, half each, in "
        "place of the benchmark on the card",
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


def refuse(chosen, options):
    """Refuses options that are not for the chosen format.

    Args:
        chosen: the parsed arguments.
        options: dict from the names of arguments to how they are written.

    Raises:
        ValueError: one of them was given.
    """
    for name, option in options.items():
        if getattr(chosen, name) not in (None, False):
            raise ValueError(
                f"`{option}` is not for `--format {chosen.format}`."
            )


def version_folder(chosen):
    """The folder that a server reads next.

    Args:
        chosen: the parsed arguments, with `out` and `version`.

    Returns:
        A path, of nothing yet.

    Raises:
        ValueError: no number of a version, or one that is there already.
    """
    version = 1 if chosen.version is None else chosen.version
    if version < 1:
        raise ValueError(
            f"`--version` should be at least 1. Received: --version {version}"
        )
    folder = pathlib.Path(chosen.out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"`--out` should be a folder. Received: {folder}")
    target = folder / str(version)
    if target.exists():
        numbers = [int(p.name) for p in folder.iterdir() if p.name.isdigit()]
        raise ValueError(
            f"{target} is there already and is not replaced; add "
            f"`--version {max(numbers) + 1}`."
        )
    return target


def size(path):
    """Bytes of a file, or of all files in a folder.

    Args:
        path: a path.

    Returns:
        int.
    """
    paths = path.rglob("*") if path.is_dir() else [path]
    return sum(p.stat().st_size for p in paths if p.is_file())


def export(chosen):
    """Writes the file, compares it with the encoder and says what was found.

    Args:
        chosen: the parsed arguments.

    Returns:
        int, exit code: 1 where the runtime gives quite other codes than the
        encoder; nothing is written then.

    Raises:
        ValueError: arguments that do not fit each other, or what is there.
        ImportError: the package of an extra is missing.
        OSError: the images of the benchmark are not here.
    """
    from keras_hash.export import runtimes

    card = inputs.card(chosen.model)
    target, dtype = _checked(chosen)
    checks = not chosen.no_check
    runtimes.require(chosen.format, "write", *["run"][: int(checks)])
    benchmark = check = calibrate = None
    if checks or dtype == "int8":
        benchmark, check, calibrate = _images(chosen, card, dtype == "int8")
    beside = target.with_name(f".{target.stem}.{os.getpid()}{target.suffix}")
    found = None
    try:
        with quiet.without_noise(live=True):
            import keras_hash

            model = keras_hash.load(chosen.model)
            runtimes.convert(model, beside, chosen.format, dtype, calibrate)
            if checks:
                found = runtimes.compare(
                    model,
                    beside,
                    check,
                    benchmark if chosen.map else None,
                    card.get("metrics", {}).get("map"),
                )
        broken = found is not None and found.bits_differing > _BROKEN
        if not broken:
            os.rename(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        if beside.is_file():
            beside.unlink()
    if broken:
        print(
            f"keras-hash: {chosen.format} does not compute this encoder, "
            f"{target} is not written. {found}",
            file=sys.stderr,
        )
        return 1
    _print(chosen, card, target, dtype, found)
    return 0


def _checked(chosen):
    """Where to write and the dtype, once all arguments fit each other."""
    from keras_hash.export import runtimes

    runtime = runtimes.FORMATS[chosen.format]
    refuse(chosen, {"search": "--search", "k": "-k"})
    dtype = chosen.dtype or runtime.DTYPES[0]
    if dtype not in runtime.DTYPES:
        refuse(chosen, {"dtype": f"--dtype {chosen.dtype}"})
    if chosen.no_check and chosen.map:
        raise ValueError("`--map` compares: leave `--no-check` out.")
    if chosen.no_check and chosen.images and dtype != "int8":
        raise ValueError("`--images` with `--no-check` is for `--dtype int8`.")
    if runtime.ENDING is None:
        return version_folder(chosen), dtype
    refuse(chosen, {"version": "--version"})
    target = pathlib.Path(chosen.out)
    if target.suffix != runtime.ENDING:
        raise ValueError(
            f"`--out` should end in {runtime.ENDING} for `--format "
            f"{chosen.format}`. Received: --out {chosen.out}"
        )
    if os.path.lexists(target):
        raise ValueError(
            f"{target} is there already and is not replaced: remove it, or "
            "give `--out` another name."
        )
    return target, dtype


def _images(chosen, card, calibrated):
    """The benchmark, images to compare with, and to calibrate with."""
    from keras_hash import data
    from keras_hash.export import runtimes

    benchmark, count = None, _CALIBRATED if calibrated else 0
    recipe = card.get("recipe") or {}
    known = recipe.get("data") or card.get("dataset")
    if not known and (chosen.map or not chosen.images):
        raise ValueError(
            f"The card of {card['name']} does not say what images it was made "
            "for: give `--images`, without `--map`."
        )
    if chosen.map or not chosen.images:
        benchmark = inputs.benchmark_of_card(card)
    if not chosen.images:
        check, calibrate = runtimes.sample(benchmark, _CHECKED, count)
        return benchmark, check, calibrate if calibrated else None
    paths = inputs.image_files(chosen.images)
    pool = data.ImageFiles(paths, card["image_shape"][:2])
    if not calibrated:
        return benchmark, pool[:_CHECKED], None
    if len(paths) < 2:
        raise ValueError(
            "`--images` should be at least two, of which half calibrate. "
            f"Received: {paths[0]}"
        )
    return benchmark, pool[1::2][:_CHECKED], pool[::2][:_CALIBRATED]


def _print(chosen, card, target, dtype, found):
    height, width = card["image_shape"][:2]
    taken = {"image": f"float32 [n, {height}, {width}, 3]"}
    given = {"code": f"uint8 [n, {-(-card['bits'] // 8)}]"}
    if chosen.json:
        inputs.print_json(
            {
                "path": str(target),
                "bytes": size(target),
                "format": chosen.format,
                "dtype": dtype,
                "inputs": taken,
                "outputs": given,
                "comparison": found and dataclasses.asdict(found),
            }
        )
        return
    print(
        f"Wrote {target}, {size(target) / 2**20:.2f} MiB: image "
        f"{taken['image']}, raw 0..255 -> code {given['code']}."
    )
    print(found or "Not compared with the encoder.")
