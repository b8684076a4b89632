"""What `RetrievalMetrics` writes for TensorBoard."""

import io
import pathlib

import numpy as np

from keras_hash import codes as codes_lib
from keras_hash import figures
from keras_hash import files

# Queries in the gallery, and neighbours of each.
_QUERIES, _NEAREST = 8, 10
# Longest side of a picture in the gallery and on the sprite.
_SIDE, _SPRITE_SIDE = 96, 48
# Codes that are unpacked at once.
_ROWS = 1 << 14


class Board:
    """Sees the batches of one measurement after another and writes them.

    Args:
        log_dir: str or path of the folder.
        model: the `HashModel` that trains.
        sample: set of int, positions in the database of the items that the
            Projector and the histograms of real codes show.
    """

    # Items of the Projector at most.
    items = 1000

    def __init__(self, log_dir, model, sample):
        import tensorflow as tf

        self._folder = pathlib.Path(log_dir)
        self._writer = tf.summary.create_file_writer(str(log_dir))
        self._model = model
        self._sample = sample
        self._described = False
        self._forget()

    def _forget(self):
        self._queries = {}
        self._query_real, self._real, self._items = [], [], []
        self._best = None
        self._bits = np.zeros(self._model.bits)
        self._pairs = np.zeros((self._model.bits, self._model.bits))
        self._seen = 0

    def add_queries(self, positions, real, codes, labels, pictures):
        """Sees a batch of queries.

        Args:
            positions: int `[b]`, where they stand.
            real: float `[b, bits]`, real codes.
            codes: packed codes `uint8 [b, ceil(bits / 8)]`.
            labels: int `[b]` or multi-hot `[b, num_classes]`.
            pictures: `[b, h, w, 3]` or `None`.
        """
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
                    _thumbnail(pictures[row], _SIDE),
                )

    def add_database(self, positions, real, codes, labels, pictures):
        """Sees a batch of the database.

        Args:
            positions: int `[b]`, where they stand.
            real: float `[b, bits]`, real codes.
            codes: packed codes `uint8 [b, ceil(bits / 8)]`.
            labels: int `[b]` or multi-hot `[b, num_classes]`.
            pictures: `[b, h, w, 3]` or `None`.
        """
        self._seen += len(codes)
        for low in range(0, len(codes), _ROWS):
            ones = codes_lib.unpack(codes[low : low + _ROWS], self._model.bits)
            ones = (ones > 0).astype("float64")
            self._bits += ones.sum(axis=0)
            self._pairs += ones.T @ ones
        rows = [row for row, p in enumerate(positions) if p in self._sample]
        self._real.append(real[rows])
        for row in rows:
            picture = None
            if pictures is not None:
                picture = _thumbnail(pictures[row], _SPRITE_SIDE)
            self._items.append(
                (positions[row], codes[row], labels[row], picture)
            )
        if pictures is not None and self._queries:
            self._search(codes, labels, pictures)

    def _search(self, codes, labels, pictures):
        """Keeps the nearest images of each query so far."""
        asked = np.stack([code for code, _, _ in self._queries.values()])
        if self._model.similarity == "and":
            common = np.bitwise_count(asked[:, None] & codes).sum(axis=-1)
            distances = self._model.bits - common.astype("int32")
        else:
            distances = codes_lib.hamming(asked, codes)
        if self._best is None:
            self._best = [[] for _ in asked]
        for kept, row in zip(self._best, distances):
            worst = kept[-1][0] if len(kept) == _NEAREST else np.inf
            for place in np.argsort(row, kind="stable")[:_NEAREST]:
                # Items at equal distance stay in the order of the database.
                if row[place] >= worst:
                    break
                picture = _thumbnail(pictures[place], _SIDE)
                kept.append((int(row[place]), labels[place], picture))
            kept.sort(key=lambda item: item[0])
            del kept[_NEAREST:]

    def write(self, step, report, evaluator):
        """Writes everything seen, and forgets it.

        Args:
            step: int, the epoch.
            report: the `RetrievalReport`.
            evaluator: the `HammingEvaluator` that it comes from.
        """
        import tensorflow as tf

        similar, dissimilar = _pair_counts(evaluator)
        with self._writer.as_default(step):
            for name, value in report.metrics.items():
                tf.summary.scalar(f"retrieval/{name}", value)
            if report.curves:
                _pr_curve(report, similar, dissimilar)
            real = {"query": self._query_real, "database": self._real}
            for name, values in real.items():
                tf.summary.histogram(
                    f"real_codes/{name}",
                    np.concatenate(values),
                    description=f"Real codes of up to {self.items} items.",
                )
            _distances("distances/similar", similar)
            _distances("distances/dissimilar", dissimilar)
            tf.summary.image("code_bits", self._bit_picture()[None])
            if self._best:
                tf.summary.image("nearest", self._gallery()[None])
            if not self._described:
                tf.summary.text("settings", self._settings(report))
                self._described = True
        self._writer.flush()
        self._project()
        self._forget()

    def close(self):
        """Closes the event file."""
        self._writer.close()

    def _settings(self, report):
        rows = {
            "method": type(self._model).__name__,
            "backbone": getattr(self._model.backbone, "name", ""),
            **report.settings,
            "chance_map": report.metrics["chance_map"],
        }
        lines = [f"| {name} | {value} |" for name, value in rows.items()]
        return "\n".join(["| setting | value |", "|---|---|", *lines])

    def _bit_picture(self):
        share = self._bits / self._seen
        covariance = self._pairs / self._seen - np.outer(share, share)
        spread = np.sqrt(np.maximum(np.diag(covariance), 0))
        scale = np.outer(spread, spread)
        correlation = covariance / np.where(scale > 1e-12, scale, np.inf)
        content = io.BytesIO()
        figures.code_bits(share, correlation, content)
        return _pixels(content)

    def _gallery(self):
        queries = list(self._queries.values())
        rows = zip(queries, self._best)
        content = io.BytesIO()
        figures.gallery(
            np.stack([picture for _, _, picture in queries]),
            np.stack([[item[2] for item in kept] for kept in self._best]),
            [[item[0] for item in kept] for kept in self._best],
            [
                [_relevant(label, item[1]) for item in kept]
                for (_, label, _), kept in rows
            ],
            content,
        )
        return _pixels(content)

    def _project(self):
        """Codes, labels and thumbnails of some items for the Projector."""
        from tensorboard.plugins import projector

        positions, codes, labels, pictures = zip(*self._items)
        signs = codes_lib.unpack(np.stack(codes), self._model.bits)
        lines = ["\t".join(map(str, row)) for row in signs.tolist()]
        files.write(self._folder / "codes.tsv", "\n".join(lines) + "\n")
        lines = ["position\tlabel"]
        for position, label in zip(positions, labels):
            if np.ndim(label):
                label = " ".join(map(str, np.flatnonzero(label))) or "none"
            lines.append(f"{position}\t{label}")
        files.write(self._folder / "metadata.tsv", "\n".join(lines) + "\n")
        config = projector.ProjectorConfig()
        shown = config.embeddings.add()
        shown.tensor_name = f"codes ({self._model.bits} bits)"
        shown.tensor_path = "codes.tsv"
        shown.metadata_path = "metadata.tsv"
        if pictures[0] is not None:
            side = len(pictures[0])
            files.write(self._folder / "sprite.png", _sprite(pictures))
            shown.sprite.image_path = "sprite.png"
            shown.sprite.single_image_dim.extend([side, side])
        files.write(self._folder / "projector_config.pbtxt", str(config))


def _relevant(label, other):
    """Whether two items share a class or a label."""
    if np.ndim(label):
        return bool(np.logical_and(label, other).any())
    return bool(label == other)


def _pair_counts(evaluator):
    """How many similar and dissimilar pairs there are at each distance."""
    # The table of the evaluator, with equal queries counted as often as given.
    counts = evaluator._counts
    often = np.bincount(evaluator._queries.inverse)
    found = np.zeros((2, evaluator.bits + 1), "int64")
    for (shared, _), plane in counts.planes.items():
        found[int(shared > 0)] += often @ plane
    return found[1], found[0]


def _distances(name, counts):
    """Writes a histogram with one bucket a distance, exact."""
    import tensorflow as tf
    from tensorboard.plugins.histogram import metadata

    middle = np.arange(len(counts))
    buckets = np.stack([middle - 0.5, middle + 0.5, counts], axis=1)
    tf.summary.write(
        name,
        tf.constant(buckets, "float64"),
        metadata=metadata.create_summary_metadata(
            None, "Number of pairs (query, database item) at each distance."
        ),
    )


def _pr_curve(report, similar, dissimilar):
    """Writes precision and recall by radius for the PR curve plugin.

    The plugin's thresholds run evenly over 0..1 and find less and less: here
    they are `1 - radius / bits`.
    """
    import tensorflow as tf
    from tensorboard.plugins.pr_curve import metadata

    true, false = np.cumsum(similar), np.cumsum(dissimilar)
    rows = [
        true,
        false,
        false[-1] - false,
        true[-1] - true,
        report.curves["precision"],
        report.curves["recall"],
    ]
    tf.summary.write(
        "precision_recall",
        tf.constant(np.array(rows, "float32")[:, ::-1].copy()),
        metadata=metadata.create_summary_metadata(
            "precision and recall by Hamming radius",
            "Threshold: 1 - radius / bits. Precision and recall are means "
            "over the queries, as in the report; the counts are those of all "
            "pairs.",
            len(true),
        ),
    )


def _thumbnail(picture, side):
    """A square `uint8 [s, s, 3]`, `s` at most `side`, the whole in it."""
    from PIL import Image
    from PIL import ImageOps

    picture = np.clip(np.asarray(picture, "float32"), 0, 255).astype("uint8")
    side = min(side, max(picture.shape[:2]))
    if picture.shape[:2] == (side, side):
        return picture
    image = ImageOps.pad(Image.fromarray(picture), (side, side))
    return np.asarray(image)


def _pixels(content):
    """The `uint8 [h, w, 3]` of a PNG file."""
    from PIL import Image

    return np.asarray(Image.open(content).convert("RGB"))


def _sprite(pictures):
    """Equal squares, row by row on one square sheet, as PNG."""
    from PIL import Image

    side = len(pictures[0])
    columns = int(np.ceil(np.sqrt(len(pictures))))
    sheet = np.zeros((columns * side, columns * side, 3), "uint8")
    for place, picture in enumerate(pictures):
        top, left = side * (place // columns), side * (place % columns)
        sheet[top : top + side, left : left + side] = picture
    content = io.BytesIO()
    Image.fromarray(sheet).save(content, "png")
    return content.getvalue()
