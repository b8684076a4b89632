"""`Card`: the one schema of what an entry says of itself."""

import collections.abc
import dataclasses
import hashlib
import json
import numbers
import os
import pathlib
import platform

from keras_hash import files
from keras_hash._version import __version__

FORMAT = 1


class NewerFormat(ValueError):
    """The card was written by a newer version of the package."""


@dataclasses.dataclass(frozen=True)
class Card(collections.abc.Mapping):
    """What an entry is, how it was trained and what it scores.

    A card is a mapping too: `card["metrics"]` is `card.metrics`, without the
    fields that are `None`, in the order of `card.json`.

    Attributes:
        format: int, version of this schema.
        name: str, name of the entry, that of its folder.
        version: int, folder of the SavedModel beside the card.
        method: str, class of the model, such as `"DSHC"`.
        bits: int, code length.
        backbone: str, name of the backbone; `"own"` for a `keras.Model`.
        image_shape: list `[h, w, 3]`, what images are resized to.
        resize: str, how.
        parameters: int, weights of the encoder.
        weights: `"float16"` or `"int8"`, how they are stored.
        bytes: int, size of all files.
        dataset: str, images that it was measured on.
        protocol: str, how they are split.
        split_checksum: str, sha256 of that split, see `Benchmark.checksum`.
        labels: list of str, names of the classes.
        recipe: dict, how it was trained.
        seed: int, of the training.
        training_seconds: number.
        machine: str, kind of the machine that trained it.
        measured_on: str, kind of the machine that measured it.
        licence: dict, licence of `weights` and `training_images`.
        compaction: dict, what the compact weights changed: share of
            `bits_changed`, `map_before`.
        images_per_second: number, of `encode` on `machine`.
        metrics: dict from metric to float, see `RetrievalReport.metrics`.
        lengths: dict from each shorter length of nested codes, as str, to
            their metrics.
        mirrored: dict, the metrics of queries that are averaged with their
            mirror images.
        extremes: dict, what it is best and worst at: the mean average
            precision of the queries with a label, in `best_labels` and
            `worst_labels`, and of single ones, by their number from 0, in
            `best_queries` and `worst_queries`.
        false_pairs: dict, how near photos of different things come by chance:
            of so many `pairs` of two sets of photos that share none, `counts`
            at each distance from 0, for each length as str.
        runtimes: dict from each other runtime to how far its codes are those
            of Keras: of so many `images`, the shares `bits_differing` and
            `codes_differing`, and the machine it was `measured_on`.
        conventions: dict, the settings of these metrics.
        code_sha256: dict from part of the benchmark to the sha256 of its codes.
        versions: dict from package to version.
        model: dict, `class` and `config` that build the model back.
        files: dict from path to sha256.
    """

    format: int
    name: str
    version: int
    method: str
    bits: int
    backbone: str
    image_shape: list
    resize: str
    parameters: int
    weights: str
    bytes: int
    dataset: str
    protocol: str
    split_checksum: str
    labels: list
    recipe: dict | None = None
    seed: int | None = None
    training_seconds: int | float | None = None
    machine: str | None = None
    measured_on: str | None = None
    licence: dict | None = None
    compaction: dict | None = None
    images_per_second: int | float | None = None
    lengths: dict | None = None
    mirrored: dict | None = None
    extremes: dict | None = None
    false_pairs: dict | None = None
    runtimes: dict | None = None
    metrics: dict = dataclasses.field(kw_only=True)
    conventions: dict = dataclasses.field(kw_only=True)
    code_sha256: dict = dataclasses.field(kw_only=True)
    versions: dict = dataclasses.field(kw_only=True)
    model: dict = dataclasses.field(kw_only=True)
    files: dict = dataclasses.field(kw_only=True)

    @classmethod
    def from_dict(cls, content):
        """A card from what JSON holds; fields that are not known are dropped.

        Args:
            content: dict.

        Returns:
            A `Card`.

        Raises:
            ValueError: it was written by a newer version, or a field is
                missing or of another type.
        """
        if not isinstance(content, dict) or "format" not in content:
            raise ValueError("it should be a JSON object with `format`")
        check_types({"format": content["format"]})
        if content["format"] > FORMAT:
            raise NewerFormat(
                "it was written by a newer keras_hash; update the package. "
                f"Received: format={content['format']}, known: {FORMAT}"
            )
        fields = {field.name: field for field in dataclasses.fields(cls)}
        known = {k: v for k, v in content.items() if k in fields}
        missing = [
            name
            for name, field in fields.items()
            if name not in known and field.default is dataclasses.MISSING
        ]
        if missing:
            raise ValueError(f"it should have {', '.join(missing)}")
        check_types(known)
        for name in ("metrics", "lengths", "mirrored"):
            if name in known and known[name]:
                known[name] = files.numbers(known[name])
        return cls(**known)

    @classmethod
    def read(cls, folder):
        """The card in the folder of an entry.

        Args:
            folder: str or path.

        Returns:
            A `Card`.

        Raises:
            ValueError: as `from_dict`, and a file that is not JSON.
            OSError: there is no `card.json` that can be read.
        """
        path = pathlib.Path(folder) / "card.json"
        return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))

    def write(self, folder):
        """Writes `card.json`, whole or not at all.

        Args:
            folder: str or path of the entry.
        """
        text = files.to_json(self) + "\n"
        files.write(pathlib.Path(folder) / "card.json", text)

    @property
    def model_class(self):
        """The `HashModel` that made it; a ValueError where none is known."""
        from keras_hash import methods

        method, known = self.model["class"], methods.registry()
        if method not in known:
            raise ValueError(
                f"The entry {self.name!r} was made by a method that this "
                f"version does not have: {method!r}; known: {sorted(known)}"
            )
        return known[method][0]

    @property
    def similarity(self):
        """str, how the codes are compared, as `keras_hash.Index` takes it."""
        return self.model_class.similarity

    @property
    def magnitudes(self):
        """bool, whether `Index.search(real_codes=...)` orders by its codes."""
        return self.model_class.magnitudes

    @property
    def by_length(self):
        """dict from each code length, an int, to its metrics, rising."""
        shorter = {int(k): found for k, found in (self.lengths or {}).items()}
        return {**dict(sorted(shorter.items())), self.bits: self.metrics}

    def radius(self, false_rate):
        """The largest distance at which few pairs of photos are false.

        Args:
            false_rate: float up to 0.001, the share of pairs of photos of
                different things that may be so near.

        Returns:
            int.

        Raises:
            ValueError: the card has no `false_pairs`, or the rate is below what
                they tell, or what its codes can keep apart.
        """
        known = (self.false_pairs or {}).get("counts", {}).get(str(self.bits))
        if not known:
            raise ValueError(
                f"The card of {self.name} does not say how near photos come by "
                "chance: give a radius, or take photos_256 or phash_256."
            )
        number = isinstance(false_rate, numbers.Real)
        if not number or not 0 < false_rate <= 1e-3:
            raise ValueError(
                "`false_rate` should be above 0 and at most 0.001. "
                f"Received: false_rate={false_rate!r}"
            )
        pairs, total, radius = self.false_pairs["pairs"], 0, -1
        for count in known:
            total += count
            if total > false_rate * pairs:
                break
            radius += 1
        if radius < 0 or false_rate * pairs < 10:
            raise ValueError(
                f"The card of {self.name} tells rates from "
                f"{max(10, known[0] + 1) / pairs:.1e} on. "
                f"Received: a rate of {false_rate:g}"
            )
        return radius

    def same_as(self, runtime):
        """The runtimes whose codes are those of one, as far as it is known.

        Args:
            runtime: str, such as `"keras"`.

        Returns:
            A set of str, with `runtime` in it.
        """
        known = self.runtimes or {}
        exact = {name for name in known if not known[name]["bits_differing"]}
        exact.add("keras")
        return exact if runtime in exact else {runtime}

    @property
    def maker(self):
        """dict, who makes codes: entries of one name may be trained again."""
        hashes = json.dumps(sorted(self.files.values()))
        digest = hashlib.sha256(hashes.encode()).hexdigest()
        return {"name": self.name, "files_sha256": digest}

    def __getitem__(self, key):
        value = vars(self)[key]
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self):
        return (key for key, value in vars(self).items() if value is not None)

    def __len__(self):
        return sum(1 for _ in self)


def machine():
    """The kind of this machine, such as `"2 x AMD EPYC (family 26, ...), Keras
    on tensorflow"`: figures agree to 1e-6 on the same kind."""
    import keras

    kind = platform.machine()
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        pairs = (line.partition(":")[::2] for line in reversed(lines))
        found = {key.strip(): value.strip() for key, value in pairs}
        # One name can stand for generations that compute differently.
        kind = (
            f"{found['model name']} (family {found['cpu family']}, "
            f"model {found['model']})"
        )
    except (OSError, KeyError):
        pass
    return f"{os.cpu_count()} x {kind}, Keras on {keras.backend.backend()}"


def versions():
    """The versions that figures depend on, by package."""
    import keras
    import numpy as np
    import tensorflow as tf

    return {
        "keras_hash": __version__,
        "keras": keras.version(),
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
    }


def code_hash(codes):
    """The hash of packed codes that cards hold, 64 hex digits."""
    return hashlib.sha256(codes.tobytes()).hexdigest()


# What fields of cards hold, where code counts on it.
_SCORES = {"map": files.NUMBER, ...: files.NUMBER}
_SHAPES = {
    "image_shape": [int],
    "labels": [str],
    "metrics": _SCORES,
    "lengths": {...: _SCORES},
    "mirrored": _SCORES,
    "extremes": {...: {...: int | float}},
    "false_pairs": {"pairs": int, "counts": {...: [int]}},
    "runtimes": {
        ...: {
            "images": int,
            "bits_differing": int | float,
            "codes_differing": int | float,
        }
    },
    "licence": {...: str},
    "code_sha256": {...: str},
    "versions": {...: str},
    "model": {"class": str, "config": dict},
    "files": {...: str},
}


def check_types(known):
    """Refuses fields of a card, a dict, that are of another type."""
    for field in dataclasses.fields(Card):
        if field.name in known and known[field.name] != field.default:
            shape = _SHAPES.get(field.name, field.type)
            files.check_shape(known[field.name], shape, field.name)
    try:
        json.dumps(known)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"A card holds what JSON can hold. Received: {error}"
        ) from error
