"""What a model keeps of its codes in training: a bank, and an accuracy."""

import keras
from keras import ops

from keras_hash import devices
from keras_hash import heads
from keras_hash import similarity
from keras_hash.codes import check_int
from keras_hash.codes import sign

# Images from which on a bank takes longer than compiling its loss does.
_LARGE = 1024


def loss_of(function, outputs, size):
    """`function(outputs)`, a loss against a bank of so many images.

    Operation by operation, each reads and writes a value for every pair of the
    batch and the bank, and its gradient does so again. In a graph of TensorFlow
    on processors, one function of XLA gives the loss and its gradient by the
    outputs, on all cores, in half of that time. Forward and backward compiled
    apart would take longer.
    """
    if keras.backend.backend() != "tensorflow" or size < _LARGE:
        return function(outputs)
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    if gpus or devices.count() > 1 or not tf.inside_function():
        return function(outputs)
    # A slope in float16 would be cut off before the loss is scaled.
    outputs = tf.nest.map_structure(lambda x: tf.cast(x, "float32"), outputs)

    @tf.function(jit_compile=True, autograph=False)
    def both(outputs):
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            loss = function(outputs)
        return loss, tape.gradient(loss, outputs, unconnected_gradients="zero")

    @tf.custom_gradient
    def compiled(outputs):
        loss, slopes = both(outputs)
        slopes = tf.nest.flatten(slopes)
        return loss, lambda upstream: [upstream * slope for slope in slopes]

    return compiled(outputs)


@keras.saving.register_keras_serializable(package="keras_hash")
class MemoryBank(keras.layers.Layer):
    """The latest code and the labels of all training images, by sample index,
    for losses that compare a batch with them.

    Rows that were never seen show an image of the current batch instead, so
    the first steps compare within the batch. An image whose labels have changed
    is one of another training: nothing counts as seen then.
    """

    def __init__(self, size, bits, num_classes, **kwargs):
        super().__init__(trainable=False, dtype="float32", **kwargs)
        self.size = size = check_int(size, "bank_size")
        heads.constant(self, "codes", (size, bits))
        heads.constant(self, "labels", (size, num_classes), "uint8")
        heads.constant(self, "seen", (size,), "bool")
        self.built = True

    def update(self, index, labels, codes):
        """Stores a batch; returns `ref_labels`, multi-hot, and `ref_codes`."""
        codes = ops.stop_gradient(ops.cast(codes, "float32"))
        labels = similarity.multi_hot(labels, self.labels.shape[1])
        labels = ops.cast(labels, self.labels.dtype)
        place = ops.cast(index, "int32")[:, None]
        old, known = (
            ops.take(weight, place[:, 0], axis=0)
            for weight in (self.labels, self.seen)
        )
        other = ops.any(ops.not_equal(old, labels), axis=1)
        anew = ops.any(ops.logical_and(known, other))
        self.seen.assign(ops.logical_and(self.seen, ops.logical_not(anew)))
        for weight, rows in (
            (self.codes, codes),
            (self.labels, labels),
            (self.seen, ops.ones_like(place[:, 0], "bool")),
        ):
            rows = ops.cast(rows, weight.dtype)
            weight.assign(ops.scatter_update(weight.value, place, rows))
        return {
            "ref_labels": self.shown(self.labels, labels),
            "ref_codes": self.shown(self.codes, codes),
        }

    def shown(self, weight, rows):
        """Rows of the bank, of the batch where none were ever seen."""
        stand_in = ops.arange(self.size, dtype="int32") % ops.shape(rows)[0]
        return ops.where(
            ops.convert_to_tensor(self.seen)[:, None],
            ops.cast(weight, "float32"),
            ops.cast(ops.take(rows, stand_in, axis=0), "float32"),
        )


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
        """Adds a batch: its labels, and float `[n, bits]`."""
        signs = sign(ops.cast(real_codes, "float32"))
        itself = ops.eye(ops.shape(signs)[0], dtype="float32")
        nearness = signs @ ops.transpose(signs) - 1e6 * itself
        nearest = ops.cast(
            nearness >= ops.max(nearness, axis=1, keepdims=True), "float32"
        )
        nearest = nearest * (1 - itself)
        relevant = similarity.pairs(labels, labels)
        hits = ops.sum(nearest * relevant, axis=1)
        share = hits / ops.maximum(ops.sum(nearest, axis=1), 1)
        super().update_state(share, sample_weight)
