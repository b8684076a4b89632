"""The command line, `keras-hash COMMAND`."""

import argparse
import json
import os
import pathlib
import sys


def main(arguments=None):
    """Runs a command.

    Args:
        arguments: list of str; the process' own if `None`.

    Returns:
        int, exit code: 0, or 2 with one line on stderr for bad input.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        chosen.run(chosen)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"keras-hash: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("keras-hash: stopped", file=sys.stderr)
        return 130
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="keras-hash",
        description="Deep hashing for image retrieval: short binary codes.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name, run, text, example):
        command = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"Example: {example}",
        )
        command.set_defaults(run=run)
        return command

    demo = add(
        "demo", _demo, "Show the whole path in minutes.", "keras-hash demo"
    )
    demo.add_argument("--out", default="runs/demo", help="folder to write to")
    demo.add_argument("--epochs", type=int, default=30)

    listing = add(
        "list", _list, "List the zoo's encoders.", "keras-hash list 'dshc_*'"
    )
    listing.add_argument("pattern", nargs="?", default="*")
    listing.add_argument("--json", action="store_true", help="for scripts")

    info = add(
        "info",
        _info,
        "Show an encoder's card.",
        "keras-hash info dshc_digits_30",
    )
    info.add_argument("model", help="zoo name or folder of an entry")
    info.add_argument("--json", action="store_true", help="for scripts")

    train = add(
        "train",
        _train,
        "Train a method on a benchmark or on your own images; goes on where it "
        "was stopped.",
        "keras-hash train --data photos/ --method dsrh --bits 48 --out runs/it",
    )
    train.add_argument("--data", required=True, help=_DATA)
    _add_data_options(train)
    train.add_argument("--method", default="dshc")
    train.add_argument("--bits", type=int, required=True)
    train.add_argument("--backbone", default="small")
    train.add_argument("--epochs", type=int, default=30)
    train.add_argument("--batch-size", type=int, default=128)
    train.add_argument("--learning-rate", type=float, default=1e-3)
    train.add_argument(
        "--augment",
        action="store_true",
        help="mirror, shift or crop training photos, as suits the method",
    )
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--out", required=True, help="folder of the new entry")

    evaluate = add(
        "evaluate",
        _evaluate,
        "Measure an encoder on a benchmark.",
        "keras-hash evaluate dshc_digits_30 --data digits",
    )
    evaluate.add_argument("model", help="zoo name or folder of an entry")
    evaluate.add_argument("--data", help=f"{_DATA}; the card's by default")
    _add_data_options(evaluate)
    evaluate.add_argument("--protocol", default="official")
    evaluate.add_argument("-k", type=int, nargs="+", default=[100, 1000, 5000])
    evaluate.add_argument(
        "--convention", help="replay another code base, such as dpsh"
    )
    evaluate.add_argument("--json", action="store_true", help="for scripts")

    encode = add(
        "encode",
        _encode,
        "Encode image files (JPEG, PNG, GIF, BMP).",
        "keras-hash encode dshc_cifar10_30 photos/ --out codes.npz",
    )
    encode.add_argument("model", help="zoo name or folder of an entry")
    encode.add_argument("images", nargs="+", help="files or folders")
    encode.add_argument(
        "--out", help="npz file with `codes`, `paths`, `bits`; else printed"
    )
    return parser


_DATA = (
    "name of a benchmark (such as digits), folder with one folder a class, or "
    ".csv file"
)
_OWN = ("size", "image_column", "label_columns", "separator")


def _add_data_options(command):
    own = command.add_argument_group("your own images")
    own.add_argument(
        "--size", type=int, help="side they are resized to (default 224)"
    )
    own.add_argument("--image-column", help="of a .csv file: their paths")
    own.add_argument(
        "--label-columns",
        nargs="+",
        help="of a .csv file: one of label names, or one of 0 and 1 a label",
    )
    own.add_argument("--separator", help="between labels in one column")


def _benchmark(data, options, size=224, protocol="official", seed=0):
    """A benchmark by its name, or of one's own images.

    `options` is a dict from the names in `_OWN` to values or `None`; `size` is
    the default of the first.
    """
    import warnings

    from keras_hash import data as data_lib

    path, names = pathlib.Path(data), sorted(data_lib._LOADERS)
    is_csv = path.suffix.lower() == ".csv"
    is_folder = path.is_dir() and data not in names
    options = {
        name: options[name] for name in _OWN if options.get(name) is not None
    }
    taken = _OWN if is_csv else _OWN[:1] if is_folder else ()
    for name in set(options) - set(taken):
        raise ValueError(
            f"`--{name.replace('_', '-')}` is not for {data}: the size is for "
            "your own images, columns and separator are for a .csv file."
        )
    if not (is_csv or is_folder):
        if data not in names:
            raise ValueError(
                f"`--data` should be one of {names}, a folder with one folder "
                f"a class, or a .csv file. Received: {data}"
            )
        return data_lib.load(data, protocol)
    if is_csv and not {"image_column", "label_columns"} <= set(options):
        raise ValueError(
            "A .csv file needs `--image-column` and `--label-columns`. "
            f"Received: {data}"
        )
    columns = options.get("label_columns", ())
    if len(columns) == 1:
        options["label_columns"] = columns[0]
    load = data_lib.from_csv if is_csv else data_lib.from_folder
    # The summary says what the warning would.
    with warnings.catch_warnings(action="ignore"):
        return load(path, seed=seed, **{"size": size, **options})


def _demo(chosen):
    from keras_hash import demo

    demo.run(chosen.out, chosen.epochs)


def _list(chosen):
    from rich.console import Console
    from rich.table import Table

    from keras_hash import zoo

    cards = [zoo.card(name) for name in zoo.list_models(chosen.pattern)]
    if chosen.json:
        print(json.dumps(cards, indent=1))
        return
    table = Table(title="Encoders in the zoo")
    for column in ("name", "method", "data", "protocol", "bits", "mAP", "MiB"):
        table.add_column(column)
    for card in cards:
        table.add_row(
            card["name"],
            card["method"],
            card["dataset"],
            card["protocol"],
            str(card["bits"]),
            f"{card['metrics']['map']:.4f}",
            f"{card['bytes'] / 2**20:.2f}",
        )
    Console().print(table)


def _info(chosen):
    from rich.console import Console
    from rich.table import Table

    from keras_hash import zoo
    from keras_hash.data import protocols

    dataset, colon, protocol = chosen.model.partition(":")
    if colon and not pathlib.Path(chosen.model).exists():
        card = protocols.find(dataset, protocol).card()
    else:
        card = zoo.card(chosen.model)
    if chosen.json:
        print(json.dumps(card, indent=1))
        return
    table = Table(title=card["name"], show_header=False)
    for key, value in card.items():
        if key in ("files", "model", "code_sha256"):
            continue
        if isinstance(value, dict):
            value = "\n".join(f"{k}: {v}" for k, v in value.items())
        table.add_row(key, str(value))
    Console().print(table)


def _train(chosen):
    import keras

    import keras_hash
    from keras_hash import figures
    from keras_hash import methods
    from keras_hash import zoo
    from keras_hash.evaluation import measure

    known = methods.registry()
    if chosen.method not in known:
        raise ValueError(
            f"`--method` should be one of {sorted(known)}. "
            f"Received: {chosen.method}"
        )
    keras.utils.set_random_seed(chosen.seed)
    benchmark = _benchmark(chosen.data, vars(chosen), seed=chosen.seed)
    print(benchmark.summary(), flush=True)
    model = known[chosen.method][0](
        bits=chosen.bits,
        num_classes=benchmark.num_classes,
        backbone=chosen.backbone,
        input_shape=benchmark.images.shape[1:],
    )
    folder = pathlib.Path(chosen.out)
    if not model.trained:
        model.adapt(benchmark.train)
    else:
        if chosen.backbone == "cifar":
            train = benchmark.parts["train"]
            sample = train[:: max(1, len(train) // 5000)]
            model.adapt(benchmark.images[sample])
        model.compile(keras.optimizers.Adam(chosen.learning_rate))
        batches = keras_hash.data.batches(
            benchmark.train,
            chosen.batch_size,
            augment=model.default_augment() if chosen.augment else None,
            shuffle=True,
            seed=chosen.seed,
        )
        backup = keras.callbacks.BackupAndRestore(
            folder / ".checkpoint", double_checkpoint=True
        )
        model.fit(batches, epochs=chosen.epochs, callbacks=[backup])
    report, codes = measure(model, benchmark)
    zoo.write(
        model,
        folder,
        {
            "dataset": benchmark.name,
            "protocol": benchmark.protocol,
            "split_checksum": benchmark.checksum,
            "labels": benchmark.labels,
            "recipe": {
                key: value
                for key, value in vars(chosen).items()
                if key not in ("run", "out")
            },
            "seed": chosen.seed,
            "metrics": report.metrics,
            "conventions": report.settings,
        },
    )
    _show(report)
    if len(benchmark.parts["query"]):
        figures.nearest(
            benchmark,
            codes,
            model.bits,
            folder / "search.png",
            folder.name,
            similarity=model.similarity,
        )
    print(f"Wrote {folder}; load it with keras_hash.load({str(folder)!r}).")


def _evaluate(chosen):
    import keras_hash
    from keras_hash import zoo
    from keras_hash.evaluation import measure

    card = zoo.card(chosen.model)
    recipe = card.get("recipe", {})
    options = {name: getattr(chosen, name) for name in _OWN}
    data = chosen.data or recipe.get("data") or card.get("dataset")
    if data is None:
        raise ValueError(f"{chosen.model} does not say on what: give `--data`.")
    if chosen.data is None:
        # Own images as they were trained on: the columns too.
        options = {name: options[name] or recipe.get(name) for name in _OWN}
    benchmark = _benchmark(
        data,
        options,
        card["image_shape"][:2],
        chosen.protocol,
        recipe.get("seed", 0),
    )
    if not chosen.json:
        print(benchmark.summary())
    model = keras_hash.load(chosen.model)
    report, _ = measure(
        model, benchmark, k=chosen.k, convention=chosen.convention
    )
    if chosen.json:
        print(report.to_json())
        return
    _show(report)
    same = benchmark.checksum == card.get("split_checksum")
    if same and not chosen.convention:
        print(f"mAP on the card: {card['metrics']['map']:.6f}")


def _encode(chosen):
    import io

    import numpy as np

    from keras_hash import files
    from keras_hash import zoo

    paths = []
    for place in map(pathlib.Path, chosen.images):
        endings = (".jpg", ".jpeg", ".png", ".gif", ".bmp")
        inside = sorted(place.rglob("*")) if place.is_dir() else [place]
        paths += [
            p
            for p in inside
            if not place.is_dir() or p.suffix.lower() in endings
        ]
    if not paths:
        raise ValueError(f"There are no images in {' '.join(chosen.images)}.")
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise ValueError(f"No such file: {', '.join(missing[:5])}")
    codes = zoo.encode_files(chosen.model, paths)
    if chosen.out is None:
        for path, code in zip(paths, codes):
            print(bytes(code).hex(), path)
        return
    content = io.BytesIO()
    np.savez(
        content,
        codes=codes,
        paths=np.array([str(path) for path in paths]),
        bits=zoo.card(chosen.model)["bits"],
    )
    files.write(chosen.out, content.getvalue())
    print(f"Wrote {len(codes)} codes to {chosen.out}.")


def _show(report):
    from rich.console import Console

    Console().print(report)


if __name__ == "__main__":
    sys.exit(main())
