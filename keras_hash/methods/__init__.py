"""One method, one file. Adding a file here is all it takes to add a method.

What methods share starts with an underscore, but for `base`.
"""

import functools
import importlib
import pkgutil

from keras_hash.methods.base import HashModel


@functools.cache
def registry():
    """All methods found in this package.

    Returns:
        A dict from method name (`"dshc"`) to a pair: its `HashModel` subclass
        and its `keras.losses.Loss` subclass (`None` for methods without one).
    """
    found = {}
    for info in pkgutil.iter_modules(__path__):
        if info.name.startswith("_") or info.name == "base":
            continue
        module = importlib.import_module(f"{__name__}.{info.name}")
        for model in vars(module).values():
            known = isinstance(model, type) and issubclass(model, HashModel)
            if known and model.__module__ == module.__name__:
                found[model.__name__.lower()] = (model, model.loss_class)
    return found
