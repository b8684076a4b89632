"""HashNet on CIFAR-10, nested at 16, 32, 48 and 64 bits, from the trunk of
`dshc_cifar10_30`.

Command: python tools/train_zoo.py hashnet_cifar10_64
Time: 8 minutes on 2 cores of an Intel Xeon, after that of the trunk.
Score: mAP 0.950 (0.944 at 16, 0.947 at 32, 0.949 at 48 bits).
"""

import keras_hash
from recipes import _cifar10

RECIPE = _cifar10.from_trunk(
    keras_hash.models.HashNet, bits=64, nested=(16, 32, 48)
)
