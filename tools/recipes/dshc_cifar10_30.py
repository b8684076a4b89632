"""DSHC at 30 bits on CIFAR-10, trained end to end from scratch.

Command: python tools/train_zoo.py dshc_cifar10_30

The fast plain 32x32 net (1.2 million weights) with the loss of Eq. 2. The
number of epochs is fixed beforehand: nothing is selected on the queries.
"""

import keras

import keras_hash

DATASET = "cifar10"
PROTOCOL = "official"
SEED = 1
POLICY = "mixed_bfloat16"
COMPACT = "int8"
BATCH_SIZE = 512
EPOCHS = 40
SETTINGS = {
    "optimizer": "SGD, Nesterov momentum 0.9, decoupled weight decay 0.06",
    "learning_rate": "linear to 0.05 over a fifth of the steps, then cosine",
    "label_smoothing": 0.1,
    "augmentation": "mirror images, shifts of 2 pixels",
}

augment = keras_hash.data.Augment(flip=True, shift=2)


def model(num_classes):
    return keras_hash.models.DSHC(
        bits=30,
        num_classes=num_classes,
        backbone="cifar",
        input_shape=(32, 32, 3),
        label_smoothing=0.1,
    )


def optimizer(steps):
    warmup = steps // 5
    # The targets of a row sum to (bits + 1) / H = 10.3, and so the rate is
    # that much smaller than for plain cross-entropy.
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.005,
        decay_steps=steps - warmup,
        warmup_target=0.05,
        warmup_steps=warmup,
    )
    chosen = keras.optimizers.SGD(
        rate, momentum=0.9, nesterov=True, weight_decay=0.06
    )
    chosen.exclude_from_weight_decay(var_names=["beta", "bias"])
    return chosen
