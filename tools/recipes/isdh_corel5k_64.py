"""ISDH on Corel-5K: instance similarity.

The first 16, 32 and 48 of its 64 bits are codes too.

Command: python tools/train_zoo.py isdh_corel5k_64
Time: 72 seconds on 2 cores of an Intel Xeon, with other work beside it.
Score: mAP 0.552 (0.523 at 16, 0.544 at 32, 0.548 at 48 bits).
"""

import keras_hash
from recipes import _photos

RECIPE = _photos.on_imagenet(keras_hash.models.ISDH, "corel5k")
