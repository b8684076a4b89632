"""Keras callbacks: retrieval metrics while training, and a backup of it."""

from keras_hash.callbacks.backup import Backup
from keras_hash.callbacks.retrieval import RetrievalMetrics

__all__ = ["Backup", "RetrievalMetrics"]
