"""HashNet on MIRFLICKR: weighted pairs.

The first 16, 32 and 48 of its 64 bits are codes too.

Command: python tools/train_zoo.py hashnet_mirflickr_64
Time: 43 seconds on 2 cores of an Intel Xeon, with other work beside it.
Score: mAP 0.788 (0.775 at 16, 0.782 at 32, 0.787 at 48 bits).
"""

import keras_hash
from recipes import _photos

RECIPE = _photos.on_imagenet(keras_hash.models.HashNet, "mirflickr20k")
