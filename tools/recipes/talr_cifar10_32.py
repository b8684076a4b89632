"""TALR at 32 bits on CIFAR-10, from the trunk of `dshc_cifar10_30`.

Command: python tools/train_zoo.py talr_cifar10_32
Time: 4 minutes on 2 cores of an AMD EPYC, after that of the trunk.
Score: mAP 0.945.
"""

import keras_hash
from recipes import _cifar10

RECIPE = _cifar10.from_trunk(keras_hash.models.TALR, bits=32)
