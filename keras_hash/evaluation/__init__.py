"""Retrieval metrics, exact in expectation over ties."""

from keras_hash.evaluation.report import RetrievalReport
from keras_hash.evaluation.report import evaluate

__all__ = ["RetrievalReport", "evaluate"]
