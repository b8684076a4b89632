"""Searching packed codes."""

from keras_hash.search.index import Index

__all__ = ["Index"]
