"""Where work runs: TensorFlow where it is needed, and several devices, on which
losses see the whole batch, not one's share."""

import sys

import keras


def tensorflow(what, instead):
    """TensorFlow; where it is not installed, what needs it and how to go on."""
    try:
        import tensorflow
    except ImportError as error:
        raise ImportError(
            f"{what} needs TensorFlow: `pip install tensorflow`, or {instead}. "
            f"Received: {error}"
        ) from error
    return tensorflow


def check_backend(what):
    """Refuses work that only Keras on TensorFlow can do."""
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"{what} needs Keras on TensorFlow; start Python with "
            "KERAS_BACKEND=tensorflow. "
            f"Received: backend={keras.backend.backend()!r}"
        )


def _strategy():
    """The strategy of `tf.distribute` that is in force, if there is any."""
    if (
        keras.backend.backend() != "tensorflow"
        or "tensorflow" not in sys.modules
    ):
        return None
    tf = sys.modules["tensorflow"]
    return (
        tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
    )


def check():
    """Refuses a strategy that Keras cannot train with."""
    name = type(_strategy()).__name__
    if name.startswith(("MultiWorker", "CollectiveAllReduce", "ParameterServ")):
        raise ValueError(
            "`fit` of Keras 3 trains on the devices of one machine: use "
            "`tf.distribute.MirroredStrategy`, or `keras.distribution` on JAX, "
            f"which has several hosts too. Received: a {name}"
        )


def count():
    """Devices that share a batch, each with a loss of its own."""
    strategy = _strategy()
    return 1 if strategy is None else strategy.num_replicas_in_sync


def gathered(values):
    """Rows of all devices in place of one's own, in a nest of tensors.

    Gradients flow back to the device that a row came from. Keras divides each
    loss by the number of devices, and their gradients are added up: the loss of
    the whole batch on each of them is what a single device would compute.
    """
    if count() == 1:
        return values
    replica = sys.modules["tensorflow"].distribute.get_replica_context()
    if replica is None:  # Keras only asks for shapes
        return values

    def rows(value):
        if value is None:
            return None
        if value.dtype.is_integer and value.dtype.size < 4:
            value = keras.ops.cast(value, "int32")  # devices exchange no less
        found = replica.all_gather(value, 0)
        found.set_shape((None, *value.shape[1:]))
        return found

    return keras.tree.map_structure(rows, values)
