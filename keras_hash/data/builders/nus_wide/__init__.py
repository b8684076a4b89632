"""NUS-WIDE for TensorFlow Datasets."""
