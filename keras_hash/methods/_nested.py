"""Codes whose first bits are codes: losses at every length, shorter models."""

import keras
import numpy as np
from keras import ops

from keras_hash.codes import check_int


def check_lengths(lengths, bits, name):
    """The lengths of nested codes as a tuple, in bits and without the last."""
    if lengths is None:
        return ()
    if isinstance(lengths, np.ndarray) and lengths.ndim == 1:
        lengths = lengths.tolist()
    if not isinstance(lengths, (tuple, list)):
        raise ValueError(
            "`nested` should be a tuple of lengths, such as (16, 32). "
            f"Received: nested={lengths!r}"
        )
    found = tuple(check_int(n, "nested", 8) for n in lengths)
    rising = all(a < b for a, b in zip(found, (*found[1:], bits)))
    if any(n % 8 for n in found) or not rising:
        raise ValueError(
            f"`nested` of {name} should be rising multiples of 8 below {bits} "
            "bits, so that a shorter code is the first bytes. "
            f"Received: nested={tuple(lengths)}"
        )
    return found


def check_weights(weights, lengths):
    """The share of each length in the loss, that of all bits last."""
    if weights is None:
        return [1 / len(lengths)] * len(lengths)
    try:
        found = np.asarray(weights, "float64")
    except (TypeError, ValueError):
        found = np.zeros(0)
    fine = found.shape == (len(lengths),) and np.isfinite(found).all()
    if not fine or not (found >= 0).all() or not found.any():
        raise ValueError(
            "`nested_weights` should be one number of at least 0 for each of "
            f"{lengths} bits. Received: nested_weights={weights!r}"
        )
    return (found / found.sum()).tolist()


class NestedLoss(keras.losses.Loss):
    """The mean of one loss over all lengths of nested codes.

    Args:
        losses: those of each length, the longest last.
        weights: the share of each.
    """

    def __init__(self, losses, weights):
        super().__init__(name=losses[-1].name)
        self.losses, self.weights = losses, weights
        self.views, self.least = losses[-1].views, losses[-1].least
        self.even = losses[-1].even

    def __call__(self, y_true, y_pred, sample_weight=None, **refs):
        total = 0.0
        for weight, loss in zip(self.weights, self.losses):
            some = dict(refs)
            if refs:
                some["ref_codes"] = refs["ref_codes"][:, : loss.bits]
            outputs = first_bits(y_pred, loss.bits)
            total += weight * loss(y_true, outputs, sample_weight, **some)
        return total


def first_bits(outputs, bits):
    """What a model of so many bits returns, of the outputs of a longer one."""
    if not isinstance(outputs, dict):
        return outputs[:, :bits]
    found = {k: v for k, v in outputs.items() if not k.startswith("logits")}
    for key in found.keys() - {"features"}:
        found[key] = found[key][:, :bits]
    if "logits" in outputs:
        found["logits"] = outputs.get(f"logits_{bits}", outputs["logits"])
    return found


def with_logits(head, outputs, lengths):
    """Outputs with the logits of the first bits too, for each length."""
    if isinstance(outputs, dict) and "logits" in outputs:
        for bits in lengths:
            logits = head.classify(outputs["code"][:, :bits])
            outputs = {**outputs, f"logits_{bits}": logits}
    return outputs


def shortened(model, chosen):
    """A model of the same method that makes some of the bits of another."""
    config = {k: v for k, v in model.get_config().items() if k != "bank_size"}
    if not isinstance(config.get("codebook", ""), str):
        book = np.asarray(config["codebook"])
        config["codebook"] = book[:, chosen].tolist()
    prefix = (chosen == np.arange(len(chosen))).all()
    kept = [n for n in model.nested if prefix and n < len(chosen)]
    del config["name"]
    config.pop("nested_weights", None)
    short = type(model).from_config(
        {**config, "bits": len(chosen), "nested": kept or None}
    )
    fewer = short
    if len(chosen) == model.bits > 1:
        # All bits in another order: where they stand shows in fewer of them.
        fewer = shortened(model, np.arange(model.bits - 1))
    every = (m.encoder_variables for m in (short, fewer, model))
    for variable, other, whole in zip(*every, strict=True):
        value = ops.convert_to_numpy(whole)
        for axis, size in enumerate(other.shape):
            if size != value.shape[axis]:
                # So many numbers a bit.
                group = size // fewer.bits
                places = chosen[:, None] * group + np.arange(group)
                value = np.take(value, places.reshape(-1), axis)
        variable.assign(value)
    short.stored_as = model.stored_as
    return short
