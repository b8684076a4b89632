"""Recipes of the zoo: one module an entry, each with a `RECIPE`.

Modules that begin with an underscore hold what several recipes share.
"""

import dataclasses
import importlib
import pathlib
from collections.abc import Callable

import keras

import keras_hash

FOLDER = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How an entry is made.

    Attributes:
        model: function from the number of classes to an untrained model.
        settings: dict, what the card says of the training beside the fields
            below.
        optimizer: function from the number of steps to an optimizer; `None`
            for methods that are solved.
        epochs: int.
        batch_size: int.
        dataset: str, see `keras_hash.data.load`.
        protocol: str.
        photos: tuple of str, benchmarks whose training photos a method without
            labels is solved on; that of `dataset` by default.
        augment: `keras_hash.data.Augment` or `None`.
        trunk: `None`; the entry whose trained backbone this one starts from;
            or a file in the folder `weights` of KERAS_HASH_DATA or of `runs`.
        backbone_rate: float, rate of the backbone as a share of the rate. 0
            keeps it as it is: its features, of the images and of their mirror
            images, are computed once.
        policy: str, precision of training.
        compact: `"int8"` or `"float16"`, how weights are stored.
        seed: int.
    """

    model: Callable
    settings: dict
    optimizer: Callable | None = None
    epochs: int = 0
    batch_size: int = 128
    dataset: str = "cifar10"
    protocol: str = "official"
    photos: tuple = ()
    augment: keras_hash.data.Augment | None = None
    trunk: str | None = None
    backbone_rate: float = 1.0
    policy: str = "float32"
    compact: str = "int8"
    seed: int = 1

    @property
    def frozen(self):
        """bool, whether only what follows the backbone is trained."""
        return self.backbone_rate == 0 and self.optimizer is not None

    def card(self):
        """What the card says of the training, a dict."""
        trained = self.optimizer is not None
        found = {
            "epochs": self.epochs if trained else None,
            "batch_size": self.batch_size if trained else None,
            "precision": self.policy,
            "trunk": self.trunk,
            "backbone_rate": self.backbone_rate if self.trunk else None,
            **self.settings,
        }
        return {key: value for key, value in found.items() if value is not None}


def names():
    """Sorted list of the entries that have a recipe."""
    return sorted(
        path.stem for path in FOLDER.glob("*.py") if path.stem[0] != "_"
    )


def load(name):
    """The module of an entry.

    Args:
        name: str.

    Returns:
        A module with a docstring and `RECIPE`.

    Raises:
        ValueError: there is no such recipe.
    """
    if name not in names():
        raise ValueError(
            f"There is no recipe {name!r}. Recipes: {', '.join(names())}"
        )
    return importlib.import_module(f"recipes.{name}")


def cosine(peak, steps, warmup=0.0, start=0.1):
    """A learning rate that rises, then falls to 0 along a cosine.

    Args:
        peak: float, the largest.
        steps: int, in all.
        warmup: float, share of the steps in which it rises.
        start: float, where it begins, as a share of the peak.

    Returns:
        A schedule.
    """
    rising = int(warmup * steps)
    return keras.optimizers.schedules.CosineDecay(
        start * peak if rising else peak,
        steps - rising,
        warmup_target=peak if rising else None,
        warmup_steps=rising,
    )
