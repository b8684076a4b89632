"""The command line, `keras-hash COMMAND`.

The console script enters by `keras_hash_cli`: this folder under a name outside
of the package. `import keras_hash` builds every method, which takes TensorFlow
and seconds; `keras-hash --help`, `list` and `info` need neither.
"""

import gc
import importlib.util
import signal
import sys
import threading
import time
import types


def main(arguments=None):
    """Runs a command; returns the exit code that `keras-hash --help` lists."""
    signals, asked = [], []

    def stop(number, frame):
        waits = sys.gettrace() is _wait
        if not waits:
            asked[:] = [time.monotonic()]
        signals.append(number)
        caller = _waits_for(frame, time.monotonic() - asked[0] > 1)
        if caller is None:
            if waits:
                sys.settrace(None)
            raise KeyboardInterrupt
        caller.f_trace = _stop_here
        sys.settrace(_wait)

    before = {}
    if threading.current_thread() is threading.main_thread():
        # What is saved after Ctrl-C is saved after SIGTERM too.
        before[signal.SIGTERM] = signal.signal(signal.SIGTERM, stop)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            before[signal.SIGINT] = signal.signal(signal.SIGINT, stop)
    try:
        _open_package()
        from keras_hash.cli import parser

        return parser.run(arguments)
    except KeyboardInterrupt as stop:
        hint = f"; {stop}" if str(stop) else ""
        print(f"keras-hash: stopped{hint}", file=sys.stderr)
        return 128 + (signals or [signal.SIGINT])[0]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# TensorFlow's C++ asks shapes for their length, takes any exception for an
# unknown shape, and then writes more sizes than there is room for.
_ABORTS = "tensorflow.python.framework.tensor_shape"


def _waits_for(frame, insists=False):
    """The frame that a stop waits for; None where it can be raised at once.

    What a handler raises in Python that C++ called is lost, or taken for
    something else, or ends in an abort, where the C++ doesn't expect it: in
    TensorFlow, which traces, compares structures and builds errors by Python,
    in finalizers, and in what is called before and after each collection of
    garbage. The frame is the caller of all of these. Who asks again after a
    second, in a long call, waits for what aborts alone.
    """
    caller = None
    collecting = [getattr(one, "__code__", None) for one in gc.callbacks]
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        lost = (
            module == _ABORTS if insists else module.startswith("tensorflow.")
        )
        lost = lost or module in ("weakref", "_weakrefset")
        lost = lost or frame.f_code.co_name == "__del__"
        if lost or frame.f_code in collecting:
            caller = frame.f_back
        frame = frame.f_back
    return caller


def _wait(frame, event, argument):
    """A trace function that leaves new frames alone: a stop is waiting."""


def _stop_here(frame, event, argument):
    """A trace function that stops at the next line of its frame."""
    if event == "exception":
        # It may be the end of an iterator, which would clear the stop too.
        return _stop_here
    sys.settrace(None)
    raise KeyboardInterrupt


class _Package(types.ModuleType):
    """The package without what its `__init__` imports, until that is needed."""

    def __getattr__(self, name):
        full = f"{self.__name__}.{name}"
        if not name.startswith("__") and importlib.util.find_spec(full):
            return importlib.import_module(full)
        # From here on it is an ordinary module.
        self.__class__ = types.ModuleType
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def _open_package():
    """Makes `keras_hash` importable in parts, unless it is imported already."""
    if "keras_hash" in sys.modules:
        return
    spec = importlib.util.find_spec("keras_hash")
    package = importlib.util.module_from_spec(spec)
    package.__class__ = _Package
    sys.modules["keras_hash"] = package
