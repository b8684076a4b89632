"""DHD: deep hash distillation.

Every class has a learned proxy. The codes of weakly changed images classify by
their cosines with the proxies; those of strongly changed ones only follow the
codes of the same images. A likelihood of each bit pulls codes to their signs.

    x = tanh(LayerNorm(W f)), y shares a mass of one among the labels
    loss = mean_i CE(cos(x_i, p) / temperature, y_i)
           + distillation mean_i (1 - cos(z_i, x_i))
           + quantization mean_ik [BCE(g+, w) + BCE(g-, 1 - w)]
    g+- = exp(-((x -+ 1) / 0.5)^2 / 2),  w = (sgn x + 1) / 2

x is the first view, weak, and without gradient in the second term; z is the
second view, strong: `data.batches(..., views=2, augment=(weak, strong))`.

When to use: classes are known and there are few images: strong augmentation
helps without blurring the classes.
Cost: the network runs twice; O(n classes bits) a step.
Other code: a bit of exactly 0 counts as the sign +1; the authors' has w = 0.5
there. Layer normalisation looks at all bits, so that some of them are no code.
Reference: Jang et al., "Deep Hash Distillation for Image Retrieval", ECCV 2022.
"""

from keras import layers
from keras import ops

from keras_hash import heads
from keras_hash.codes import sign
from keras_hash.methods import _losses
from keras_hash.methods.base import HashModel


def dhd(labels, outputs, temperature=0.2, distillation=0.1, quantization=0.1):
    """Classification of weak views, which strong ones follow.

    Args:
        temperature: float, that of the softmax of cosines.
        distillation: float, weight of the cosine between both views.
        quantization: float, weight of the likelihood of the signs.
    """
    weak, strong = _losses.halves(ops.cast(outputs["code"], "float32"))
    logits = ops.cast(outputs["logits"], "float32")[: ops.shape(weak)[0]]
    classified = _losses.cross_entropy(labels, logits / temperature)
    apart = 1 - heads.cosine(strong, ops.stop_gradient(weak))
    pull = ops.mean(of_signs(weak), axis=1)
    return classified + distillation * apart + quantization * pull


def of_signs(codes):
    """The cross-entropy of both Gaussians with the sign of each bit."""
    right = codes * sign(codes)
    return 2 * (right - 1) ** 2 - ops.log(1 - ops.exp(-2 * (right + 1) ** 2))


class DHDLoss(_losses.CodeLoss):
    """The loss of DHD on `{"code", "logits"}`: codes of two views of each
    image, and cosines with the proxies of the first ones, or of both."""

    function = staticmethod(dhd)
    positive = ("temperature",)
    shown = ("logits",)
    views = 2

    def prepare(self, num_classes):
        """Takes the number of classes, which is that of the logits.

        Args:
            num_classes: int, number of classes or labels.
        """
        return {}

    def check(self, labels, outputs):
        super().check(labels, outputs)
        width = self.settings["num_classes"]
        shape = tuple(getattr(outputs.get("logits"), "shape", ()))
        if len(shape) != 2 or shape[1] != width:
            raise ValueError(
                f"{self.name} takes logits [n, {width}]. "
                f"Received: logits.shape={shape}"
            )


class NormalisedProxies(heads.Proxies):
    """Proxies of `tanh` codes that are normalised before."""

    def __init__(self, bits, num_classes):
        super().__init__(bits, num_classes)
        self.hash = heads.dense(bits, use_bias=False)
        self.norm = layers.LayerNormalization(dtype="float32", name="norm")

    def build(self, input_shape):
        super().build(input_shape)
        self.norm.build((None, self.size[1]))

    def call(self, features):
        code = ops.tanh(self.norm(self.hash(features)))
        return {"code": code, "logits": self.classify(code)}


class DHD(HashModel):
    """Deep hash distillation, with one or several labels an image."""

    loss_class = DHDLoss
    nests = False

    def add_head(self):
        self.head = NormalisedProxies(self.bits, self.num_classes)

    def default_augment(self):
        from keras_hash import data

        return data.Augment(flip=self.mirrors), super().default_augment()
