"""`RetrievalMetrics`: how well the model retrieves, epoch by epoch."""

import hashlib
import os
import warnings

import keras
import numpy as np

from keras_hash import codes as codes_lib
from keras_hash import files
from keras_hash import similarity
from keras_hash.data import images as images_lib
from keras_hash.data.source import Source
from keras_hash.evaluation import HammingEvaluator
from keras_hash.evaluation import statistic
from keras_hash.evaluation.metrics import choose
from keras_hash.evaluation.metrics import describe
from keras_hash.evaluation.metrics import is_wanted
from keras_hash.evaluation.values import check_cuts


class RetrievalMetrics(keras.callbacks.Callback):
    """Measures retrieval while a `HashModel` trains.

    The images are encoded with the model as it is, and `keras_hash.evaluate`'s
    metrics go into Keras' logs as `val_map`, `val_ndcg@100` and so on: the
    progress bar, `History`, `ModelCheckpoint(monitor="val_map", mode="max")`
    and `EarlyStopping` see them. Callbacks that monitor them stand behind this
    one in the list: before it, Keras warns that the metric is not available.

    It measures after the first epoch, after every `every`-th and after the
    last one that was asked for. The epochs between repeat the last values:
    without them, Keras' monitors would warn, `History` would have gaps and
    `ModelCheckpoint("{val_map:.3f}.keras")` would stop. A repeated value is no
    improvement, so the best epoch is always a measured one. Monitors count
    epochs: their `patience` should be at least `every`, and `start_from_epoch`
    a multiple of it less 1. A warning says so where training was stopped before
    a second measurement.

    Cost: a forward pass over all queries and database items and one
    evaluation each time; `subset` and `every` make it cheaper. Memory: the
    packed codes and the labels, and a batch of images. With `log_dir`, up to
    1,000 database items are held as thumbnails and real codes as well, and
    writing takes about 0.4 s of one core, hardly more for larger sets. A
    batched `tf.data.Dataset`, or one of unknown size, is read once more before
    training to count it, where `subset` or `log_dir` needs the number.

    Args:
        query: a pair of arrays `(images, labels)`, or a `tf.data.Dataset` of
            `(image, label)`, batched or not; labels as for
            `keras_hash.evaluate`, or dicts with `label`.
        database: what is searched, given in the same way.
        log_dir: str or path of a folder for TensorBoard; `None` writes nothing
            and does not need TensorFlow. All metrics of the report, precision
            and recall by Hamming radius, histograms, pictures of the bits and
            of the nearest images, the settings as a card and for HParams, and
            up to 1,000 database codes for the Projector, those of the last
            measurement: see docs/tensorboard.md.
        every: int, epochs from one measurement to the next.
        k: int or sequence of ints, cut-offs.
        metrics: names of the metrics that go into the logs, such as
            `("map", "ndcg@1000")`; their cut-offs are added to `k`, and a name
            such as `"ndcg"` stands for all of `k`. Without `log_dir` no others
            are computed. `None`: `map`, and `precision` and `ndcg` at each of
            `k`; `report` then has all.
        subset: int, at most how many queries and how many database items are
            used; all if `None`. Chance level and metrics are those of the
            smaller set.
        batch_size: int, images that are encoded at once.
        seed: int, which items `subset` takes, and which are drawn.
        images: optional pair `(query_images, database_images)` of
            `uint8 [n, h, w, 3]`: what to draw where the model takes features.
        hparams: optional dict from names to numbers, bools or strings: what
            HParams and the card show beside method, bits, backbone, optimizer
            and learning rate, such as `{"augment": "flip", "margin": 0.5}`.
        class_names: optional list of str, the names of the classes for the
            Projector and the card. Defaults to the `class_names` of a database
            that Keras made of a folder.
        **options: `ties`, `denominator`, `no_relevant`, `empty`, `ideal_zero`
            and `self_match`, as for `HammingEvaluator.result`, which have
            `keras_hash.evaluate`'s defaults.

    Attributes:
        report: the `RetrievalReport` of the last measurement.

    Raises:
        ValueError: no images, labels that do not fit, or an argument out of
            range; when training begins, a model without `encode` or an unknown
            metric.
        ImportError: `log_dir` without TensorFlow or TensorBoard.

    Example:

    >>> metrics = keras_hash.callbacks.RetrievalMetrics(
    ...     bench.validation, bench.train, log_dir="runs/isdh"
    ... )
    >>> best = keras.callbacks.ModelCheckpoint(
    ...     "best.keras", monitor="val_map", mode="max", save_best_only=True
    ... )
    >>> model.fit(train, epochs=20, callbacks=[metrics, best])
    """

    def __init__(
        self,
        query,
        database,
        log_dir=None,
        every=1,
        k=(100,),
        metrics=None,
        subset=None,
        batch_size=256,
        seed=0,
        images=None,
        hparams=None,
        class_names=None,
        **options,
    ):
        super().__init__()
        if log_dir is not None:
            _check_tensorboard()
        codes_lib.check_int(seed, "seed", 0, 2**32 - 1)
        numbers = {"every": every, "batch_size": batch_size, "subset": subset}
        for name, value in numbers.items():
            if value is not None or name != "subset":
                codes_lib.check_int(value, name)
        if images is None:
            images = (None, None)
        if not isinstance(images, (tuple, list)) or len(images) != 2:
            raise ValueError(
                "`images` should be a pair (query_images, database_images). "
                f"Received: images of type {type(images).__name__}"
            )
        _check_hparams(hparams)
        cuts = check_cuts(k)
        # TensorBoard shows all.
        self._alone = metrics is not None and log_dir is None
        if metrics is None:
            at = [f"{name}@{cut}" for cut in cuts for name in _AT_CUTS]
            metrics = ["map", *at]
        several = hasattr(metrics, "__iter__") and not isinstance(metrics, str)
        self.metrics = list(metrics) if several else [metrics]
        choose(self.metrics)
        for name in self.metrics:
            cut = describe(name).cut
            if cut is not None:
                cuts.append(cut)
        self.k = tuple(dict.fromkeys(cuts))
        pairs = [p for p in (query, database) if isinstance(p, (tuple, list))]
        labels = [pair[1] for pair in pairs if len(pair) == 2]
        similarity.check_columns(*map(similarity.columns, labels))
        self.query = Source(query, "query", images[0])
        self.database = Source(database, "database", images[1])
        self.log_dir = log_dir
        self.every = every
        self.subset = subset
        self.batch_size = batch_size
        self.seed = seed
        self.hparams = dict(hparams or {})
        if class_names is None:
            class_names = getattr(database, "class_names", None)
        if class_names is not None:
            class_names = [files.shown(str(name)) for name in class_names]
        self.class_names = class_names
        self.options = options
        self.report = None
        self._values = {}
        self._epochs = self._measurements = 0
        self._board = None

    def on_train_begin(self, logs=None):
        self._values = {}
        self._epochs = self._measurements = 0
        if not hasattr(self.model, "real_codes"):
            raise ValueError(
                "`RetrievalMetrics` measures models of `keras_hash.models`, "
                "which have `encode`. "
                f"Received: a model of type {type(self.model).__name__}"
            )
        classes = self.model.num_classes
        if self.class_names and classes not in (None, len(self.class_names)):
            raise ValueError(
                f"`class_names` should name the {classes} classes of the "
                f"model. Received: {len(self.class_names)} names"
            )
        self._rank = len(self.model.image_shape)
        for source in (self.query, self.database):
            source.choose(self.subset, self.seed, self._rank)
        self._check_metrics()
        if self.options.get("self_match") == "drop":
            self._check_within()
        if self.log_dir is not None:
            from keras_hash.callbacks.board import Board

            self._board = Board(
                self.log_dir,
                self.model,
                self.database.sample(Board.items, self.seed, self._rank),
                self.metrics,
                self.hparams,
                self.class_names,
            )

    def _check_metrics(self):
        """Refuses what cannot be measured, before an epoch is spent."""
        width = codes_lib.num_bytes(self.model.bits)
        shape = self.model.image_shape
        query, database = self.query.peek(shape), self.database.peek(shape)
        statistic.check_labels(query, len(query), "query")
        evaluator = self._evaluator(np.zeros((1, width), "uint8"), query[:1])
        # The query too, for `self_match="drop"`.
        evaluator.update(np.zeros((1, width), "uint8"), query[:1])
        evaluator.update(np.zeros((len(database), width), "uint8"), database)
        found = self._result(evaluator).metrics
        wanted = {}
        for name in self.metrics:
            # A family stands for its values at all of `k`.
            keys = [key for key in found if is_wanted(key, {name})]
            if not keys:
                raise ValueError(
                    f"`metrics` should be among {sorted(found)}. "
                    f"Received: {name}"
                )
            wanted |= dict.fromkeys(keys)
        self.metrics = list(wanted)

    def _check_within(self):
        """Refuses queries that are not in the database, before an epoch."""
        known = set(self._digests(self.database))
        for place, digest in enumerate(self._digests(self.query)):
            if digest not in known:
                raise ValueError(
                    "`self_match='drop'` needs every query in `database`, with "
                    "the same labels. Received: queries of which some are not "
                    f"in it, such as query {place}"
                )

    def _digests(self, source):
        """What tells each image with its labels from others."""
        for _, images, labels, _ in source.batches(self.batch_size, self._rank):
            for image, label in zip(images, labels, strict=True):
                if isinstance(image, (str, os.PathLike)):
                    image = images_lib.decode(image)
                image = np.asarray(image, "float32")
                label = np.flatnonzero(label) if np.ndim(label) else int(label)
                key = repr((image.shape, np.ravel(label).tolist())).encode()
                yield hashlib.sha256(key + image.tobytes()).digest()

    def _evaluator(self, codes, labels):
        return HammingEvaluator(
            codes, labels, self.model.bits, self.model.similarity
        )

    def _result(self, evaluator):
        """The report: of the metrics that were asked for, or of all."""
        wanted = self.metrics if self._alone else None
        options = {"seed": self.seed, **self.options}
        return evaluator.result(k=self.k, metrics=wanted, **options)

    def on_epoch_end(self, epoch, logs=None):
        last = epoch + 1 == (self.params or {}).get("epochs")
        due = not self._values or (epoch + 1) % self.every == 0 or last
        self._epochs += 1
        if due:
            self._measurements += 1
            self._measure(epoch)
        if logs is not None:
            logs.update(self._values)

    def _measure(self, epoch):
        board = self._board
        queries = self._encode(self.query, board and board.add_queries)
        evaluator = self._evaluator(*queries)
        evaluator.update(
            *self._encode(self.database, board and board.add_database)
        )
        self.report = self._result(evaluator)
        self._values = {
            f"val_{name}": self.report.metrics[name] for name in self.metrics
        }
        if board:
            board.write(epoch, self.report, evaluator)

    def _encode(self, source, watch):
        """Codes and labels of a source; `watch` sees every batch."""
        codes, labels = [], []
        for positions, images, label, pictures in source.batches(
            self.batch_size, self._rank
        ):
            if watch:
                real = self.model.real_codes(images, self.batch_size, False)
                codes.append(codes_lib.pack(real))
                watch(positions, real, codes[-1], label, pictures)
            else:
                codes.append(self.model.encode(images, self.batch_size, False))
            labels.append(label)
        return np.concatenate(codes), np.concatenate(labels)

    def on_train_end(self, logs=None):
        if self.model.stop_training and self._epochs > self._measurements == 1:
            warnings.warn(
                "Training was stopped before there was a second measurement: "
                "the epochs between two of them repeat the last values. The "
                "`patience` of callbacks that monitor these should be at "
                f"least `every`, {self.every}. "
                f"Received: a stop after {self._epochs} epochs",
                stacklevel=2,
            )
        if self._board:
            self._board.close()
            self._board = None


def _check_tensorboard():
    """Refuses `log_dir` where nothing could be written, before an epoch."""
    try:
        import tensorboard  # noqa: F401
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "`log_dir` needs TensorFlow and TensorBoard to write event files: "
            "`pip install tensorflow tensorboard`, or leave `log_dir` out; the "
            f"metrics are logged all the same. Received: {error}"
        ) from error


def _check_hparams(hparams):
    kinds = (bool, int, float, str, np.number, np.bool_)
    if not isinstance(hparams or {}, dict):
        raise ValueError(
            "`hparams` should be a dict. "
            f"Received: hparams of type {type(hparams).__name__}"
        )
    for name, value in (hparams or {}).items():
        if not isinstance(name, str) or not isinstance(value, kinds):
            raise ValueError(
                "`hparams` should be a dict from names to numbers, bools or "
                f"strings. Received: {name!r}: {value!r}"
            )


# What is logged at each cut-off by default.
_AT_CUTS = ("precision", "ndcg")
