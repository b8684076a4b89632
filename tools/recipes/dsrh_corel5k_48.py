"""DSRH at 48 bits on Corel-5K: semantic ranking.

Command: python tools/train_zoo.py dsrh_corel5k_48
Time: 35 seconds on 2 cores of an AMD EPYC.
Score: mAP 0.603.
"""

import keras_hash
from recipes import _corel5k

RECIPE = _corel5k.on_imagenet(keras_hash.models.DSRH, bits=48, units=256)
