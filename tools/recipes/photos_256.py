"""ITQ at 256 bits for any photos, without labels; the first 64 and 128 bits are
codes too.

Features of EfficientNet-Lite0, trained on ImageNet, behind its last depthwise
layer, at 224 pixels. The principal directions and the rotations come from the
9,500 training photos of Corel-5K and MIRFLICKR together; no label was looked
at. The labels of Corel-5K only serve to measure.

Weights: python tools/efficientnet_lite.py efficientnet_lite0 \\
             runs/weights/efficientnet_lite0.weights.h5
Command: python tools/train_zoo.py photos_256
Time: 199 seconds on 2 cores of an Intel Xeon.
Score: mAP 0.426 (0.411 at 64 bits, 0.423 at 128).
"""

from recipes import _general

RECIPE = _general.itq(
    bits=256,
    backbone="efficientnet_lite0/block15_depthwise_relu",
    trunk="efficientnet_lite0.weights.h5",
    side=224,
    photos=("corel5k", "mirflickr20k"),
    nested=(64, 128),
)
