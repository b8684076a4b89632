"""TALR on MIRFLICKR: rankings, relaxed over ties.

The first 16, 32 and 48 of its 64 bits are codes too.

Command: python tools/train_zoo.py talr_mirflickr_64
Time: 121 seconds on 2 cores of an Intel Xeon, with other work beside it.
Score: mAP 0.800 (0.785 at 16, 0.793 at 32, 0.798 at 48 bits).
"""

import keras_hash
from recipes import _photos

RECIPE = _photos.on_imagenet(keras_hash.models.TALR, "mirflickr20k")
