"""CSQ on Corel-5K: centres, from a book for each part of the code.

The first 16, 32 and 48 of its 64 bits are codes too.

Command: python tools/train_zoo.py csq_corel5k_64
Time: 67 seconds on 2 cores of an Intel Xeon, with other work beside it.
Score: mAP 0.462 (0.357 at 16, 0.417 at 32, 0.443 at 48 bits).
"""

import keras_hash
from recipes import _photos

RECIPE = _photos.on_imagenet(keras_hash.models.CSQ, "corel5k")
