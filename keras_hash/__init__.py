"""Deep hashing for image retrieval in Keras 3."""

from keras_hash import callbacks
from keras_hash import codes
from keras_hash import data
from keras_hash import losses
from keras_hash import models
from keras_hash._version import __version__
from keras_hash.evaluation import HammingEvaluator
from keras_hash.evaluation import RetrievalReport
from keras_hash.evaluation import evaluate
from keras_hash.search import Index
from keras_hash.zoo import list_models
from keras_hash.zoo import load

__all__ = [
    "HammingEvaluator",
    "Index",
    "RetrievalReport",
    "callbacks",
    "codes",
    "data",
    "evaluate",
    "list_models",
    "load",
    "losses",
    "models",
]
