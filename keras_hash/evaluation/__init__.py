"""Retrieval metrics, exact in expectation over ties."""

from keras_hash.evaluation.evaluator import HammingEvaluator
from keras_hash.evaluation.measuring import evaluate
from keras_hash.evaluation.measuring import measure
from keras_hash.evaluation.report import RetrievalReport

__all__ = [
    "HammingEvaluator",
    "RetrievalReport",
    "count_table",
    "evaluate",
    "measure",
]


def __getattr__(name):
    # It is TensorFlow's, which is imported when it is first asked for.
    if name == "count_table":
        from keras_hash import devices

        instead = "take `HammingEvaluator`, whose `counts` is that table"
        devices.tensorflow("`count_table`", instead)
        from keras_hash.evaluation.graph import count_table

        return count_table
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
