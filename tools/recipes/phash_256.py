"""The perceptual hash at 256 bits, for copies of photos: nothing is trained.

It was measured on Corel-5K, whose labels it does not know: what it is for is
told by `false_pairs` on its card.

Command: python tools/train_zoo.py phash_256
Time: no training.
Score: mAP 0.208.
"""

from recipes import _phash

RECIPE = _phash.phash(bits=256)
