"""Progress, as it is counted and shown."""

import io
import time

from keras_hash.extras.corpus import watching


def test_progress():
    line = watching.line
    assert (
        line(9000, 3000, 3000, 20) == "3,000 of 9,000 images, 150/s, 40 s left"
    )
    # What was there before is done, but says nothing of the rate.
    assert line(
        9000, 8000, 2000, 400
    ) == "8,000 of 9,000 images, 5.0/s, 200 s left".replace("200 s", "3 min")
    assert line(10**9, 10**6, 10**6, 3600).endswith("278/s, 999.0 h left")
    assert line(9000, 1000, 0, 5) == "1,000 of 9,000 images"
    assert line(9000, 9000, 9000, 30) == "9,000 of 9,000 images, 300/s"


def test_progress_is_watched(written, monkeypatch):
    made, _ = written
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(watching, "_LOOK", 0.01)
    with watching.Watch(made, {0, 1}, stream):
        deadline = time.monotonic() + 10
        while not stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    shown = stream.getvalue().split("\r\x1b[K")
    assert shown[1].startswith("40 of 40 images, ") and shown[-1].endswith("\n")
