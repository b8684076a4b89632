"""Progress: the shards that are there, whoever encoded them."""

import contextlib
import time

import pytest

from keras_hash import progress
from keras_hash.extras.corpus import running


@pytest.mark.parametrize("fails", [False, True])
def test_shards_are_counted_as_they_come(written, monkeypatch, fails):
    made, _ = written
    seen, there = [], {0, 1}

    def track(steps, total, title, show):
        assert (total, show) == (3, True)
        for step in steps:
            seen.append(step)
            yield step

    def finished():
        if len(seen) == 1 and len(there) == 3:
            there.add(3)
            raise OSError("the file system is away for a moment")
        return set(there)

    monkeypatch.setattr(progress, "track", track)
    monkeypatch.setattr(made, "finished", finished)
    with (
        contextlib.suppress(RuntimeError),
        running._shown(made, {0, 1}, True, look=0.01),
    ):
        there.add(2)
        deadline = time.monotonic() + 10
        while 3 not in seen and time.monotonic() < deadline:
            time.sleep(0.01)
        assert seen == [2, 3]
        there.add(4)
        if fails:
            raise RuntimeError("Beam failed")
    # What came last is counted before the line ends.
    assert seen == [2, 3, 4]
