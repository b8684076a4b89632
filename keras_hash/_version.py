"""The version, by itself: cards and downloads name it."""

__version__ = "0.2.0"
