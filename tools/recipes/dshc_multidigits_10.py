"""DSHC with one bit a label on multidigits, for demos and tests.

Command: python tools/train_zoo.py dshc_multidigits_10
Time: 41 seconds on 2 cores of an AMD EPYC.
Score: mAP 0.956.
"""

import keras

import keras_hash
from recipes import Recipe
from recipes import cosine

RECIPE = Recipe(
    model=lambda num_classes: keras_hash.models.DSHCMultiLabel(
        num_classes=num_classes,
        backbone="small",
        input_shape=(32, 32, 3),
        mirrors=False,
    ),
    optimizer=lambda steps: keras.optimizers.Adam(
        cosine(2e-3, steps, warmup=0.1)
    ),
    dataset="multidigits",
    epochs=40,
    augment=keras_hash.data.Augment(shift=2),
    compact="float16",
    settings={
        "optimizer": "Adam",
        "learning_rate": "linear to 0.002 over a tenth of the steps, then "
        "cosine",
        "augmentation": "shifts of 2 pixels",
    },
)
