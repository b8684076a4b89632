"""GreedyHash at 32 bits on CIFAR-10, from the trunk of `dshc_cifar10_30`.

Command: python tools/train_zoo.py greedyhash_cifar10_32
Time: 2 minutes on 2 cores of an AMD EPYC, after that of the trunk.
Score: mAP 0.942.
"""

import keras_hash
from recipes import _cifar10

RECIPE = _cifar10.from_trunk(keras_hash.models.GreedyHash, bits=32)
