"""How the scripts beside this one take times."""

import statistics
import time


def rates(functions, count, rounds):
    """Images a second of functions that take turns: the median of rounds."""
    found = {name: [] for name in functions}
    for turn in range(rounds + 1):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            if turn:  # the first traces
                found[name].append(count / (time.perf_counter() - began))
    return {name: statistics.median(r) for name, r in found.items()}
