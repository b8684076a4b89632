"""ITQ at 64 bits for any photos, without labels.

Features of MobileNetV2, trained on ImageNet, cut after block 14: half the size
of the whole network, and for ITQ better than what that gives (in mAP on
held-out photos 0.003 below the best cut, `block_16_expand_relu`). The principal
directions and the rotation come from the 4,500 training photos of Corel-5K. Its
labels only serve to measure.

Command: python tools/train_zoo.py itq_mobilenetv2_64
Time: 14 seconds on 2 cores of an AMD EPYC.
Score: mAP 0.369.
"""

from recipes import _general

RECIPE = _general.itq(
    bits=64,
    backbone="mobilenet_v2/block_14_add",
    trunk="mobilenet_v2_imagenet_notop.weights.h5",
    side=160,
)
