"""Retrieval metrics, exact in expectation over ties."""

from keras_hash.evaluation.evaluator import HammingEvaluator
from keras_hash.evaluation.evaluator import evaluate
from keras_hash.evaluation.evaluator import measure
from keras_hash.evaluation.report import RetrievalReport

__all__ = ["HammingEvaluator", "RetrievalReport", "evaluate", "measure"]
