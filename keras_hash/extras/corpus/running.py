"""Encodes a corpus, and reads its codes."""

import contextlib
import dataclasses
import logging
import threading
import time

from keras_hash import progress as progress_lib
from keras_hash import zoo
from keras_hash.export import runtimes
from keras_hash.extras.corpus.folder import Corpus
from keras_hash.extras.corpus.folder import prepare

# Seconds between looks at what is there.
_LOOK = 2


@dataclasses.dataclass(frozen=True)
class Encoding:
    """What `encode` did.

    Attributes:
        corpus: the `Corpus`.
        images: int, images that have a code.
        refused: int, images that have none; `corpus.refused_file` says why.
        shards: int, shards that this run encoded.
    """

    corpus: Corpus
    images: int
    refused: int
    shards: int


def encode(
    model,
    listing,
    folder,
    images_per_shard=None,
    options=(),
    retry=False,
    progress=True,
    runtime="keras",
):
    """Encodes what is not encoded yet.

    Args:
        model: str, name in the zoo, or the path of an entry's folder.
        listing: a `Listing`, see `from_glob` and `from_csv`.
        folder: str, where the codes go: a new folder, or that of an earlier
            run; on any file system that fsspec knows.
        images_per_shard: int, images per file of codes. Defaults to that of the
            earlier run, or to about 200 files of 1,000 to 100,000 images.
        options: list of str, Beam's pipeline options.
        retry: bool, whether to encode again the shards with images that were
            refused, after these were mended, say.
        progress: bool, whether to print progress, on stderr.
        runtime: str, what makes the codes on every worker, as for
            `keras_hash.load`; an earlier run should have had the same.

    Returns:
        An `Encoding`.

    Raises:
        ImportError: Beam is not installed, or the package of the runtime.
        ValueError: no such entry; a folder with other files, another encoder,
            runtime or list of images; an option that Beam does not have.
        RuntimeError: Beam failed; what was encoded stays.
    """
    pipeline = _pipeline()
    pipeline.pipeline_options(options)
    if runtime != "keras":
        runtimes.require(runtime, "write", "run")
        # Whether it takes this model would else show late, on the workers.
        zoo.load(model, runtime=runtime)
    corpus = prepare(folder, model, listing, images_per_shard, runtime, retry)
    if retry:
        corpus.open_again()
    finished = corpus.finished()
    missing = sorted(set(range(corpus.shards)) - finished)
    if missing:
        with _shown(corpus, finished, progress):
            pipeline.encode_shards(corpus, missing, options)
    refused = corpus.finish()
    return Encoding(corpus, corpus.images - refused, refused, len(missing))


def read(folder):
    """The codes of a corpus, a shard at a time, in the order of its listing.

    Args:
        folder: str, that of `encode`.

    Yields:
        Pairs: packed codes `uint8 [n, ceil(bits / 8)]`, and ids `[n]`, int64 or
        `str` objects, as `keras_hash.Index.add` takes them.

    Raises:
        ValueError: no such corpus, or shards that are missing or damaged.
    """
    yield from Corpus(folder).read()


def _pipeline():
    """The module that needs Beam."""
    # Beam warns of clients for clouds, which few have.
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        from keras_hash.extras.corpus import pipeline
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "apache_beam":
            raise
        raise ImportError(
            'A corpus is encoded on Apache Beam: pip install "keras-hash[beam]"'
        ) from error
    finally:
        logging.disable(before)
    return pipeline


@contextlib.contextmanager
def _shown(corpus, before, show, look=_LOOK):
    """Shows shards as they come: whoever encodes them, a restart keeps them."""
    over = threading.Event()

    def new():
        seen, pause, last = set(before), look, False
        while not last:
            last = over.wait(pause)
            begun = time.monotonic()
            # A distant file system may fail to answer for a moment.
            with contextlib.suppress(OSError):
                now = corpus.finished()
                yield from now - seen
                seen |= now
            # Listing many files far away should not be all that is done.
            pause = max(look, 10 * (time.monotonic() - begun))

    def count():
        total = corpus.shards - len(before)
        for _ in progress_lib.track(new(), total, "Encoding shards", show):
            pass

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
