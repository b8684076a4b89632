"""Inner loops compiled by Numba, where Numba works; importing them imports it.

A first call compiles for about a second; what comes out is kept on disk.
"""

import functools
import importlib
import importlib.util
import sys
import warnings


def find(name, pairs, few):
    """A module of this package, or `None` where Numba does not work, or is not
    worth its import for so few pairs of codes."""
    ready = f"{__name__}.{name}" in sys.modules
    return load(name) if ready or pairs >= few else None


@functools.cache
def load(name):
    """A module of this package, or `None` where Numba does not work."""
    if importlib.util.find_spec("numba") is None:
        return None
    try:
        import numba

        module = importlib.import_module(f"{__name__}.{name}")
    except Exception as error:
        warnings.warn(
            "Codes are compared more slowly: Numba is installed but cannot be "
            f"imported. It said: {type(error).__name__}: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    # A switch of Numba for debugging, under which it cannot count ones.
    return None if numba.config.DISABLE_JIT else module
