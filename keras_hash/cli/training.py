"""`keras-hash train`."""

import dataclasses
import os

from keras_hash import files
from keras_hash.cli import inputs
from keras_hash.cli import outputs

# In the folder of the entry until that is whole.
_BACKUP = ".training.backup"
# The default where an image has one class, and where it has several labels.
_METHODS = ("csq", "talr")
# The width of the layer between a trained backbone and the hash layer.
_HIDDEN = 512
# From this median of the shorter sides on, in pixels, images are photos.
_SIDE = 64


def add_commands(add):
    """Adds the command to the parser."""
    train = add(
        "train",
        _train,
        "Train a method on a benchmark or on your own images; continues where "
        "it stopped.",
        [
            "train --data photos/ --out runs/mine",
            "train --data photos/ --fine-tune 3 --out runs/tuned",
            "train --data digits --method dshc --bits 30 --out runs/digits",
            "train --data photos/ --backbone small --size 64 --augment "
            "\\\n      --out runs/scratch",
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
        help="csq, hashnet, orthohash and others where an image has one class; "
        "dsrh, isdh and others where it has several labels; itq without "
        "training; an unknown name lists all of them (default "
        f"{' or '.join(_METHODS)})",
    )
    train.add_argument(
        "--bits",
        type=inputs.at_least(1),
        help="code length (default 64; for dshc a multiple of the number of "
        "classes, at least three bits each, with codebook=kbc up to 16 bits; "
        "for dshcmultilabel the number of labels)",
    )
    train.add_argument(
        "--nested",
        type=inputs.lengths,
        metavar="BITS,...",
        help="shorter lengths at which the first bits should be good codes "
        "too, such as 16,32,48 with --bits 64: one encoder for all of them",
    )
    train.add_argument(
        "--set",
        type=inputs.constant,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a constant of the method, such as clusters=50 or codebook=kbc; "
        "may be given several times; an unknown name lists them",
    )
    train.add_argument(
        "--backbone",
        help="an encoder of the zoo, whose trained backbone stays as it is "
        "while a head learns on it; small, cifar, or a network of "
        f"keras.applications, from scratch (default {inputs.GENERAL} for "
        f"photos with sides of {_SIDE} pixels or more, grey for phash, else "
        "small)",
    )
    train.add_argument(
        "--epochs",
        type=inputs.at_least(1),
        help="of training (default 30); on a trained backbone at most (default "
        "60), as the best epoch on a tenth of the training images is kept",
    )
    train.add_argument(
        "--fine-tune",
        type=inputs.at_least(0),
        default=0,
        metavar="EPOCHS",
        help="go on with the last layers of a trained backbone (default 0)",
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
    with outputs.aside(chosen.json):
        report, general = _trained(chosen)
    if chosen.json:
        content = {"folder": chosen.out, **dataclasses.asdict(report)}
        outputs.print_json({**content, "before": general})


def _trained(chosen):
    """The report, and the metrics of the encoder whose backbone it took, by
    code length."""
    import keras

    from keras_hash import evaluation
    from keras_hash.cli import heads
    from keras_hash.search import pictures
    from keras_hash.zoo import entries
    from keras_hash.zoo.card import machine

    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "An entry is written by Keras on TensorFlow: call this with "
            "KERAS_BACKEND=tensorflow. Received: "
            f"KERAS_BACKEND={keras.backend.backend()}"
        )
    folder = files.local(chosen.out)
    entries.version_folders(folder)
    outputs.check_folder(chosen.out, "--out")
    inside = [os.path.realpath(p) for p in (folder, files.local(chosen.data))]
    if os.path.isdir(inside[1]) and os.path.commonpath(inside) == inside[1]:
        raise ValueError(
            "`--out` should be a folder outside of the photos, which would "
            f"have its pictures among them. Received: --out {chosen.out}"
        )
    backup = folder / _BACKUP
    whole = (folder / "card.json").exists()
    _check_new(folder, not whole or backup.exists())
    _check_method(chosen.method)
    benchmark = inputs.benchmark(chosen.data, vars(chosen), seed=chosen.seed)
    print(benchmark.summary(), flush=True)
    _choose(chosen, benchmark)
    recipe = {k: v for k, v in vars(chosen).items() if k not in ("out", "json")}
    card = entries.card(folder) if whole else None
    same = whole and (card.recipe, card.split_checksum) == (
        recipe,
        benchmark.checksum,
    )
    _check_new(folder, same or not whole)
    for picture in ("search.png", "search_before.png"):
        outputs.protect(benchmark, folder / picture, "--out")
    files.sweep(folder)
    kept = None if whole else _kept(chosen, benchmark, backup)
    keras.utils.set_random_seed(chosen.seed)
    model, features = _untrained(chosen, benchmark), None
    if _is_trained(chosen.backbone):
        features = heads.features(model, benchmark)
    if whole:
        # Stopped when all was written but the pictures.
        report, codes = evaluation.measure(entries.load(folder), benchmark)
    else:
        if features is not None:
            heads.fit(chosen, model, benchmark, features)
        elif model.trained:
            _fit(chosen, model, benchmark, kept, chosen.epochs)
        else:
            model.adapt(benchmark.train)
        if chosen.fine_tune:
            _freeze_first(model.backbone)
            _fit(chosen, model, benchmark, kept, chosen.fine_tune, 0.1)
        # A stop before the pictures are drawn goes on, too.
        folder.mkdir(parents=True, exist_ok=True)
        backup.touch()
        _, report, codes = entries.publish_measured(
            model,
            folder,
            benchmark,
            recipe=recipe,
            seed=chosen.seed,
            machine=machine(),
        )
    outputs.show(report)
    general = {}
    drawn = [(model, codes, folder.name, "search.png")]
    if features is not None:
        encoder = entries.load(chosen.backbone)
        if encoder.image_shape != model.image_shape:
            features = None
        general, codes = heads.before(encoder, benchmark, features)
        outputs.show(_table({**general, folder.name: report}, chosen.backbone))
        drawn.append((encoder, codes, chosen.backbone, "search_before.png"))
    for encoder, codes, name, picture in drawn:
        pictures.nearest(
            benchmark,
            codes,
            encoder.bits,
            folder / picture,
            name,
            similarity=encoder.similarity,
        )
    backup.unlink(missing_ok=True)
    print(f"Wrote {folder}; load it with keras_hash.load({str(folder)!r}).")
    return report, {str(k): found.metrics for k, found in general.items()}


def _check_new(folder, fine):
    """Refuses to replace what was trained."""
    if not fine:
        raise ValueError(
            "There is already a trained encoder, which training would replace. "
            "Remove it, or choose another `--out`. "
            f"Received: --out {folder}"
        )


def _check_method(name):
    """Refuses a wrong name before images are read."""
    from keras_hash import methods

    known = methods.registry()
    if name is not None and name.lower() not in known:
        raise ValueError(
            f"`--method` should be one of {sorted(known)}. "
            f"Received: {name}.{inputs.suggestion(name.lower(), known)}"
        )


def _is_trained(backbone):
    """Whether a backbone is that of an entry; wrong names the model refuses."""
    from keras_hash import backbones

    return not backbones.is_network(backbone)


def _choose(chosen, benchmark):
    """Settings that were left out, by what the images are; refuses those that
    do not go together."""
    from keras_hash import codebooks
    from keras_hash import methods

    if chosen.method is None:
        chosen.method = _METHODS[benchmark.multi_label]
    chosen.method = chosen.method.lower()
    kind = methods.registry()[chosen.method][0]
    chosen.set = dict(chosen.set)
    for name, value in chosen.set.items():
        if name not in kind.keywords:
            raise ValueError(
                f"`--set` should name a constant of {kind.__name__}, one of "
                f"{sorted(kind.keywords)}. Received: --set {name}={value}."
                f"{inputs.suggestion(name, kind.keywords)}"
            )
    if not benchmark.multi_label and chosen.method == "dshcmultilabel":
        raise ValueError(
            "DSHCMultiLabel takes several labels an image, and these have one "
            "class: give `--method dshc`, or another. Received: --method "
            "dshcmultilabel"
        )
    if benchmark.multi_label and chosen.method == "dshc":
        raise ValueError(
            "DSHC takes one class an image, and these have several: give "
            "`--method dshcmultilabel`, or another. Received: --method dshc"
        )
    classes = benchmark.num_classes
    if chosen.bits is None:
        kbc = chosen.set.get("codebook") == "kbc" and codebooks.KBC_MOST_BITS
        chosen.bits = {
            "dshc": kbc or classes * max(3, round(64 / classes)),
            "dshcmultilabel": classes,
        }.get(chosen.method, 64)
    if chosen.backbone is None and chosen.method == "phash":
        chosen.backbone = "grey"
    elif chosen.backbone is None:
        photos = _shorter_side(benchmark) >= _SIDE
        chosen.backbone = inputs.GENERAL if photos else "small"
    trained = _is_trained(chosen.backbone)
    if chosen.epochs is None:
        chosen.epochs = 60 if trained else 30
    if chosen.fine_tune and not (kind.trained and trained):
        raise ValueError(
            "`--fine-tune` goes on with a trained backbone, such as "
            f"`--backbone {inputs.GENERAL}`, by a method that is trained. "
            f"Received: --backbone {chosen.backbone} --method {chosen.method}"
        )
    if chosen.augment and trained and not chosen.fine_tune:
        raise ValueError(
            "`--augment` changes what a backbone learns from, and that of an "
            "encoder stays as it is: give `--fine-tune` too, or `--backbone "
            f"small`. Received: --backbone {chosen.backbone}"
        )


def _shorter_side(benchmark):
    """The median shorter side of some images, in pixels."""
    import numpy as np

    if benchmark.image_size:
        return min(benchmark.image_size)
    train = benchmark.parts["train"]
    some = train[:: -(-len(train) // 100)]
    found = benchmark.images.iterate(some)
    return np.median([min(image.shape[:2]) for image in found])


def _untrained(chosen, benchmark):
    """A model of the method for the images."""
    from keras_hash import methods

    kind = methods.registry()[chosen.method.lower()][0]
    given = {}
    if kind.needs_bank:
        given["bank_size"] = len(benchmark.parts["train"])
    classes = benchmark.num_classes if benchmark.num_classes > 1 else None
    if kind.supervised and not classes:
        raise ValueError(
            f"{kind.__name__} learns from images of two or more labels. "
            f"Received: {', '.join(benchmark.labels)} alone in {chosen.data}"
        )
    trained = _is_trained(chosen.backbone)
    if trained and kind.supervised and kind.trained:
        given["hidden"] = _HIDDEN
    side = chosen.size and (chosen.size, chosen.size)
    if side or not trained:
        size = side or benchmark.image_size or (224, 224)
        given["input_shape"] = (*size, 3)
    return kind(
        bits=chosen.bits,
        num_classes=classes,
        backbone=chosen.backbone,
        nested=chosen.nested,
        mirrors=benchmark.mirrors,
        **chosen.set,
        **given,
    )


def _freeze_first(backbone):
    """Lets the last layers learn, which hold half of the weights; the
    statistics of all batches stay."""
    import keras

    def flat(model):
        for layer in model.layers:
            yield from flat(layer) if hasattr(layer, "layers") else [layer]

    seen, half = 0, backbone.count_params() / 2
    for layer in flat(backbone):
        seen += layer.count_params()
        normed = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = seen > half and not normed


def _kept(chosen, benchmark, path):
    """The `Backup` of this training, in which no other one was stopped."""
    from keras_hash import callbacks

    about = {inputs.option(k): v for k, v in _settings(chosen).items()}
    about["checksum of the images' names and labels"] = benchmark.checksum
    # Kept until the entry is written: a stop while measuring loses nothing. An
    # empty one is that of a head, which is trained once more.
    if path.exists() and not path.stat().st_size:
        path.unlink()
    backup = callbacks.Backup(path, about)
    option = _continued(chosen)
    done, asked = backup.epochs(), getattr(chosen, option)
    if done > asked:
        option = inputs.option(option)
        raise ValueError(
            f"A training of {done} epochs was stopped in {path}: give "
            f"`{option} {done}` or more, remove the file, or give another "
            f"`--out`. Received: {option} {asked}"
        )
    return backup


def _fit(chosen, model, benchmark, backup, epochs, share=1.0):
    """Trains; after Ctrl-C or a kill, a second call continues."""
    import keras

    from keras_hash import data
    from keras_hash.data import images

    if chosen.backbone == "cifar":
        train = benchmark.parts["train"]
        sample = train[:: max(1, len(train) // 5000)]
        model.adapt(images.some(benchmark.images, sample))
    rate = share * chosen.learning_rate
    model.compile(keras.optimizers.Adam(rate))
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
    try:
        model.fit(batches, epochs=epochs, callbacks=[backup])
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"the epochs so far are in {backup.path}; the same command "
            "continues"
        ) from None


def _table(reports, name):
    """The encoder at its code lengths, and the own one, line by line."""
    from rich.table import Table

    columns = ("map", "precision@100", "ndcg@100")
    table = Table("encoder", "bits", *columns)
    for key, report in reports.items():
        own = isinstance(key, str)
        figures = [f"{report.metrics[column]:.4f}" for column in columns]
        bits = str(report.settings["bits"])
        table.add_row(key if own else name, bits, *figures)
    return table


def _settings(chosen):
    """What a training that was stopped has to be repeated with: all but how
    long the part goes on that was stopped."""
    free = {"out", "json", _continued(chosen)}
    return {k: v for k, v in vars(chosen).items() if k not in free}


def _continued(chosen):
    """The option of the epochs that a backup counts: those of a head on a
    trained backbone are made once more."""
    return "fine_tune" if _is_trained(chosen.backbone) else "epochs"
