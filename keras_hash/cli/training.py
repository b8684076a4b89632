"""`keras-hash train`."""

import dataclasses

from keras_hash import files
from keras_hash.cli import inputs

# In the folder of the entry until that is whole.
_BACKUP = ".training.backup"
# What may differ when a training continues where it was stopped.
_FREE = {"out", "epochs", "json"}


def add_commands(add):
    """Adds the command to the parser."""
    train = add(
        "train",
        _train,
        "Train a method on a benchmark or on your own images; continues where "
        "it stopped.",
        [
            "train --data photos/ --method dsrh --bits 48 --out runs/mine",
            "train --data digits --method dshc --bits 30 --out runs/digits",
            "train --data photos/ --augment --method csq --bits 64 --out it",
            "train --data list.csv --image-column file --label-columns words "
            "\\\n      --separator '|' --method isdh --bits 48 --out runs/w",
        ],
    )
    train.add_argument("--data", required=True, help=inputs.DATA)
    inputs.add_data_options(train)
    train.add_argument(
        "--size",
        type=inputs.at_least(1),
        help="side in pixels of the images that the encoder takes, to which it "
        "resizes all others (default: that of the benchmark, 224 for files)",
    )
    train.add_argument(
        "--method",
        default="dshc",
        help="csq, hashnet, orthohash and others where an image has one class; "
        "dsrh, isdh and others where it has several labels; itq without "
        "training; an unknown name lists all of them (default dshc)",
    )
    train.add_argument(
        "--bits",
        type=inputs.at_least(1),
        required=True,
        help="code length; for dshc a multiple of the number of classes",
    )
    train.add_argument(
        "--nested",
        type=inputs.lengths,
        metavar="BITS,...",
        help="shorter lengths at which the first bits should be good codes "
        "too, such as 16,32,48 with --bits 64: one encoder for all of them",
    )
    train.add_argument(
        "--backbone",
        default="small",
        help="small, cifar, or a network of keras.applications such as "
        "mobilenet_v2 (default small)",
    )
    train.add_argument(
        "--epochs",
        type=inputs.at_least(1),
        default=30,
        help="of training (default 30)",
    )
    train.add_argument(
        "--batch-size",
        type=inputs.at_least(1),
        default=128,
        help="in images (default 128)",
    )
    train.add_argument(
        "--learning-rate",
        type=inputs.rate,
        default=1e-3,
        help="of Adam (default 0.001)",
    )
    train.add_argument(
        "--augment",
        action="store_true",
        help="mirror, shift or crop training photos, as suits the method",
    )
    train.add_argument(
        "--seed",
        type=inputs.at_least(0),
        default=0,
        help="of the split, the weights and the batches (default 0)",
    )
    train.add_argument("--out", required=True, help="folder of the new entry")
    inputs.add_json(train)


def _train(chosen):
    with inputs.aside(chosen.json):
        report = _trained(chosen)
    if chosen.json:
        inputs.print_json({"folder": chosen.out, **dataclasses.asdict(report)})


def _trained(chosen):
    from keras_hash.zoo import entries

    folder = files.local(chosen.out)
    backup = folder / _BACKUP
    recipe = {**_settings(chosen), "epochs": chosen.epochs}
    whole = (folder / "card.json").exists()
    if whole and not (
        backup.exists() and entries.card(folder).recipe == recipe
    ):
        raise ValueError(
            "There is already a trained encoder, which training would replace. "
            "Remove it, or choose another `--out`. "
            f"Received: --out {folder}"
        )

    import keras

    from keras_hash import evaluation
    from keras_hash.search import pictures
    from keras_hash.zoo.card import machine

    files.sweep(folder)
    keras.utils.set_random_seed(chosen.seed)
    benchmark, model = _untrained(chosen)
    if whole:
        # Stopped when all was written but the picture.
        report, codes = evaluation.measure(entries.load(folder), benchmark)
    else:
        if model.trained:
            _fit(chosen, model, benchmark, backup)
        else:
            model.adapt(benchmark.train)
        _, report, codes = entries.publish_measured(
            model,
            folder,
            benchmark,
            recipe=recipe,
            seed=chosen.seed,
            machine=machine(),
        )
    inputs.show(report)
    if len(benchmark.parts["query"]):
        pictures.nearest(
            benchmark,
            codes,
            model.bits,
            folder / "search.png",
            folder.name,
            similarity=model.similarity,
        )
    backup.unlink(missing_ok=True)
    print(f"Wrote {folder}; load it with keras_hash.load({str(folder)!r}).")
    return report


def _untrained(chosen):
    """The benchmark, and a model of the method for its images."""
    from keras_hash import methods

    known, method = methods.registry(), chosen.method.lower()
    if method not in known:
        raise ValueError(
            f"`--method` should be one of {sorted(known)}. "
            f"Received: {chosen.method}.{inputs.suggestion(method, known)}"
        )
    benchmark = inputs.benchmark(chosen.data, vars(chosen), seed=chosen.seed)
    print(benchmark.summary(), flush=True)
    size = chosen.size and (chosen.size, chosen.size)
    model = known[method][0]
    stored = {}
    if model.needs_bank:
        stored["bank_size"] = len(benchmark.parts["train"])
    return benchmark, model(
        bits=chosen.bits,
        num_classes=benchmark.num_classes,
        backbone=chosen.backbone,
        nested=chosen.nested,
        mirrors=benchmark.mirrors,
        input_shape=(*(size or benchmark.image_size or (224, 224)), 3),
        **stored,
    )


def _fit(chosen, model, benchmark, path):
    """Trains; after Ctrl-C or a kill, a second call continues."""
    import keras

    from keras_hash import callbacks
    from keras_hash import data

    about = {inputs.option(k): v for k, v in _settings(chosen).items()}
    about["checksum of the images' names and labels"] = benchmark.checksum
    if chosen.backbone == "cifar":
        train = benchmark.parts["train"]
        sample = train[:: max(1, len(train) // 5000)]
        model.adapt(benchmark.images[sample])
    model.compile(keras.optimizers.Adam(chosen.learning_rate))
    batches = data.batches(
        benchmark.train,
        chosen.batch_size,
        image_size=model.image_shape[:2],
        augment=model.default_augment() if chosen.augment else None,
        views=model.loss_class.views,
        shuffle=True,
        seed=chosen.seed,
    )
    if model.stores_pairs:
        model.adapt(batches)
    # Kept until the entry is written: a stop while measuring loses nothing.
    backup = callbacks.Backup(path, about)
    try:
        model.fit(batches, epochs=chosen.epochs, callbacks=[backup])
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"the epochs so far are in {path}; the same command continues"
        ) from None


def _settings(chosen):
    """What a training that was stopped has to be repeated with."""
    return {k: v for k, v in vars(chosen).items() if k not in _FREE}
