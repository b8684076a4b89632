"""Times `Index` against plain FAISS `IndexBinaryFlat`, in one run.

    python tools/bench/search.py [--items 1000000] [--queries 256] [--k 10]

48-bit codes: all different, and 310 distinct ones. Ratios are FAISS' time
divided by ours. FAISS is given the codes as they are (6 bytes) and filled up
to 8 bytes, for which it has a faster kernel. Runs of all take turns, and the
fastest counts.
"""

import argparse
import pathlib
import tempfile
import time

import faiss
import numpy as np

import keras_hash
from keras_hash import codes as codes_lib

BITS, DISTINCT, SEED = 48, 310, 0


def different(items, queries, random):
    codes = random.randint(0, 256, (items * 11 // 10, BITS // 8), "uint8")
    first, _, _ = codes_lib.group(codes)
    codes = codes[random.permutation(first)[:items]]
    return codes, random.randint(0, 256, (queries, BITS // 8), "uint8")


def repeated(items, queries, random):
    pool = random.randint(0, 256, (DISTINCT, BITS // 8), "uint8")
    draw = (DISTINCT * random.rand(items + queries) ** 2).astype(int)
    return pool[draw[:items]], pool[draw[items:]]


def flat(codes, width, use_heap):
    padded = np.zeros((len(codes), width), "uint8")
    padded[:, : codes.shape[1]] = codes
    index = faiss.IndexBinaryFlat(8 * width)
    index.add(padded)
    index.use_heap = use_heap
    return index


def seconds(calls, runs):
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(runs):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def compare(name, codes, queries, k, runs):
    start = time.perf_counter()
    index = keras_hash.Index(BITS, codes)
    index.search(queries[:1], k)
    ready = time.perf_counter() - start
    wide = np.zeros((len(queries), 8), "uint8")
    wide[:, : queries.shape[1]] = queries
    calls = {"Index": lambda: index.search(queries, k)}
    for width, given in ((codes.shape[1], queries), (8, wide)):
        for use_heap in (True, False):
            other = flat(codes, width, use_heap)
            calls[f"IndexBinaryFlat, {width} bytes, use_heap={use_heap}"] = (
                lambda other=other, given=given: other.search(given, k)
            )
    best = seconds(calls, runs)
    distances, _ = index.search(queries, k)
    expected, _ = flat(codes, codes.shape[1], True).search(queries, k)
    np.testing.assert_array_equal(distances, expected)
    print(f"\n{name}: {len(codes):,} codes, {len(queries)} queries, k={k}")
    for call, value in best.items():
        ratio = value / best["Index"]
        print(f"{call:40} {1e3 * value:9.1f} ms {ratio:8.2f}")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "index"
        index.save(path)
        size = path.stat().st_size
    held = index._groups().nbytes
    print(f"built and first search {1e3 * ready:.0f} ms")
    print(
        f"bytes: Index {held:,} and {index.ids.nbytes:,} of ids, file {size:,};"
        f" IndexBinaryFlat {codes.nbytes:,} or {8 * len(codes):,} without ids"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    print(f"FAISS {faiss.__version__}, {faiss.omp_get_max_threads()} threads")
    for name, make in (("different", different), ("repeated", repeated)):
        random = np.random.RandomState(SEED)
        codes, queries = make(args.items, args.queries, random)
        compare(name, codes, queries, args.k, args.runs)


if __name__ == "__main__":
    main()
