"""Checks that indexes and engines share."""

import numpy as np


def check_int(value, name, least=1):
    """Refuses what is no whole number, or too small a one.

    Args:
        value: what was given.
        name: str, what it is called.
        least: int, the smallest that will do.

    Raises:
        ValueError: it is something else.
    """
    whole = isinstance(value, (int, np.integer))
    if isinstance(value, bool) or not whole or value < least:
        raise ValueError(
            f"`{name}` should be at least {least}, an int. "
            f"Received: {name}={value!r}"
        )
