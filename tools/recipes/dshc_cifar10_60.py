"""DSHC at 60 bits on CIFAR-10, from the trunk of `dshc_cifar10_30`, whose
threshold of the runner-up it takes.

Command: python tools/train_zoo.py dshc_cifar10_60
Time: 2 minutes on 2 cores of an AMD EPYC, after that of the trunk.
Score: mAP 0.950.
"""

import keras_hash
from recipes import _cifar10

RECIPE = _cifar10.from_trunk(
    keras_hash.models.DSHC, bits=60, label_smoothing=0.1, runner_up=0.1
)
