"""DSRH on Corel-5K: semantic ranking.

The first 16, 32 and 48 of its 64 bits are codes too.

Command: python tools/train_zoo.py dsrh_corel5k_64
Time: 491 seconds on 2 cores of an Intel Xeon, with other work beside it.
Score: mAP 0.623 (0.560 at 16, 0.599 at 32, 0.616 at 48 bits).
"""

import keras_hash
from recipes import _photos

RECIPE = _photos.on_imagenet(keras_hash.models.DSRH, "corel5k", units=256)
