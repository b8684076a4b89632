"""The model zoo: finding, loading and writing entries.

An entry is a folder: a SavedModel under its version number, and `card.json`
beside it, which names that version, the sha256 of each file, how the model was
trained and what it scores. It is found, in this order: as a path, in the folder
`KERAS_HASH_ZOO`, in the checkout or the installed package, among what was
downloaded before, and by a download (`keras_hash.zoo.fetch`).
"""

import fnmatch
import hashlib
import importlib.util
import json
import math
import os
import pathlib
import shutil

from keras_hash import files
from keras_hash.zoo import fetch

FORMAT = 1


def folders():
    """The folders that hold entries, first match wins.

    Returns:
        list of paths: `KERAS_HASH_ZOO` where it is set, the zoo of a checkout,
        and the zoo that was installed with the package.
    """
    found = []
    if os.environ.get("KERAS_HASH_ZOO"):
        found.append(pathlib.Path(os.environ["KERAS_HASH_ZOO"]))
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
    for folder in [pathlib.Path(name), *(f / str(name) for f in folders())]:
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
        dict: `name`, `method`, `dataset`, `protocol`, `bits`, `metrics`,
        `recipe`, `files` and so on.

    Raises:
        ValueError: there is no such entry, or its card is damaged or was
            written by a newer version.
    """
    if _local_folder(name) is None and str(name) in fetch.index():
        return fetch.index()[str(name)]["card"]
    path = entry_folder(name) / "card.json"
    try:
        content = json.loads(path.read_text())
        written = content["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"The card of {str(name)!r} is damaged; {_remedy(name)}. "
            f"The reader said: {error!r}"
        ) from error
    if written > FORMAT:
        raise ValueError(
            f"The entry {str(name)!r} was written by a newer keras_hash; "
            f"update the package. Received: format={written}, "
            f"known: {FORMAT}"
        )
    return content


def maker(card):
    """Who made codes: entries of one name may be trained again.

    Args:
        card: dict, card of an entry.

    Returns:
        dict: `name`, and `files_sha256`, a hash of the hashes of its files.
    """
    hashes = sorted(card["files"].values())
    digest = hashlib.sha256(json.dumps(hashes).encode()).hexdigest()
    return {"name": card["name"], "files_sha256": digest}


def similarity(card):
    """How the codes of an encoder are compared.

    Args:
        card: dict, card of an entry.

    Returns:
        str, as `keras_hash.Index` takes it.
    """
    from keras_hash import methods

    return methods.registry()[card["model"]["class"]][0].similarity


def verify_files(name):
    """Checks the files of an entry against the sha256 on its card.

    Args:
        name: str, name in the zoo, or the path of an entry's folder.

    Raises:
        ValueError: a file is missing or differs.
    """
    folder = entry_folder(name)
    for file, wanted in card(name)["files"].items():
        path = folder / file
        found = files.sha256(path) if path.is_file() else "no such file"
        if found != wanted:
            raise ValueError(
                f"The file {file} of zoo entry {str(name)!r} is damaged or "
                f"was changed; {_remedy(name)}. "
                f"Received: sha256={found}, expected: {wanted}"
            )


def load(name):
    """Loads a trained encoder.

    Args:
        name: str, name in the zoo (see `list_models`), or the path of an
            entry's folder.

    Returns:
        The `HashModel`, not compiled; it encodes bit for bit as the SavedModel
        does, and can be compiled and trained further.

    Raises:
        ValueError: no such entry, a damaged file (its sha256 differs from the
            card's), or weights that do not fit the model on the card.
        OSError: the entry could not be downloaded.

    Example:

    >>> model = keras_hash.load("dshc_cifar10_30")
    >>> codes = model.encode(images)
    """
    import keras
    import tensorflow as tf

    from keras_hash import export
    from keras_hash import methods

    content = card(name)
    verify_files(name)
    method = content["model"]["class"]
    known = methods.registry()
    if method not in known:
        raise ValueError(
            f"The entry {str(name)!r} was made by a method that this version "
            f"does not have: {method!r}; known: {sorted(known)}"
        )
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("float32")
    try:
        model = known[method][0].from_config(content["model"]["config"])
    finally:
        keras.mixed_precision.set_global_policy(policy)
    saved = entry_folder(name) / str(content["version"])
    reader = tf.train.load_checkpoint(str(saved / "variables" / "variables"))
    keys = set(reader.get_variable_to_shape_map())
    suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
    stored_count = sum(key.startswith("w/") for key in keys)
    if stored_count != len(model.encoder_variables):
        raise ValueError(
            f"The entry {str(name)!r} holds {stored_count} weights, its model "
            f"{method!r} has {len(model.encoder_variables)}: it was written by "
            "another version of keras_hash."
        )
    for index, variable in enumerate(model.encoder_variables):
        key = f"{index:03d}{suffix}"
        stored = reader.get_tensor(f"w/{key}")
        if stored.shape != tuple(variable.shape):
            raise ValueError(
                f"Weight {index} of entry {str(name)!r} does not fit the "
                f"model's {variable.path!r}. Received: shape={stored.shape}, "
                f"expected: {tuple(variable.shape)}"
            )
        scale = (
            reader.get_tensor(f"scale/{key}")
            if f"scale/{key}" in keys
            else None
        )
        variable.assign(export.widen(stored, scale, variable.dtype))
    model.stored_as = content["weights"]
    return model


def write(model, folder, details, compact_dtype="float16"):
    """Writes an entry: the SavedModel first, the card last.

    A new version goes beside an older one, the card then names it in one step,
    and only then is the older one removed: a kill leaves one whole entry.

    Args:
        model: a `HashModel`, built.
        folder: path of the entry; its last part is the name.
        details: dict, what the card says beside what is known here.
        compact_dtype: `"float16"` or `"int8"`, how weights are stored.

    Returns:
        The card, a dict.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_hash import __version__
    from keras_hash import export

    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    older = [p for p in folder.iterdir() if p.is_dir() and p.name.isdigit()]
    version = max([int(p.name) for p in older], default=0) + 1
    staged = folder / f".{version}.new"
    shutil.rmtree(staged, ignore_errors=True)
    export.save_encoder(model, staged, compact_dtype)
    # Written for debuggers and asset files: nothing reads them here.
    for unused in ("assets", "fingerprint.pb"):
        path = staged / unused
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    os.replace(staged, folder / str(version))
    paths = sorted(p for p in (folder / str(version)).rglob("*") if p.is_file())
    variables = model.encoder_variables
    config = {k: v for k, v in model.get_config().items() if k != "bank_size"}
    backbone = config["backbone"]
    content = {
        "format": FORMAT,
        "name": folder.name,
        "version": version,
        "method": type(model).__name__,
        "bits": model.bits,
        "backbone": backbone if isinstance(backbone, str) else "own",
        "image_shape": list(model.image_shape),
        "resize": "bilinear, antialias",
        "parameters": sum(math.prod(v.shape) for v in variables),
        "weights": compact_dtype,
        "bytes": sum(p.stat().st_size for p in paths),
        **details,
        "versions": {
            "keras_hash": __version__,
            "keras": keras.version(),
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
        },
        "model": {
            "class": type(model).__name__.lower(),
            "config": config,
        },
        "files": {str(p.relative_to(folder)): files.sha256(p) for p in paths},
    }
    files.write(folder / "card.json", json.dumps(content, indent=1) + "\n")
    for path in older:
        shutil.rmtree(path)
    return content
