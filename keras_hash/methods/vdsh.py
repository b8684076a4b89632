"""VDSH: very deep supervised hashing.

A network of fully connected layers on feature vectors, and a linear regression
of the labels on its codes.

    u = tanh of depth hidden layers, ReLU, and one more
    loss = mean_i ||y_i - u_i V - c||^2 + ridge ||V||^2
    code = sgn(u - median of u over the training images)

When to use: as a published baseline: on frozen features of MIRFLICKR it had a
mAP of .638 at 32 bits, which ITQ has without labels.
Cost: the hidden layers; O(n classes bits) a step beyond them, no pairs.
Other code: this is a reconstruction: the paper's text and code were not found.
Its abstract and the surveys have fully connected layers, up to 64 of 1,024, a
least-squares regression of the labels, and training layer by layer with local
copies of outputs and weights, which takes the place of back-propagation; here
the same model is trained by back-propagation. Activation, bounds and weights
are this library's choice. So is the threshold, which `fit` sets after each
epoch: the regression does not centre the codes, and signs of u alone retrieve
far worse. Each epoch so reads the training images twice; a dataset that draws
another order each time it is read, and not by epoch as
`keras_hash.data.batches`, then skips one.
Reference: Zhang, Chen and Saligrama, "Efficient Training of Very Deep Neural
Networks for Supervised Hashing", CVPR 2016.
"""

import numpy as np
from keras import layers
from keras import ops
from keras import regularizers

from keras_hash import heads
from keras_hash import similarity
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def vdsh(labels, outputs):
    """Squared errors of the labels, a sum over classes."""
    found = ops.cast(outputs["logits"], "float32")
    hot = similarity.multi_hot(labels, found.shape[-1])
    return ops.sum(ops.square(hot - found), axis=1)


class VDSHLoss(_losses.CodeLoss):
    """The loss of VDSH on `{"code", "logits"}`, without the ridge, which the
    model adds."""

    function = staticmethod(vdsh)
    shown = ("logits",)


class Regressed(heads.Head):
    """Hidden layers, codes less an `offset`, and a regression on codes."""

    def __init__(self, bits, num_classes, depth, width, ridge):
        super().__init__()
        self.chain = [
            layers.Dense(
                width,
                "relu",
                kernel_initializer="he_normal",
                dtype="float32",
                name=f"hidden_{place}",
            )
            for place in range(depth)
        ]
        self.hash = heads.dense(bits, "tanh")
        self.classifier = heads.dense(num_classes, name="classifier")
        self.classifier.kernel_regularizer = regularizers.L2(ridge)

    def build(self, input_shape):
        self._build_chain(
            input_shape, [*self.chain, self.hash, self.classifier]
        )
        heads.constant(self, "offset", (self.hash.units,))

    def call(self, features):
        for layer in self.chain:
            features = layer(features)
        code = self.hash(features)
        return {"code": code - self.offset, "logits": self.classifier(code)}

    def classify(self, code):
        """The regression of codes, or of their first bits."""
        bits = code.shape[-1]
        offset, kernel, bias = (
            ops.cast(value, "float32")
            for value in (
                self.offset,
                self.classifier.kernel,
                self.classifier.bias,
            )
        )
        return (code + offset[:bits]) @ kernel[:bits] + bias


class VDSH(HashModel):
    """Very deep supervised hashing, with one or several labels an image."""

    loss_class = VDSHLoss
    augmentation = ()

    def add_head(self, depth=2, width=1024, ridge=1e-3):
        """Hidden layers, hash layer and regression.

        Args:
            depth: int, number of hidden layers; 1 to 4 train well.
            width: int, units of each of them.
            ridge: float, weight of the squared weights of the regression.
        """
        self.head = Regressed(self.bits, self.num_classes, depth, width, ridge)

    def after_epoch(self, batches):
        """Sets the offset, the median of each bit over the training images."""
        codes = [self.codes_of_batch(images) for images, _ in batches]
        median = np.median(np.concatenate(codes), axis=0)
        offset = ops.convert_to_numpy(self.head.offset)
        self.head.offset.assign(offset + median)
