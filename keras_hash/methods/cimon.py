"""CIMON: comprehensive similarity mining and consistency learning, no labels.

Features of two views say which images are similar: those at a cosine distance
below a threshold. Confidence follows from normal distributions of the distances
left and right of their mode, and is 0 where clusters of the features disagree.

    H = u u^T / bits for each view, S = +1 and -1 and W in 0..1 from features
    loss = sum over both H and both (S, W) of mean_ij W_ij (H_ij - S_ij)^2
           + eta NTXent(u, u'; tau)

When to use: no labels, photos that can be augmented, a good network: .669 on
MIRFLICKR, the best without labels there, where ITQ has .638 (mAP, 32 bits).
Cost: `adapt` once, features and k-means; all pairs of a batch, O(n^2 bits).
Other code: k-means for spectral clustering; S and W of a batch from features in
256 dimensions at most, no matrices of all images; spreads of 5,000 images. With
other networks than VGG-16 `quantile` suits better than `threshold`.
Reference: Luo et al., "CIMON: Towards High-quality Hash Codes", IJCAI 2021;
constants from the authors' code.
"""

import numpy as np
from keras import ops

from keras_hash.codes import check_int
from keras_hash.methods import _keywords
from keras_hash.methods import _losses
from keras_hash.methods import _semantics
from keras_hash.methods import _views
from keras_hash.methods.base import HashModel


def cimon(codes, similar=None, confidence=None, eta=0.3, temperature=0.5):
    """Similarities of pairs where they are known, and the contrastive loss.

    Args:
        eta: float, weight of the contrastive loss.
        temperature: float, of the contrastive loss.
    """
    codes = ops.cast(codes, "float32")
    loss = eta * _losses.nt_xent(codes, temperature)
    if similar is None:
        return loss
    for view in _losses.halves(codes):
        product = view @ ops.transpose(view) / codes.shape[-1]
        gap = confidence * ops.square(product - similar)
        loss = loss + ops.sum(ops.mean(gap, axis=2), axis=0)
    return loss


class CIMONLoss(_losses.UnlabelledLoss):
    """The loss of CIMON on codes in -1..1 of two views."""

    function = staticmethod(cimon)
    positive = ("temperature", "quantile")
    views, least = 2, 2


class CIMON(HashModel):
    """Similarity mining and consistency learning, without labels.

    Args:
        bank_size: int, the number of training images.
    """

    loss_class = CIMONLoss
    needs_bank = stores_pairs = True
    activation = "tanh"

    def add_head(self, clusters=70, threshold=0.1, quantile=None):
        """The hash layer, and how `adapt` finds similar images.

        Args:
            clusters: int, of the images.
            threshold: float, the largest cosine distance of similar images.
            quantile: float, share of all pairs that are similar, in its place.
        """
        check_int(clusters, "clusters", 2)
        if not 0 < threshold < 2 or (quantile is not None and quantile >= 1):
            raise ValueError(
                "`threshold` should be between 0 and 2, and `quantile` between "
                "0 and 1, or there are no pairs on one side. Received: "
                f"threshold={threshold}, quantile={quantile}"
            )
        super().add_head()

    def _make_bank(self, size):
        if size is None:
            return None
        width = self.backbone.output_shape[-1]
        return _semantics.PairStore(size, width, name="bank")

    def adapt(self, data, batch_size=256):
        """Finds which training images are similar, by features.

        Args:
            data: two views of each image, `[n, 2, h, w, 3]`, or of features,
                `[n, 2, d]`; or `keras_hash.data.batches(..., views=2)`.
            batch_size: int, views whose features are computed at once.

        Raises:
            ValueError: `bank_size` is not the number of images, no two views or
                no index, fewer images than clusters, or features that are not
                finite or all the same.
        """
        if self.bank is None:
            error = "CIMON needs the number of images. Received: bank_size=None"
            raise ValueError(error)
        features = _views.features_of(self, data, batch_size)
        self.bank.fill(
            features, **_keywords.fitting(self.add_head, self.settings)
        )

    def targets(self, labels, index):
        """Similarities that `adapt` found, by the index of its images."""
        return {} if index is None else self.bank.pairs(index)

    def fit(self, x=None, y=None, *args, **kwargs):
        if self.bank is None or not self.bank.filled():
            raise ValueError(
                "CIMON needs the training images first: call `adapt`."
            )
        if isinstance(x, list):
            x = np.asarray(x)
        if hasattr(x, "shape") and not isinstance(y, dict):
            labels = np.zeros(len(x), "int32") if y is None else y
            y = {"label": labels, "index": np.arange(len(x))}
        return super().fit(x, y, *args, **kwargs)
