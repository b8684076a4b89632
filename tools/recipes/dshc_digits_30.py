"""DSHC at 30 bits on scikit-learn's digits, for demos and tests.

Command: python tools/train_zoo.py dshc_digits_30
"""

import keras

import keras_hash

DATASET = "digits"
PROTOCOL = "official"
SEED = 1
POLICY = "float32"
COMPACT = "float16"
BATCH_SIZE = 64
EPOCHS = 60
SETTINGS = {
    "optimizer": "Adam",
    "learning_rate": "linear to 0.002 over a fifth of the steps, then cosine",
    "label_smoothing": 0.1,
    "augmentation": "shifts of 3 pixels",
}

augment = keras_hash.data.Augment(shift=3)


def model(num_classes):
    return keras_hash.models.DSHC(
        bits=30,
        num_classes=num_classes,
        backbone="small",
        input_shape=(32, 32, 3),
        label_smoothing=0.1,
    )


def optimizer(steps):
    warmup = steps // 5
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=1e-4,
        decay_steps=steps - warmup,
        warmup_target=2e-3,
        warmup_steps=warmup,
    )
    return keras.optimizers.Adam(rate)
