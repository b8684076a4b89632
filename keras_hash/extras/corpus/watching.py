"""A line of progress, from the files that are there.

What counts is what a restart would keep; it looks the same whichever machines
do the work.
"""

import sys
import threading
import time

# Seconds between looks, and between lines where they are not drawn over.
_LOOK, _LINE = 2, 30


def line(images, done, new, seconds):
    """What is done and how long the rest will take.

    Args:
        images: int, images of the corpus.
        done: int, images of finished shards.
        new: int, those of them finished in this run.
        seconds: float, how long this run has taken.

    Returns:
        str, such as `"3,000 of 9,000 images, 150/s, 40 s left"`.
    """
    text = f"{done:,} of {images:,} images"
    if done == images or not new:
        return f"{text}, {new / seconds:,.0f}/s" if new else text
    rate = new / seconds
    shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
    return f"{text}, {shown}/s, {_duration((images - done) / rate)} left"


class Watch:
    """Prints progress while a block runs.

    Args:
        corpus: a `folder.Corpus`.
        finished: set of int, shards that were there before.
        stream: where to print; stderr by default.
    """

    def __init__(self, corpus, finished, stream=None):
        self.corpus, self.before = corpus, set(finished)
        self.stream = stream or sys.stderr
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._start = self._printed = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        self._thread.join()
        self._print(self.corpus.finished())
        if self.stream.isatty():
            self.stream.write("\n")

    def _watch(self):
        pause = _LOOK
        while not self._over.wait(pause):
            begun = time.monotonic()
            try:
                finished = self.corpus.finished()
            except OSError:
                # A distant file system may fail to answer for a moment.
                continue
            now = time.monotonic()
            # Listing many files far away should not be all that is done.
            pause = max(_LOOK, 10 * (now - begun))
            if self.stream.isatty() or now - self._printed >= _LINE:
                self._print(finished)

    def _print(self, finished):
        self._printed = time.monotonic()
        sizes = {shard: self.corpus.size(shard) for shard in finished}
        new = sum(sizes[shard] for shard in finished - self.before)
        text = line(
            self.corpus.images,
            sum(sizes.values()),
            new,
            self._printed - self._start,
        )
        drawn = f"\r\x1b[K{text}" if self.stream.isatty() else f"{text}\n"
        self.stream.write(drawn)
        self.stream.flush()


def _duration(seconds):
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"
