"""The model zoo: finding, loading and publishing entries.

An entry is a folder: a SavedModel under its version number, and `card.json`
beside it, which names that version, the sha256 of each file, how the model was
trained and what it scores. It is found, in this order: as a path, in the folder
`KERAS_HASH_ZOO`, in the checkout or the installed package, among what was
downloaded before, and by a download (`keras_hash.zoo.fetch`).
"""

import dataclasses
import fnmatch
import importlib.util
import math
import os
import pathlib
import shutil
import warnings

import numpy as np

from keras_hash import files
from keras_hash.zoo import fetch
from keras_hash.zoo.card import FORMAT
from keras_hash.zoo.card import Card
from keras_hash.zoo.card import NewerFormat
from keras_hash.zoo.card import check_types
from keras_hash.zoo.card import code_hash
from keras_hash.zoo.card import machine
from keras_hash.zoo.card import versions

# How many labels and queries a card names as the best and the worst, and from
# how many queries on a label counts.
_EXTREMES, _SEEN = 5, 5

# What a user looks for, by the benchmark of an entry.
_LOOKED_FOR = {
    "cifar10": "One class an image",
    "corel5k": "Several labels a photo",
    "mirflickr20k": "Several labels a photo",
    "digits": "Small demos",
    "multidigits": "Small demos",
}


def folders():
    """The folders that hold entries, first match wins."""
    found = []
    if own := os.environ.get("KERAS_HASH_ZOO"):
        found.append(files.local(own))
        if not found[0].is_dir():
            raise ValueError(
                "KERAS_HASH_ZOO should name a folder of entries, or be unset. "
                f"Received: KERAS_HASH_ZOO={own}"
            )
    found.append(pathlib.Path(__file__).resolve().parents[2] / "zoo")
    spec = importlib.util.find_spec("keras_hash_zoo")
    for place in (spec.submodule_search_locations or []) if spec else []:
        found.append(pathlib.Path(place))
    return [folder for folder in found if folder.is_dir()]


def list_models(pattern="*"):
    """The names of the zoo's entries, here or to be downloaded.

    Reads no network.

    Args:
        pattern: str, shell pattern such as `"dshc_*"`.

    Returns:
        Sorted list of str.
    """
    names = {
        card.parent.name
        for folder in folders()
        for card in folder.glob("*/card.json")
    }
    return sorted(fnmatch.filter(names | set(fetch.index()), pattern))


def grouped(cards):
    """Cards by what a user looks for, the best mAP first.

    Args:
        cards: list of `Card`.

    Returns:
        dict from a title to a list of `Card`.
    """
    groups = {"Photos of any kind, without labels": [], "Copies of photos": []}
    groups.update((title, []) for title in _LOOKED_FOR.values())
    order = sorted(cards, key=lambda c: (c.dataset, -c.metrics["map"], c.name))
    for one in order:
        title = _LOOKED_FOR.get(one.dataset, "Others")
        if "solved_on" in (one.recipe or {}):
            title = "Photos of any kind, without labels"
        if one.method == "PHash":
            title = "Copies of photos"
        groups.setdefault(title, []).append(one)
    return {title: some for title, some in groups.items() if some}


def is_entry(name):
    """Whether there is an entry, whole or damaged.

    Args:
        name: str, name in the zoo, or the path of an entry's folder.

    Returns:
        bool.
    """
    there = os.path.isfile(files.local(name) / "card.json")
    return there or str(name) in list_models()


def entry_folder(name):
    """The folder of an entry, downloaded if it is not here yet.

    Args:
        name: str, name in the zoo, or the path of an entry's folder. A path
            that exists wins, then `folders()`, then the cache.

    Returns:
        A path.

    Raises:
        ValueError: there is no such entry, or what came is not the entry.
        OSError: it could not be downloaded or written.
    """
    folder = _local_folder(name)
    if folder:
        return folder
    if str(name) in fetch.index():
        return fetch.entry(str(name))
    known = ", ".join(list_models()) or "none"
    raise ValueError(
        "`name` should be a zoo entry or the folder of one (with card.json). "
        f"Entries here: {known}. Received: name={str(name)!r}"
    )


def _local_folder(name):
    """The folder of an entry that is on this machine, or `None`."""
    for folder in [files.local(name), *(f / str(name) for f in folders())]:
        # Unlike `Path.is_file`, False where the folder may not be read.
        if os.path.isfile(folder / "card.json"):
            return folder
    return fetch.cached(name)


def _remedy(name):
    """What mends an entry that is damaged."""
    folder = entry_folder(name)
    if folder == fetch.cached(name):
        return f"remove {folder}, and it is downloaded again"
    return "restore it from the release"


def card(name):
    """The card of an entry, without a download: the index has it.

    Args:
        name: str, name in the zoo, or the path of an entry's folder.

    Returns:
        A `Card`.

    Raises:
        ValueError: there is no such entry, or its card is damaged or was
            written by a newer version.
    """
    if _local_folder(name) is None and str(name) in fetch.index():
        return Card.from_dict(fetch.index()[str(name)]["card"])
    try:
        return Card.read(entry_folder(name))
    except NewerFormat as error:
        raise ValueError(f"The entry {str(name)!r}: {error}") from error
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"The card of {str(name)!r} is damaged; {_remedy(name)}. "
            f"The reader said: {error}"
        ) from error


def verify_files(name):
    """Checks the files of an entry against the sha256 on its card.

    Args:
        name: str, name in the zoo, or the path of an entry's folder.

    Raises:
        ValueError: a file is missing or differs.
    """
    folder = entry_folder(name)
    for file, wanted in card(name).files.items():
        path = folder / file
        found = files.sha256(path) if path.is_file() else "no such file"
        if found != wanted:
            raise ValueError(
                f"The file {file} of zoo entry {str(name)!r} is damaged or "
                f"was changed; {_remedy(name)}. "
                f"Received: sha256={found}, expected: {wanted}"
            )


def load(name, bits=None, runtime="keras"):
    """Loads a trained encoder.

    Args:
        name: str, name in the zoo (see `list_models`), or the path of an
            entry's folder.
        bits: int, code length, for an entry with nested codes: one of the
            `lengths` of its card. Defaults to all bits.
        runtime: `"openvino"`, `"onnx"` or `"litert"`, to make codes with that
            runtime, faster; loading takes some seconds more (see
            `HashModel.set_runtime`). A warning says how many bits differ from
            those of Keras, unless the card says that none do.

    Returns:
        The `HashModel`, not compiled; it encodes bit for bit as the SavedModel
        does, and can be compiled and trained further, but without a memory
        bank: `HashModel.from_encoder(model, ..., bank_size=n)` is a new model
        with one, on its backbone.

    Raises:
        ValueError: no such entry, a damaged file (its sha256 differs from the
            card's), weights that do not fit the model on the card, or `bits`
            that are no length of its codes, or no such runtime.
        ImportError: the package of an extra is missing, or TensorFlow.
        OSError: the entry could not be downloaded.

    Example:

    >>> model = keras_hash.load("dshc_cifar10_30")
    >>> codes = model.encode(images)
    """
    content = card(name)
    from keras_hash.codes import check_int

    kind = content.model_class
    verify_files(name)
    saved = entry_folder(name) / str(content.version)
    config = content.model["config"]
    lengths = (*config.get("nested", ()), content.bits)
    if bits is not None and check_int(bits, "bits") not in lengths:
        raise ValueError(
            f"The codes of {str(name)!r} have {' or '.join(map(str, lengths))} "
            f"bits. Received: bits={bits!r}"
        )
    if not saved.is_dir():
        raise ValueError(
            f"The card of {str(name)!r} is damaged: there is no version "
            f"{content.version}; {_remedy(name)}."
        )
    try:
        model = _restored(kind, config, saved, content.weights)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"The card of {str(name)!r} is damaged: no model can be made of "
            f"it; {_remedy(name)}. It said: {error}"
        ) from error
    if bits not in (None, content.bits):
        model = model.shorten(bits)
    if runtime != "keras":
        model.set_runtime(runtime)
        _warn_of_runtime(name, content, runtime)
    return model


def _warn_of_runtime(name, content, runtime):
    known = (content.runtimes or {}).get(runtime)
    if known is None:
        warnings.warn(
            f"The card of {str(name)!r} does not say how many of its codes "
            f"become others on {runtime}: `keras-hash verify {name} --runtime "
            f"{runtime}` counts them.",
            stacklevel=3,
        )
    elif known["bits_differing"]:
        warnings.warn(
            f"On {runtime}, {100 * known['bits_differing']:.2g} % of the bits "
            f"of {str(name)!r} are others than on Keras "
            f"({100 * known['codes_differing']:.2g} % of {known['images']:,} "
            "codes): queries and database should come from the same runtime.",
            stacklevel=3,
        )


def _restored(method, config, saved, weights):
    """The model of a SavedModel, in float32 unless it says otherwise."""
    from keras_hash import backbones
    from keras_hash.export import encoder

    with backbones.policy("float32"):
        model = method.from_config(config)
    encoder.restore(model, saved)
    model.stored_as = weights
    return model


def publish(model, folder, benchmark, compact=None, **details):
    """Writes a trained model as an entry, measured as it is stored.

    The SavedModel is written, loaded back and measured, since compact weights
    are rounded; the card is written last. A new version goes beside an older
    one, the card then names it in one step, and only then is the older one
    removed: a kill leaves one whole entry.

    Args:
        model: a `HashModel`, built and trained.
        folder: str or path of the entry; its last part is the name.
        benchmark: a `keras_hash.data.Benchmark`: its queries are searched in
            its database.
        compact: `"float16"` or `"int8"`, how weights are stored. Defaults to
            how the entry that the model was loaded from stores them, and to
            float16, also where it went through a `.keras` file.
        **details: other fields of the `Card`, such as `recipe`, `seed`,
            `training_seconds`, `machine` and `licence`.

    Returns:
        The `Card`.

    Raises:
        ValueError: `details` names what is no field of a card, or one that is
            measured here, or is of another type; no model or benchmark; the
            model cannot be exported; or `folder` holds numbered folders that
            are no versions, or an entry that a newer version wrote.
        RuntimeError: Keras does not run on TensorFlow; or the graph gives image
            files other codes than the library, of which 100 are tried.

    Example:

    >>> bench = keras_hash.data.load("digits")
    >>> keras_hash.zoo.publish(model, "runs/mine", bench)
    >>> model = keras_hash.load("runs/mine")
    """
    return publish_measured(model, folder, benchmark, compact, **details)[0]


def publish_measured(model, folder, benchmark, compact=None, **details):
    """What `publish` does, with the report and the codes beside the card."""
    from keras_hash import export
    from keras_hash.evaluation import measure
    from keras_hash.export import proof
    from keras_hash.methods import registry

    settable = {
        field.name
        for field in dataclasses.fields(Card)
        if field.default is not dataclasses.MISSING
    } - {"lengths", "mirrored", "extremes"}
    if set(details) - settable:
        raise ValueError(
            f"`details` should be among {sorted(settable)}. "
            f"Received: {sorted(set(details) - settable)}"
        )
    check_types(details)
    folder = files.local(folder).absolute()
    if not hasattr(model, "image_shape") or not hasattr(benchmark, "parts"):
        raise ValueError(
            "An entry is made of a `HashModel`, and measured on a "
            "`keras_hash.data.Benchmark`. Received: "
            f"{type(model).__name__} and {type(benchmark).__name__}"
        )
    known = registry().get(type(model).__name__.lower(), (None,))
    if type(model) is not known[0]:
        raise ValueError(
            "An entry is loaded again by the method of its name: register the "
            "class as CONTRIBUTING.md shows, or publish a model of a method of "
            f"`keras_hash.models`. Received: {type(model).__name__} of "
            f"{type(model).__module__}"
        )
    for part in ("query", "database"):
        if not len(benchmark.parts[part]):
            raise ValueError(
                f"An entry is measured: its benchmark should have images in "
                f"{part!r}; `query=` of `keras_hash.data.from_folder` and its "
                f"like draws queries. Received: none of {benchmark.name}"
            )
    older = version_folders(folder)
    version = max(older, default=0) + 1
    try:
        there = (folder / "card.json").exists()
        version = 1 + (Card.read(folder).version if there else 0)
    except NewerFormat as error:
        raise ValueError(f"The entry {str(folder)!r}: {error}") from error
    except (ValueError, TypeError, OSError):
        # A damaged card, which the new one replaces.
        pass
    if version in older:
        # Of a call that was stopped: no card names it.
        shutil.rmtree(older.pop(version))
    compact = compact or model.stored_as
    config = {k: v for k, v in model.get_config().items() if k != "bank_size"}
    with files.beside(folder / str(version)) as staged:
        export.save_encoder(model, staged, compact)
        stored = _restored(type(model), config, staged, compact)
        report, codes = measure(stored, benchmark)
        wrong = proof.differing(stored, staged, benchmark)
        if wrong:
            raise RuntimeError(
                f"The graph of {folder.name} gives {len(wrong)} of some image "
                "files other codes than the library; nothing was written."
            )
    card = Card(
        **_described(model, config, folder, version, compact),
        dataset=benchmark.name,
        protocol=benchmark.protocol,
        split_checksum=benchmark.checksum,
        labels=list(benchmark.labels),
        metrics=report.metrics,
        lengths=of_lengths(stored, benchmark, codes),
        mirrored=of_mirror(stored, benchmark, codes),
        extremes=of_queries(stored, benchmark, codes),
        conventions=report.settings,
        code_sha256={part: code_hash(c) for part, c in codes.items()},
        **{"measured_on": machine(), **details},
    )
    card.write(folder)
    for path in older.values():
        shutil.rmtree(path)
    return card, report, codes


def version_folders(folder):
    """The versions of an entry in a folder, from their numbers to paths.

    Refuses, before any work, a folder in which none can be written, or that
    holds what would be taken for one.
    """
    folder = files.local(folder).absolute()
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            if not place.is_dir():
                raise ValueError(
                    "An entry is a folder of its own. "
                    f"Received: {folder}, where {place} is no folder"
                )
            break
    found = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        if not path.name.isdecimal():
            continue
        if path.is_symlink() or not (path / "saved_model.pb").is_file():
            raise ValueError(
                f"{folder} holds {path.name}, which is no version of an entry: "
                "give a folder that is new, empty or an entry. "
                f"Received: {folder}"
            )
        found[int(path.name)] = path
    return found


def of_lengths(model, benchmark, codes, **options):
    """The metrics of each shorter length of nested codes, or `None`."""
    from keras_hash import evaluation
    from keras_hash.codes import shorten

    found = {}
    for bits in model.nested:
        sides = []
        for part, some in codes.items():
            targets = benchmark.targets[benchmark.parts[part]]
            sides += [shorten(some, bits), targets]
        report = evaluation.evaluate(*sides, bits=bits, **options)
        found[str(bits)] = report.metrics
    return found or None


def of_mirror(model, benchmark, codes, **options):
    """The metrics of queries averaged with their mirror images, or `None`
    where those mean something else."""
    from keras_hash.evaluation import measure

    if not (model.mirrors and benchmark.mirrors):
        return None
    known = {"database": codes["database"]}
    report, _ = measure(model, benchmark, mirror=True, known=known, **options)
    return report.metrics


def of_queries(model, benchmark, codes):
    """The labels and the queries with the best and the worst precision."""
    from keras_hash.evaluation import HammingEvaluator

    labels = {p: benchmark.targets[benchmark.parts[p]] for p in codes}
    asked = labels["query"]
    evaluator = HammingEvaluator(
        codes["query"], asked, model.bits, model.similarity
    ).update(codes["database"], labels["database"])
    scores = evaluator.average_precision(no_relevant="skip")
    kept = ~np.isnan(scores)
    if asked.ndim == 1:
        # A row a class would take gigabytes of thousands of classes.
        count = benchmark.num_classes
        seen = np.bincount(asked[kept], minlength=count)
        means = np.bincount(asked[kept], scores[kept], count)
    else:
        held = asked[kept] > 0
        seen = held.sum(axis=0)
        means = scores[kept] @ held
    means = means / np.maximum(seen, 1)
    found = {}
    for kind, values, named in (
        ("labels", np.where(seen < _SEEN, np.nan, means), benchmark.labels),
        ("queries", scores, range(len(scores))),
    ):
        # What differs by rounding is a tie, in which the first comes first.
        order = np.argsort(-np.round(values, 9), kind="stable")
        order = order[~np.isnan(values[order])]
        most = min(_EXTREMES, len(order) // 2)
        sides = {"best": order[:most], "worst": order[::-1][:most]}
        for side, chosen in sides.items():
            found[f"{side}_{kind}"] = {
                str(named[row]): round(float(values[row]), 4) for row in chosen
            }
    return found


def _described(model, config, folder, version, compact):
    """The fields of a card that follow from a model and its files."""
    written = folder / str(version)
    paths = sorted(p for p in written.rglob("*") if p.is_file())
    backbone = config["backbone"]
    return {
        "format": FORMAT,
        "name": folder.name,
        "version": version,
        "method": type(model).__name__,
        "bits": model.bits,
        "backbone": backbone if isinstance(backbone, str) else "own",
        "image_shape": list(model.image_shape),
        "resize": "bilinear, antialias",
        "parameters": sum(math.prod(v.shape) for v in model.encoder_variables),
        "weights": compact,
        "bytes": sum(p.stat().st_size for p in paths),
        "versions": versions(),
        "model": {"class": type(model).__name__.lower(), "config": config},
        "files": {str(p.relative_to(folder)): files.sha256(p) for p in paths},
    }
