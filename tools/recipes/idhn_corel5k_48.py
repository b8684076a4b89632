"""IDHN at 48 bits on Corel-5K: improved pairwise similarity.

Command: python tools/train_zoo.py idhn_corel5k_48
Time: 10 seconds on 2 cores of an AMD EPYC.
Score: mAP 0.472.
"""

import keras_hash
from recipes import _corel5k

RECIPE = _corel5k.on_imagenet(keras_hash.models.IDHN, bits=48)
