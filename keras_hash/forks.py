"""What a forked process cannot use of its parent, said before it hangs there.

Threads do not come along with a fork: a pool of them that the parent has
started, of TensorFlow, JAX or FAISS, would be waited for, for ever.
"""

import os
import sys

# Started in this process; started in one that this was forked from.
_started, _lost = set(), set()


def start(library):
    """Notes that a library has started threads in this process."""
    _started.add(library)


def is_lost(library):
    """Whether the threads of a library are those of a parent."""
    return library in _lost


def check():
    """Refuses to compute with a backend whose threads stayed behind."""
    for library in ("TensorFlow", "JAX"):
        if is_lost(library):
            raise RuntimeError(
                f"{library} was in use in the process that this one was forked "
                "from, and would hang here. Start processes by "
                "`multiprocessing.get_context('spawn')`, a server without "
                "`--preload`, or load the encoder in its processes only."
            )


def _after_in_child():
    _lost.update(_started)
    context = sys.modules.get("tensorflow.python.eager.context")
    context = getattr(context, "_context", None)
    if getattr(context, "_initialized", False):
        _lost.add("TensorFlow")
    bridge = sys.modules.get("jax._src.xla_bridge")
    if getattr(bridge, "_backends", None):
        _lost.add("JAX")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
