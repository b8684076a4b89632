"""The model zoo: find, load, publish and verify trained encoders."""

from keras_hash.zoo.card import Card
from keras_hash.zoo.encoder import encode_files
from keras_hash.zoo.entries import card
from keras_hash.zoo.entries import entry_folder
from keras_hash.zoo.entries import is_entry
from keras_hash.zoo.entries import list_models
from keras_hash.zoo.entries import load
from keras_hash.zoo.entries import publish
from keras_hash.zoo.entries import verify_files

__all__ = [
    "Card",
    "card",
    "encode_files",
    "entry_folder",
    "is_entry",
    "list_models",
    "load",
    "publish",
    "verify_files",
]
