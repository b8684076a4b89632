"""Encoders and retrieval systems as files for servers and other runtimes."""

from keras_hash.export.encoder import encoder_module
from keras_hash.export.encoder import retrieval_model
from keras_hash.export.encoder import save
from keras_hash.export.encoder import save_encoder

__all__ = ["encoder_module", "retrieval_model", "save", "save_encoder"]
