"""DMSSPH on MIRFLICKR: multilevel similarity of pairs, reconstructed.

The first 16, 32 and 48 of its 64 bits are codes too.

Command: python tools/train_zoo.py dmssph_mirflickr_64
Time: 28 seconds on 2 cores of an Intel Xeon, with other work beside it.
Score: mAP 0.798 (0.774 at 16, 0.789 at 32, 0.795 at 48 bits).
"""

import keras_hash
from recipes import _photos

RECIPE = _photos.on_imagenet(keras_hash.models.DMSSPH, "mirflickr20k")
