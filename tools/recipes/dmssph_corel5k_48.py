"""DMSSPH at 48 bits on Corel-5K: multilevel pairwise similarity, reconstructed.

Command: python tools/train_zoo.py dmssph_corel5k_48
Time: 9 seconds on 2 cores of an AMD EPYC.
Score: mAP 0.463.
"""

import keras_hash
from recipes import _corel5k

# The first form of the reconstruction.
RECIPE = _corel5k.on_imagenet(
    keras_hash.models.DMSSPH,
    bits=48,
    quantization=0.01,
    bounded=False,
    power=1,
    emphasis=0.0,
)
