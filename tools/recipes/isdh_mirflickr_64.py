"""ISDH on MIRFLICKR: instance similarity.

The first 16, 32 and 48 of its 64 bits are codes too.

Command: python tools/train_zoo.py isdh_mirflickr_64
Time: 57 seconds on 2 cores of an Intel Xeon, with other work beside it.
Score: mAP 0.782 (0.774 at 16, 0.781 at 32, 0.782 at 48 bits).
"""

import keras_hash
from recipes import _photos

RECIPE = _photos.on_imagenet(keras_hash.models.ISDH, "mirflickr20k")
