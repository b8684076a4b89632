"""Settings, images, labels and models that are refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_hash.callbacks import RetrievalMetrics
from tests.callbacks.training import as_dataset
from tests.callbacks.training import make

IMAGES, LABELS = np.zeros((4, 32, 32, 3), "uint8"), np.arange(4) % 3


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"query": (IMAGES[:0], LABELS[:0])}, "`query` has no images"),
        (
            {"database": (IMAGES, LABELS[:3])},
            r"`database_labels` should be ints \[4\]",
        ),
        ({"database": (IMAGES, 3)}, r"`database_labels` should be ints \[4\]"),
        ({"query": IMAGES}, "should be a pair of arrays"),
        ({"every": 0}, "`every` should be"),
        ({"hparams": {"sizes": [1, 2]}}, "dict from names to numbers"),
        ({"class_names": ["cat", "dog"]}, "the 3 classes of the model"),
        ({"subset": 0.5}, "`subset` should be"),
        ({"batch_size": None}, "`batch_size` should be"),
        ({"images": IMAGES}, r"should be a pair \(query_images"),
        ({"images": (IMAGES[:3], IMAGES)}, "a picture for each of the 4"),
        (
            {"query": tf.data.Dataset.from_tensor_slices(IMAGES)},
            "should yield",
        ),
        (
            {"query": as_dataset((IMAGES, {"class": LABELS}))},
            "dicts with 'label'",
        ),
        ({"query": as_dataset((IMAGES, LABELS)).repeat()}, "never ends"),
        ({"query": as_dataset((IMAGES, LABELS)).take(0)}, "has no images"),
        # When training begins.
        ({"metrics": ["map", "mapp"]}, r"Received: metrics=\['map', 'mapp'\]"),
        ({"metrics": "jaccard_ndcg"}, "Received: jaccard_ndcg"),
        ({"metrics": 5}, "Received: metrics=.5"),
        ({"seed": -1}, "`seed` should be an int"),
        ({"hparams": [1]}, "`hparams` should be a dict"),
        ({"k": 0}, "`k` should be"),
        ({"ties": "none"}, "`ties` should be one of"),
        (
            {"query": (IMAGES + np.uint8(1), LABELS), "self_match": "drop"},
            "not in it, such as query 0",
        ),
        ({"query": (IMAGES, np.eye(4))}, "labels"),
        ({"query": (IMAGES, LABELS + 0.5)}, "`query_labels` of rank 1"),
        ({"database": (IMAGES, LABELS - 0.5)}, "`database_labels` of rank 1"),
        ({"query": as_dataset((IMAGES, np.eye(4)), 2)}, "labels"),
        ({"query": as_dataset((IMAGES[..., 0], LABELS))}, "images, of rank 3"),
        (
            {
                "query": as_dataset((IMAGES, LABELS)).filter(
                    lambda image, label: False
                )
            },
            "has no images",
        ),
        (
            {
                "database": as_dataset((IMAGES, LABELS)).filter(
                    lambda image, label: False
                ),
                "subset": 2,
            },
            "has no images",
        ),
    ],
)
def test_errors(changes, message):
    settings = {"query": (IMAGES, LABELS), "database": (IMAGES, LABELS)}
    with pytest.raises(ValueError, match=message):
        metrics = RetrievalMetrics(**{**settings, **changes})
        metrics.set_model(make())
        metrics.on_train_begin()


def test_queries_that_are_files_are_looked_for_in_the_database(tmp_path):
    paths = [str(tmp_path / f"{place}.png") for place in range(4)]
    for place, path in enumerate(paths):
        Image.fromarray(IMAGES[place] + np.uint8(place)).save(path)
    metrics = RetrievalMetrics(
        (paths[:2], LABELS[:2]), (paths, LABELS), self_match="drop"
    )
    metrics.set_model(make())
    metrics.on_train_begin()


def test_other_models_are_refused():
    metrics = RetrievalMetrics((IMAGES, LABELS), (IMAGES, LABELS))
    metrics.set_model(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="of type Sequential"):
        metrics.on_train_begin()
