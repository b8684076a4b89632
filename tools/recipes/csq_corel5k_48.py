"""CSQ at 48 bits on Corel-5K: Hadamard centres.

Command: python tools/train_zoo.py csq_corel5k_48
Time: 8 seconds on 2 cores of an AMD EPYC.
Score: mAP 0.430.
"""

import keras_hash
from recipes import _corel5k

RECIPE = _corel5k.on_imagenet(keras_hash.models.CSQ, bits=48)
