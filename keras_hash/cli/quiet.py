"""Keeps out the lines that TensorFlow and converters write while they work."""

import contextlib
import os
import re
import sys
import tempfile

# Before its logging is set up, TensorFlow writes to the descriptor whatever
# TF_CPP_MIN_LOG_LEVEL says. Errors (E0000, F0000) are no noise.
_NOISE = re.compile(
    r"WARNING: All log messages before absl::InitializeLog"
    r"|[IW]0000 |To enable the following instructions"
    r"|INFO: Created TensorFlow Lite|fully_quantize: "
)


def import_keras():
    """Imports Keras and, with it, TensorFlow where that is installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" in sys.modules:
        return
    with without_noise():
        import keras  # noqa: F401


@contextlib.contextmanager
def without_noise(live=False):
    """Holds back what goes to the standard error, then drops the noise."""
    sys.stderr.flush()
    python = sys.stderr
    with tempfile.TemporaryFile() as held:
        before = os.dup(2)
        os.dup2(held.fileno(), 2)
        if live and python is sys.__stderr__:
            # Never closed: handlers of logging may keep it.
            sys.stderr = os.fdopen(
                os.dup(before), "w", 1, python.encoding, python.errors
            )
        try:
            yield
        finally:
            sys.stderr.flush()
            sys.stderr = python
            os.dup2(before, 2)
            os.close(before)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if not _NOISE.match(line):
                    print(line, file=sys.stderr)
