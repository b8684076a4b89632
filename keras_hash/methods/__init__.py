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
    import keras

    found = {}
    for info in pkgutil.iter_modules(__path__):
        if info.name.startswith("_") or info.name == "base":
            continue
        module = importlib.import_module(f"{__name__}.{info.name}")
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and value.__module__ == module.__name__
        ]
        for model in own:
            if issubclass(model, HashModel):
                losses = [
                    value
                    for value in own
                    if issubclass(value, keras.losses.Loss)
                    and value.__name__ == f"{model.__name__}Loss"
                ]
                name = model.__name__.lower()
                found[name] = (model, losses[0] if losses else None)
    return found
