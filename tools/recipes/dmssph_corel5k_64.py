"""DMSSPH on Corel-5K: multilevel similarity of pairs, reconstructed.

The first 16, 32 and 48 of its 64 bits are codes too.

Command: python tools/train_zoo.py dmssph_corel5k_64
Time: 69 seconds on 2 cores of an Intel Xeon, with other work beside it.
Score: mAP 0.572 (0.509 at 16, 0.549 at 32, 0.564 at 48 bits).
"""

import keras_hash
from recipes import _photos

RECIPE = _photos.on_imagenet(keras_hash.models.DMSSPH, "corel5k")
