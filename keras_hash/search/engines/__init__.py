"""Codes in a database: Milvus and LanceDB, with `Index`' `add` and `search`."""

from keras_hash.search.engines.lance import LanceIndex
from keras_hash.search.engines.milvus import MilvusIndex

__all__ = ["LanceIndex", "MilvusIndex"]
