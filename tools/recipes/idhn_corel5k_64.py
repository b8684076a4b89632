"""IDHN on Corel-5K: improved similarity of pairs.

The first 16, 32 and 48 of its 64 bits are codes too.

Command: python tools/train_zoo.py idhn_corel5k_64
Time: 86 seconds on 2 cores of an Intel Xeon, with other work beside it.
Score: mAP 0.505 (0.493 at 16, 0.506 at 32, 0.510 at 48 bits).
"""

import keras_hash
from recipes import _photos

RECIPE = _photos.on_imagenet(keras_hash.models.IDHN, "corel5k")
