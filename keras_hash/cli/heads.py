"""What `keras-hash train` learns on a trained backbone: a head on features."""

import keras
import numpy as np

from keras_hash import callbacks
from keras_hash import codes
from keras_hash import data
from keras_hash import evaluation
from keras_hash.data import images

# Share of the training images that chooses the epoch, and how many epochs may
# pass without a better one.
_HELD, _PATIENCE = 0.1, 8


def features(model, benchmark):
    """Features of all images, a row for each image of the pool."""
    used = np.unique(np.concatenate([*benchmark.parts.values()]).astype(int))
    pool = benchmark.images
    lazy = not isinstance(pool, np.ndarray)
    found = model.features(pool.dataset(used) if lazy else pool[used])
    whole = np.zeros((len(pool), found.shape[1]), "float32")
    whole[used] = found
    return whole


def fit(chosen, model, benchmark, features):
    """Trains what follows a trained backbone, on features that are there.

    It takes seconds: a command that was stopped does it once more.
    """
    # A bank of pairs is one of all training images, by which it is adapted; and
    # what is solved has no epochs to choose from.
    held = benchmark
    if model.trained and not model.stores_pairs:
        held = benchmark.hold_out(_HELD, chosen.seed)
    train, other = (
        (features[held.parts[part]], held.targets[held.parts[part]])
        for part in ("train", "validation")
    )
    head = model.head_model()
    if not model.trained:
        head.adapt(*train)
        return model.take_head(head)
    watched = []
    if len(other[0]):
        watched = [
            callbacks.RetrievalMetrics(other, train, metrics="map"),
            keras.callbacks.EarlyStopping(
                "val_map",
                mode="max",
                patience=_PATIENCE,
                restore_best_weights=True,
            ),
        ]
    views = model.loss_class.views
    shown = train[0]
    if views > 1:
        batches = data.batches(
            held.train,
            chosen.batch_size,
            image_size=model.image_shape[:2],
            augment=model.default_augment(),
            views=views,
            seed=chosen.seed,
        )
        shown = data.feature_views(model.backbone, batches)
    size = min(chosen.batch_size, len(shown))
    sampler = data.EpochSampler(len(shown), size, chosen.seed)
    given = {"views": views} if views > 1 else {}
    batches = data.SampledBatches(shown, train[1], sampler, **given)
    if model.stores_pairs:
        head.adapt(shown)
    head.compile(keras.optimizers.Adam(chosen.learning_rate))
    history = head.fit(
        batches, epochs=chosen.epochs, callbacks=watched, verbose=0
    ).history
    if watched:
        best = max(
            range(len(history["val_map"])), key=history["val_map"].__getitem__
        )
        print(
            f"head: epoch {best + 1} of {len(history['val_map'])} is the best "
            f"on {len(other[0])} held-out images, mAP "
            f"{history['val_map'][best]:.4f}"
        )
    model.take_head(head)


def before(encoder, benchmark, features=None):
    """What the encoder that the backbone is from scores: reports by code
    length, and its codes; of features where they are of its image size."""
    parts = ("query", "database")
    places = [benchmark.parts[part] for part in parts]
    if features is None:
        pools = [images.some(benchmark.images, rows) for rows in places]
        made = [encoder.encode(pool) for pool in pools]
    else:
        head = encoder.head_model()
        made = [head.encode(features[rows], verbose=False) for rows in places]
    reports = {}
    for bits in encoder.lengths:
        sides = []
        for some, rows in zip(made, places):
            sides += [codes.shorten(some, bits), benchmark.targets[rows]]
        reports[bits] = evaluation.evaluate(
            *sides, bits=bits, similarity=encoder.similarity
        )
    return reports, dict(zip(parts, made))
