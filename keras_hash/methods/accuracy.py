"""A look at the codes while a model trains."""

import keras
from keras import ops

from keras_hash import codes as codes_lib
from keras_hash import similarity


@keras.saving.register_keras_serializable(package="keras_hash")
class CodeAccuracy(keras.metrics.Mean):
    """Leave-one-out nearest-neighbour accuracy of the codes in a batch.

    For each image, the share of relevant images (same class, or a shared
    label) among those of the batch at the smallest Hamming distance, itself
    excluded. It is a quick look at the codes while training, not a retrieval
    metric: `keras_hash.evaluate` measures retrieval.
    """

    def __init__(self, name="code_accuracy", **kwargs):
        super().__init__(name=name, **kwargs)

    def update_state(self, labels, real_codes, sample_weight=None):
        """Adds a batch.

        Args:
            labels: int `[n]` or multi-hot `[n, num_classes]`.
            real_codes: float `[n, bits]`.
            sample_weight: optional float `[n]`.
        """
        signs = codes_lib.sign(ops.cast(real_codes, "float32"))
        itself = ops.eye(ops.shape(signs)[0])
        nearness = signs @ ops.transpose(signs) - 1e6 * itself
        nearest = ops.cast(
            nearness >= ops.max(nearness, axis=1, keepdims=True), "float32"
        )
        nearest = nearest * (1 - itself)
        relevant = similarity.pairs(labels, labels)
        hits = ops.sum(nearest * relevant, axis=1)
        share = hits / ops.maximum(ops.sum(nearest, axis=1), 1)
        super().update_state(share, sample_weight)
