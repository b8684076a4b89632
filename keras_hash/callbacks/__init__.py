"""Keras callbacks: retrieval metrics while training."""

from keras_hash.callbacks.retrieval import RetrievalMetrics

__all__ = ["RetrievalMetrics"]
