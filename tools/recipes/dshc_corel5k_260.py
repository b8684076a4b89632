"""DSHC with one bit a label on Corel-5K.

Command: python tools/train_zoo.py dshc_corel5k_260
Time: 15 seconds on 2 cores of an AMD EPYC.
Score: mAP 0.468.
"""

import keras_hash
from recipes import _photos

RECIPE = _photos.on_imagenet(
    keras_hash.models.DSHCMultiLabel, "corel5k", 260, nested=None, hidden=256
)
