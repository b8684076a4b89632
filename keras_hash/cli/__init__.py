"""The command line, `keras-hash COMMAND`.

The console script enters by `keras_hash_cli`: this folder under a name outside
of the package. `import keras_hash` builds every method, which takes TensorFlow
and seconds; `keras-hash --help`, `list` and `info` need neither.
"""

import importlib.util
import signal
import sys
import threading
import types


def main(arguments=None):
    """Runs a command; returns the exit code that `keras-hash --help` lists."""
    signals = []

    def stop(number, frame):
        if _is_lost_in(frame):
            again = threading.Timer(0.02, signal.raise_signal, [number])
            again.daemon = True
            again.start()
            return
        signals.append(number)
        raise KeyboardInterrupt

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


# TensorFlow's C++ calls the Python of these files. It asks shapes for their
# length, takes any exception for an unknown shape, and then writes more sizes
# than there is room for; and it builds its errors, as at the end of a dataset.
_CALLED_BY_C = ("framework/tensor_shape.py", "eager/core.py")


def _is_lost_in(frame):
    """Whether what a handler raises here is lost, so that it has to wait."""
    while frame is not None:
        code = frame.f_code
        name = code.co_filename.replace("\\", "/")
        if code.co_name == "__del__" or name.endswith(_CALLED_BY_C):
            return True
        frame = frame.f_back
    return False


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
