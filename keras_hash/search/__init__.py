"""Search among packed codes: on one machine, and inside a graph."""

from keras_hash.search.index import Index
from keras_hash.search.layer import HammingSearch

__all__ = ["HammingSearch", "Index"]
