"""Corel-5K for TensorFlow Datasets."""
