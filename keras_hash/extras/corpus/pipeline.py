"""Encoding on Apache Beam: a model handler for images, and one for shards.

Beam's own handler for TensorFlow loads models with Keras, and Keras 3 opens no
SavedModels; these call the signature that is served.
"""

import logging
import pathlib
import tempfile
from typing import NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference import base
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.options.pipeline_options import StandardOptions

from keras_hash import encoding
from keras_hash.extras.corpus import filesystems
from keras_hash.extras.corpus import folder as folder_lib
from keras_hash.extras.corpus import reading

BATCH = 64


class Encoded(NamedTuple):
    """What became of an image.

    Attributes:
        code: bytes, its packed code, `ceil(bits / 8)` of them; or `None`.
        reason: str, why it has none; else `None`.
    """

    code: bytes | None
    reason: str | None = None


class EncoderHandler(base.ModelHandler[bytes, Encoded, object]):
    """Encodes images with `RunInference`.

    What is no image fails alone, whatever it shares a batch with. For images
    with ids, Beam's `KeyedModelHandler(EncoderHandler(...))` takes pairs of id
    and bytes, and gives pairs of id and `Encoded`.

    Args:
        model: str, name in the zoo, or the path of an entry's folder, on every
            worker.
        max_batch_size: int, images a batch.

    Example:

    >>> images | RunInference(EncoderHandler("dshc_cifar10_30"))
    """

    def __init__(self, model, max_batch_size=BATCH):
        super().__init__(max_batch_size=max_batch_size)
        self.model = str(model)

    def load_model(self):
        """Loads the graph; Beam calls it once a process and shares it.

        Returns:
            An `encoding.ServedEncoder`.
        """
        return encoding.ServedEncoder(self.model)

    def run_inference(self, batch, model, inference_args=None):
        """Encodes a batch.

        Args:
            batch: sequence of bytes: JPEG, PNG, GIF or BMP files.
            model: what `load_model` returned.
            inference_args: nothing; Beam's interface has it.

        Returns:
            list of `Encoded`, one an image.
        """
        codes, kept, refused = model(list(batch))
        rows = dict(zip(kept, codes))
        return [
            Encoded(rows[place].tobytes())
            if place in rows
            else Encoded(None, refused[place])
            for place in range(len(batch))
        ]

    def get_num_bytes(self, batch):
        """How large a batch is.

        Args:
            batch: sequence of bytes.

        Returns:
            int.
        """
        return sum(map(len, batch))

    def get_metrics_namespace(self):
        """Where Beam counts.

        Returns:
            str.
        """
        return "keras_hash"


class Shard(NamedTuple):
    """A shard's codes.

    Attributes:
        number: int.
        ids: list of ints or strings `[n]`.
        codes: packed codes `uint8 [n, ceil(bits / 8)]`.
        refused: list of pairs of id and reason.
    """

    number: int
    ids: list
    codes: np.ndarray
    refused: list


class ShardHandler(EncoderHandler):
    """Encodes whole shards of a corpus; an example is the number of one.

    A shard is written as soon as it is encoded. Were images the examples, a
    runner would hold all codes until the last one is there, to group them, and
    a kill would lose them.

    Args:
        corpus: a `folder.Corpus`.
        batch_size: int, images that the graph gets at a time.
    """

    def __init__(self, corpus, batch_size=BATCH):
        super().__init__(corpus.model, max_batch_size=1)
        self.corpus, self.batch_size = corpus, batch_size

    def load_model(self):
        """Loads the graph that lies in the corpus' folder.

        Returns:
            An `encoding.ServedEncoder`.
        """
        if filesystems.is_local(self.model):
            return super().load_model()
        with tempfile.TemporaryDirectory() as folder:
            for path, _ in filesystems.listing(self.model):
                copy = pathlib.Path(folder, path.removeprefix(self.model)[1:])
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(filesystems.read(path))
            return encoding.ServedEncoder(folder)

    def run_inference(self, batch, model, inference_args=None):
        """Encodes shards.

        Args:
            batch: sequence of int.
            model: what `load_model` returned.
            inference_args: nothing; Beam's interface has it.

        Returns:
            list of `Shard`.
        """
        return [self._shard(number, model) for number in batch]

    def _shard(self, number, model):
        corpus = self.corpus
        ids, codes, refused = [], [], []
        for images, unreadable in reading.batches(
            corpus.rows(number),
            self.batch_size,
            corpus.image_feature,
            corpus.id_feature,
            corpus.id_type,
        ):
            names = [name for name, _ in images]
            found, kept, bad = model([content for _, content in images])
            ids += [names[place] for place in kept]
            codes.append(found)
            refused += unreadable
            refused += [(names[place], bad[place]) for place in sorted(bad)]
        return Shard(number, ids, np.concatenate(codes), refused)

    def get_num_bytes(self, batch):
        """How large the examples are.

        Args:
            batch: sequence of int.

        Returns:
            int.
        """
        return 8 * len(batch)


def encode_shards(corpus, numbers, options, batch_size=BATCH):
    """Encodes and writes shards, on the runner that the options name.

    Args:
        corpus: a `folder.Corpus`.
        numbers: sequence of int.
        options: list of str, Beam's pipeline options. Without a runner it is
            `FnApiRunner`, in this process.
        batch_size: int, images that the graph gets at a time.

    Raises:
        RuntimeError: the pipeline failed; shards that were written stay.
    """
    handler = ShardHandler(corpus, batch_size)
    pipeline = beam.Pipeline(options=pipeline_options(options))
    _ = (
        pipeline
        | "Shards" >> beam.Create(sorted(numbers))
        # Spreads them over the workers.
        | "Spread" >> beam.Reshuffle()
        | "Encode" >> base.RunInference(handler)
        | "Write" >> beam.Map(_write, corpus)
    )
    result = pipeline.run()
    state = result.wait_until_finish()
    if state not in (None, "DONE"):
        raise RuntimeError(f"Beam ended the pipeline: {state}")


def pipeline_options(words):
    """Beam's pipeline options.

    Args:
        words: list of str, as on a command line; what follows `--` goes to the
            runner's server unchecked.

    Returns:
        An `apache_beam` `PipelineOptions`; the runner is `FnApiRunner`, in this
        process, where none is named.

    Raises:
        ValueError: an option that Beam does not have.
    """
    words = list(words)
    end = words.index("--") if "--" in words else len(words)
    options = PipelineOptions(words[:end])
    unknown = set(options.get_all_options(retain_unknown_options=True))
    # It warns of what it discards.
    logging.disable(logging.WARNING)
    try:
        unknown -= set(options.get_all_options())
    finally:
        logging.disable(logging.NOTSET)
    if unknown:
        raise ValueError(
            "Apache Beam has no such options; what is for a runner's server "
            f"goes behind `--`. Received: {', '.join(sorted(unknown))}"
        )
    options = PipelineOptions(words[:end] + words[end + 1 :])
    standard = options.view_as(StandardOptions)
    # Beam's default would download a program at its first run.
    standard.runner = standard.runner or "FnApiRunner"
    return options


def _write(shard: Shard, corpus: folder_lib.Corpus) -> int:
    corpus.write(shard.number, shard.ids, shard.codes, shard.refused)
    return shard.number
