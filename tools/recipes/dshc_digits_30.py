"""DSHC at 30 bits on scikit-learn's digits, for demos and tests.

Command: python tools/train_zoo.py dshc_digits_30
Time: half a minute on 2 cores of an AMD EPYC.
Score: mAP 0.989.
"""

import keras

import keras_hash
from recipes import Recipe
from recipes import cosine

RECIPE = Recipe(
    model=lambda num_classes: keras_hash.models.DSHC(
        bits=30,
        num_classes=num_classes,
        backbone="small",
        input_shape=(32, 32, 3),
        mirrors=False,
        label_smoothing=0.1,
    ),
    optimizer=lambda steps: keras.optimizers.Adam(
        cosine(2e-3, steps, warmup=0.2, start=0.05)
    ),
    dataset="digits",
    epochs=60,
    batch_size=64,
    augment=keras_hash.data.Augment(shift=3),
    compact="float16",
    settings={
        "optimizer": "Adam",
        "learning_rate": "linear to 0.002 over a fifth of the steps, then "
        "cosine",
        "label_smoothing": 0.1,
        "augmentation": "shifts of 3 pixels",
    },
)
