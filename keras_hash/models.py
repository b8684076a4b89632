"""The models of all methods: `keras_hash.models.DSHC` and so on."""

from keras_hash.methods import HashModel
from keras_hash.methods import registry

_FOUND = {model.__name__: model for model, _ in registry().values()}
globals().update(_FOUND)
__all__ = ["HashModel", *sorted(_FOUND)]
