"""OrthoHash: one loss for all, deep hashing with a single cosine objective.

A classifier whose weights are fixed random codes: the cosine of an image's code
with the code of each class is its logit. Large cosines mean small Hamming
distances and little quantisation at once.

    logit_c = scale (cos(v, t_c) - margin [c is a label])
    loss = mean_i cross-entropy of softmax(logit_i) against y_i / sum y_i

When to use: a strong default where classes are known, with one or several
labels.
Cost: O(n classes bits) a step.
Other code: the paper has scale = sqrt(bits), which is the default here; the
authors' code 8.
Reference: Hoe et al., "One Loss for All: Deep Hashing with a Single Cosine
Similarity based Learning Objective", NeurIPS 2021.
"""

import keras
from keras import ops

from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods import _targets


def orthohash(labels, codes, centres, margin=0.2, scale=None):
    """Cross-entropy of cosines with fixed codes, less a margin.

    Args:
        labels: int `[n]`, or multi-hot `[n, num_classes]`.
        codes: float `[n, bits]`, any real numbers.
        centres: float `[num_classes, bits]` of +1 and -1.
        margin: float, taken off the cosine of every true label.
        scale: float, of the logits; `sqrt(bits)` by default.

    Returns:
        float32 `[n]`; 0 for rows without labels.
    """
    codes = ops.cast(codes, "float32")
    root = codes.shape[-1] ** 0.5
    scale = root if scale is None else scale
    cosine = heads.unit(codes) @ ops.transpose(centres) / root
    hot = similarity.multi_hot(labels, centres.shape[0])
    return _losses.cross_entropy(hot, scale * (cosine - margin * hot))


@keras.saving.register_keras_serializable(package="keras_hash")
class OrthoHashLoss(_targets.TargetLoss):
    """The loss of OrthoHash on real codes.

    Args:
        bits: int, code length.
        num_classes: int.
        codebook: target codes, or the name of a construction, see
            `_targets.TargetLoss`.
        seed: int, of the construction.
        margin: float, of the cosine.
        scale: float, of the logits; `None` for `sqrt(bits)`.
        name: str.
        **kwargs: see `_losses.CodeLoss`.

    Reference: Hoe et al. 2021.
    """

    function = staticmethod(orthohash)

    def __init__(
        self,
        bits,
        num_classes,
        codebook="random",
        seed=0,
        margin=0.2,
        scale=None,
        name="orthohash",
        **kwargs,
    ):
        settings = {"margin": margin, "scale": scale}
        super().__init__(
            bits, num_classes, codebook, seed, settings, name, **kwargs
        )


@keras.saving.register_keras_serializable(package="keras_hash")
class OrthoHash(_targets.TargetModel):
    """Hashing by one cosine objective, with one or several labels an image.

    Args:
        bits: int, code length.
        num_classes: int, number of classes or labels.
        codebook: see `losses.OrthoHash`.
        seed: int, see `losses.OrthoHash`.
        margin: float, see `losses.OrthoHash`.
        scale: float, see `losses.OrthoHash`.
        **kwargs: see `HashModel`.

    Reference: Hoe et al., NeurIPS 2021.
    """

    loss_class = OrthoHashLoss

    def __init__(
        self,
        bits,
        num_classes,
        codebook="random",
        seed=0,
        margin=0.2,
        scale=None,
        **kwargs,
    ):
        super().__init__(bits, num_classes, **kwargs)
        self.set_targets(codebook, seed, {"margin": margin, "scale": scale})
        self.head = heads.Normalised(bits)
        self.finish()
