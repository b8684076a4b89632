"""DSRH on MIRFLICKR: semantic ranking.

The first 16, 32 and 48 of its 64 bits are codes too.

Command: python tools/train_zoo.py dsrh_mirflickr_64
Time: 399 seconds on 2 cores of an Intel Xeon, with other work beside it.
Score: mAP 0.781 (0.775 at 16, 0.784 at 32, 0.784 at 48 bits).
"""

import keras_hash
from recipes import _photos

RECIPE = _photos.on_imagenet(keras_hash.models.DSRH, "mirflickr20k", units=256)
