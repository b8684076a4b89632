"""Encoders and retrieval systems as files for servers and other runtimes."""

from keras_hash.export.encoder import OtherWeights
from keras_hash.export.encoder import compact
from keras_hash.export.encoder import encoder_module
from keras_hash.export.encoder import graph_codes
from keras_hash.export.encoder import restore
from keras_hash.export.encoder import retrieval_model
from keras_hash.export.encoder import save
from keras_hash.export.encoder import save_encoder
from keras_hash.export.encoder import stored_weights
from keras_hash.export.encoder import widen

__all__ = [
    "OtherWeights",
    "compact",
    "encoder_module",
    "graph_codes",
    "restore",
    "retrieval_model",
    "save",
    "save_encoder",
    "stored_weights",
    "widen",
]
