"""What all compiled loops need: counts of ones, and a place on the disk."""

import functools

import numba
from numba.extending import intrinsic


@intrinsic
def ones(context, x):
    """Ones of an unsigned integer, as one instruction."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return x(x), generate


def kept(function):
    """A function, compiled, from the disk where it can be kept there.

    It is called again where files on the disk fail it: before it has begun.
    """
    fresh = numba.njit(nogil=True)(function)
    try:
        compiled = [numba.njit(nogil=True, cache=True)(function)]
    except RuntimeError:
        # No folder to keep it in: neither the package's nor the user's.
        compiled = [fresh]

    @functools.wraps(function)
    def call(*arguments):
        try:
            return compiled[0](*arguments)
        except Exception:
            # Files that cannot be written, or were written by half.
            compiled[0] = fresh
            return fresh(*arguments)

    call.is_kept = lambda: compiled[0] is not fresh
    return call
