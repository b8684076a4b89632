"""What `RetrievalMetrics` writes for TensorBoard."""

import os

import numpy as np

from keras_hash import codes as codes_lib
from keras_hash import figures
from keras_hash import files
from keras_hash.callbacks import projector
from keras_hash.callbacks import summaries
from keras_hash.data import images
from keras_hash.evaluation import diagnostics

# Queries in the gallery, and neighbours of each.
_QUERIES, _NEAREST = 8, 10
# Longest side of a picture in the gallery and on the sprite.
_SIDE, _SPRITE_SIDE = 96, 48
# Settings that all methods have.
_VARIED = ("method", "bits", "backbone", "optimizer", "learning_rate")


class Board:
    """Sees the batches of one measurement after another and writes them."""

    # Items of the Projector at most.
    items = 1000

    def __init__(self, log_dir, model, sample, metrics, hparams, class_names):
        import tensorflow as tf

        # TensorFlow writes to other machines too.
        if not isinstance(log_dir, str) or not files.is_url(log_dir):
            log_dir = files.local(log_dir).absolute()
        self._folder = log_dir
        self._writer = tf.summary.create_file_writer(os.fsencode(log_dir))
        self._model = model
        self._sample = sample
        self._metrics = metrics
        self._settings = {**_model_settings(model), **hparams}
        self._hparams = hparams
        self._class_names = class_names
        self._described = False
        self._forget()

    def _forget(self):
        self._queries = {}
        self._query_real, self._real, self._items = [], [], []
        self._best = None
        self._codes = []

    def add_queries(self, positions, real, codes, labels, pictures):
        """Sees a batch of queries: positions to pictures, of equal length."""
        room = self.items - sum(map(len, self._query_real))
        self._query_real.append(real[: max(room, 0)])
        if pictures is None:
            return
        # The first query of each label set, up to the height of the gallery.
        for row, label in enumerate(labels):
            key = label.tobytes()
            if len(self._queries) < _QUERIES and key not in self._queries:
                self._queries[key] = (
                    codes[row],
                    label,
                    images.thumbnail(pictures[row], _SIDE, square=True),
                )

    def add_database(self, positions, real, codes, labels, pictures):
        """Sees a batch of the database, as `add_queries`."""
        self._codes.append(codes)
        rows = [row for row, p in enumerate(positions) if p in self._sample]
        self._real.append(real[rows])
        for row in rows:
            picture = None
            if pictures is not None:
                picture = images.thumbnail(
                    pictures[row], _SPRITE_SIDE, square=True
                )
            self._items.append(
                (positions[row], codes[row], labels[row], picture)
            )
        if pictures is not None and self._queries:
            self._search(codes, labels, pictures)

    def _search(self, codes, labels, pictures):
        """Keeps the nearest images of each query so far."""
        asked = np.stack([code for code, _, _ in self._queries.values()])
        distances = codes_lib.levels(
            asked, codes, self._model.bits, self._model.similarity
        )
        if self._best is None:
            self._best = [[] for _ in asked]
        for kept, row in zip(self._best, distances):
            worst = kept[-1][0] if len(kept) == _NEAREST else np.inf
            for place in np.argsort(row, kind="stable")[:_NEAREST]:
                # Items at equal distance stay in the order of the database.
                if row[place] >= worst:
                    break
                picture = images.thumbnail(pictures[place], _SIDE, square=True)
                kept.append((int(row[place]), labels[place], picture))
            kept.sort(key=lambda item: item[0])
            del kept[_NEAREST:]

    def write(self, step, report, evaluator):
        """Writes everything seen, and forgets it."""
        import tensorflow as tf

        similar, dissimilar = evaluator.pairs_by_distance(
            report.settings["self_match"]
        )
        with self._writer.as_default(step):
            if not self._described:
                self._describe(report)
                self._described = True
            summaries.scalars(report)
            summaries.table("report", *_report_table(report))
            if report.curves:
                summaries.pr_curve(report, similar, dissimilar)
            real = {"query": self._query_real, "database": self._real}
            for name, values in real.items():
                tf.summary.histogram(
                    f"real_codes/{name}",
                    np.concatenate(values),
                    description=f"Real codes of up to {self.items} items.",
                )
            summaries.distances("distances/similar", similar)
            summaries.distances("distances/dissimilar", dissimilar)
            found = diagnostics.code_statistics(
                np.concatenate(self._codes), self._model.bits
            )
            summaries.picture(
                "code_bits",
                "Share of ones of each bit, and correlation of two bits, over "
                "the whole database.",
                figures.code_bits,
                found.ones,
                found.correlation,
            )
            if self._best:
                summaries.picture(
                    "nearest",
                    "Queries with their nearest images and Hamming distances; "
                    "green: shares a label with the query, red: does not.",
                    figures.gallery,
                    *self._gallery(),
                )
        self._writer.flush()
        projector.write(
            self._folder, self._model.bits, self._items, self._class_names
        )
        self._forget()

    def close(self):
        """Notes that the training came to its end, and closes the file."""
        if self._described:
            with self._writer.as_default(0):
                summaries.finished()
        self._writer.close()

    def _describe(self, report):
        """Writes what holds for all epochs."""
        # The last two folders, `runs/a`: equal settings are two runs still.
        trial = "/".join(os.path.realpath(self._folder).split(os.sep)[-2:])
        # A method's own constants would hide what runs have in common.
        varied = {
            name: value
            for name, value in self._settings.items()
            if name in _VARIED or name in self._hparams
        }
        summaries.hparams(varied, self._metrics, files.shown(trial))
        summaries.layout(report.metrics)
        rows = {
            **self._settings,
            "num_classes": self._model.num_classes,
            "image_shape": self._model.image_shape,
            "parameters": f"{self._model.count_params():,}",
            **report.settings,
            "chance_map": f"{report.metrics['chance_map']:.4f}",
        }
        if self._class_names:
            rows["class_names"] = ", ".join(self._class_names)
        summaries.table("card", ["setting", "value"], rows.items())

    def _gallery(self):
        """Pictures of the queries and of their nearest images, and how far and
        whether relevant these are."""
        _, labels, pictures = zip(*self._queries.values())
        relevant = [
            [_relevant(label, other) for _, other, _ in kept]
            for label, kept in zip(labels, self._best)
        ]
        distances = [[item[0] for item in kept] for kept in self._best]
        neighbours = [
            images.of_one_side([item[2] for item in kept])
            for kept in self._best
        ]
        return images.of_one_side(pictures), neighbours, distances, relevant


def _model_settings(model):
    """What a model and its optimizer were made with, where it is one value."""
    config = model.get_config()
    settings = {"method": type(model).__name__, **config}
    # Not what is chosen, but what is given.
    for name in ("name", "num_classes"):
        settings.pop(name, None)
    if not isinstance(settings["backbone"], str):
        settings["backbone"] = model.backbone.name
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        # That of mixed precision holds another one.
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        settings["optimizer"] = type(optimizer).__name__
        rate = optimizer.get_config()["learning_rate"]
        if isinstance(rate, dict):  # A schedule.
            rate = rate["class_name"]
        else:  # It was float32.
            rate = float(f"{rate:.6g}")
        settings["learning_rate"] = rate
    return {
        name: value
        for name, value in settings.items()
        if isinstance(value, (bool, int, float, str))
    }


def _report_table(report):
    """Heads and rows: each metric, by chance, and over all tie orders."""
    rows = []
    for name, value in report.metrics.items():
        chance, bounds = report.chance.get(name), report.bounds.get(name)
        rows.append(
            [
                name,
                f"{value:.4f}",
                "" if chance is None else f"{chance:.4f}",
                "" if bounds is None else "{:.4f} .. {:.4f}".format(*bounds),
            ]
        )
    return ["metric", "value", "by chance", "worst .. best tie order"], rows


def _relevant(label, other):
    """Whether two items share a class or a label."""
    if np.ndim(label):
        return bool(np.logical_and(label, other).any())
    return bool(label == other >= 0)
