"""Encoding on Apache Beam: a model handler for images, and one for shards."""

import tempfile
from typing import NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference import base
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.options.pipeline_options import StandardOptions

from keras_hash.extras.corpus import filesystems
from keras_hash.extras.corpus import reading
from keras_hash.zoo.encoder import FileEncoder

# Images that the graph gets at a time.
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

    What is not an image fails alone, whatever it shares a batch with. For
    images with ids, Beam's `KeyedModelHandler(EncoderHandler(...))` takes pairs
    of id and bytes, and gives pairs of id and `Encoded`.

    Args:
        model: str, name in the zoo, or the path of an entry's folder, on every
            worker.
        max_batch_size: int, images a batch.
        runtime: str, as for `keras_hash.load`.

    Example:

    >>> images | RunInference(EncoderHandler("dshc_cifar10_30"))
    """

    def __init__(self, model, max_batch_size=BATCH, runtime="keras"):
        super().__init__(max_batch_size=max_batch_size)
        self.model, self.runtime = str(model), runtime

    def load_model(self):
        """Loads the graph; Beam calls it once a process and shares it."""
        return FileEncoder(self.model, self.runtime)

    def run_inference(self, batch, model, inference_args=None):
        """Encodes a list of bytes, image files."""
        codes, kept, refused = model(list(batch))
        rows = dict(zip(kept, codes))
        return [
            Encoded(rows[place].tobytes())
            if place in rows
            else Encoded(None, refused[place])
            for place in range(len(batch))
        ]

    def get_metrics_namespace(self):
        """Where Beam counts."""
        return "keras_hash"


class ShardHandler(EncoderHandler):
    """Encodes and writes shards of a corpus; an example is the number of one.

    Were images the examples, a runner would hold all codes until the last one
    is there, to group them, and a kill would lose them.
    """

    def __init__(self, corpus):
        super().__init__(corpus.model, 1, corpus.runtime)
        self.corpus = corpus

    def load_model(self):
        """Loads the graph that lies in the corpus' folder."""
        if filesystems.is_local(self.model):
            return super().load_model()
        there, path = filesystems.system(self.model)
        with tempfile.TemporaryDirectory() as folder:
            there.get(f"{path}/", folder, recursive=True)
            return FileEncoder(folder, self.runtime)

    def run_inference(self, batch, model, inference_args=None):
        """Encodes and writes shards by their numbers."""
        for number in batch:
            ids, codes, refused = [], [], []
            rows = self.corpus.rows(number)
            for images, unreadable in reading.batches(rows, BATCH):
                names = [name for name, _ in images]
                found, kept, bad = model([content for _, content in images])
                ids += [names[place] for place in kept]
                codes.append(found)
                refused += unreadable
                refused += [(names[place], bad[place]) for place in sorted(bad)]
            self.corpus.write(number, ids, np.concatenate(codes), refused)
        return batch


def encode_shards(corpus, numbers, options):
    """Encodes and writes shards, on the runner that the options name."""
    pipeline = beam.Pipeline(options=pipeline_options(options))
    _ = (
        pipeline
        | "Shards" >> beam.Create(sorted(numbers))
        # Spreads them over the workers.
        | "Spread" >> beam.Reshuffle()
        | "Encode" >> base.RunInference(ShardHandler(corpus))
    )
    result = pipeline.run()
    state = result.wait_until_finish()
    if state not in (None, "DONE"):
        raise RuntimeError(f"Beam ended the pipeline: {state}")


def pipeline_options(words):
    """Beam's options of words; those after `--` are for a runner's server."""
    words = list(words)
    end = words.index("--") if "--" in words else len(words)
    options = PipelineOptions(words[:end])
    given = set(options.get_all_options(retain_unknown_options=True))
    unknown = given - set(PipelineOptions([]).get_all_options())
    if unknown:
        raise ValueError(
            "Apache Beam has no such options; options for a runner's server "
            f"go after `--`. Received: {', '.join(sorted(unknown))}"
        )
    options = PipelineOptions(words[:end] + words[end + 1 :])
    standard = options.view_as(StandardOptions)
    # On this machine: Beam's default would download a program first.
    standard.runner = standard.runner or "FnApiRunner"
    return options
