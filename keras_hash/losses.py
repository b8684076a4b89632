"""The losses of all methods: `keras_hash.losses.DSHC` and so on."""

from keras_hash.methods import registry

_FOUND = {model.__name__: loss for model, loss in registry().values() if loss}
globals().update(_FOUND)
__all__ = sorted(_FOUND)
