"""MIRFLICKR-25K for TensorFlow Datasets."""
