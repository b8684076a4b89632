"""What TensorFlow writes while it loads."""

import os
import sys

from keras_hash.cli import quiet


def test_errors_of_tensorflow_pass_through(capfd, monkeypatch):
    with open(2, "w", closefd=False) as stderr, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        print("before", file=sys.stderr)
        with quiet.without_noise():
            os.write(2, b"I0000 00:00:1 port.cc:153] a\n")
            os.write(2, b"E0000 00:00:1 cuda.cc:1] no memory\n")
            print("a warning", file=sys.stderr)
        print("I0000 after", file=sys.stderr)
    assert capfd.readouterr().err.splitlines() == [
        "before",
        "E0000 00:00:1 cuda.cc:1] no memory",
        "a warning",
        "I0000 after",
    ]


def test_progress_passes_while_libraries_are_held_back(capfd, monkeypatch):
    with open(2, "w", closefd=False) as stderr, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        patch.setattr(sys, "__stderr__", stderr)
        with quiet.without_noise(live=True):
            os.write(2, b"fully_quantize: 0, inference_type: 6\n")
            os.write(2, b"an error of a library\n")
            print("progress", file=sys.stderr)
        assert sys.stderr is stderr
    lines = capfd.readouterr().err.splitlines()
    assert lines == ["progress", "an error of a library"]
