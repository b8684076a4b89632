"""Search among packed codes: one machine, inside a graph, in databases."""

from keras_hash.search.engines.lance import LanceIndex
from keras_hash.search.engines.milvus import MilvusIndex
from keras_hash.search.index import Index
from keras_hash.search.layer import HammingSearch

__all__ = ["HammingSearch", "Index", "LanceIndex", "MilvusIndex"]
