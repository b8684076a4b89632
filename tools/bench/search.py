"""Times `Index` against FAISS: a plain scan, and a graph (HNSW).

    python tools/bench/search.py [--sets dshc itq64] [--items 1000000]

Sets of codes, all but the first two of real images where the data is:

- `different`: 48 bits, random, no two equal; `repeated`: 310 of them, repeated;
- `dshc`: the codes of `dshc_cifar10_30` on CIFAR-10's images, repeated;
- `itq64`, `itq128`: 64 or 128 bits of `photos_256` on Corel-5K's photos; an
  item is a mixture of two photos and some noise, before the signs are taken,
  so that hardly two are equal; queries are photos as they are.

`Index` searches by scan and by multi-index hashing (tables of substrings).
Ratios are the time of `IndexBinaryFlat` divided by ours, in one run; calls take
turns, and the fastest counts. FAISS is given the codes as they are and, where
it has a faster kernel for that, filled up. All distances are compared. `--cpu`
counts processor time on one thread: for a machine that other work keeps busy.
The graph is built of the first `--graph` items, 0 for none; its recall is the
share of its answers that are as near as the exact ones.
"""

import argparse
import functools
import time

import faiss
import numpy as np

import keras_hash
from keras_hash import codes as codes_lib
from keras_hash.search import groups as groups_lib

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


def dshc(items, queries, random):
    model = keras_hash.load("dshc_cifar10_30")
    images, _ = keras_hash.data.load("cifar10").arrays("query")
    codes = model.encode(images, verbose=False)
    draw = random.randint(len(codes) - queries, size=items)
    return codes[draw], codes[len(codes) - queries :]


def itq(bits, items, queries, random):
    model = keras_hash.load("photos_256", bits=bits)
    benchmark = keras_hash.data.load("corel5k")
    real = []
    for part, count in (("database", 2000), ("query", queries)):
        images = benchmark.images[benchmark.parts[part][:count]]
        real.append(model.real_codes(images, verbose=False))
    real, asked = real
    codes = []
    for start in range(0, items, 1 << 16):
        count = min(1 << 16, items - start)
        one, other = random.randint(len(real), size=(2, count))
        share = 0.5 * random.rand(count, 1).astype("float32")
        mixed = real[one] + share * (real[other] - real[one])
        noise = random.randn(*mixed.shape).astype("float32")
        codes.append(codes_lib.pack(mixed + 0.2 * real.std() * noise))
    return np.concatenate(codes), codes_lib.pack(asked)


# Bits, how codes are made, and radii that are of use.
SETS = {
    "different": (BITS, different, (2, 5)),
    "repeated": (BITS, repeated, (2,)),
    "dshc": (30, dshc, (2,)),
    "itq64": (64, functools.partial(itq, 64), (2, 5, 8)),
    "itq128": (128, functools.partial(itq, 128), (4, 8, 16)),
}


def flat(codes, width, use_heap):
    padded = codes_lib.padded(codes, width)
    index = faiss.IndexBinaryFlat(8 * width)
    index.add(padded)
    index.use_heap = use_heap
    return index


def seconds(calls, runs, clock=time.perf_counter):
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(runs):
        for name, call in calls.items():
            start = clock()
            call()
            best[name] = min(best[name], clock() - start)
    return best


def table(best, queries, base, notes):
    """Prints times, and those of FAISS as multiples of ours."""
    for call, value in best.items():
        print(
            f"  {call:44}{1e3 * value / queries:9.3f} ms a query"
            f"{best[base] / value:8.2f} {notes.get(call, '')}",
            flush=True,
        )


def compare(name, codes, queries, bits, radii, args):
    clock = time.process_time if args.cpu else time.perf_counter
    width, wide = codes.shape[1], groups_lib.width_of(bits)
    given = {width: queries, wide: codes_lib.padded(queries, wide)}
    print(
        f"\n{name}: {len(codes):,} codes of {bits} bits, {len(queries)} asked"
    )
    indexes = {}
    for method in ("scan", "multi-index"):
        start = clock()
        index = keras_hash.Index(bits, codes, method=method)
        index.search(queries[:1])
        ready, held = clock() - start, index.nbytes / len(codes)
        indexes[f"Index, {method}"] = index
        print(
            f"  {method}: built and first search {ready:.2f} s, "
            f"{held:.1f} bytes an item and 8 of its id"
        )
    print(f"  {len(codes_lib.group(codes)[0]):,} distinct codes")
    others = {}
    for size, part in given.items():
        for heap in (True, False):
            key = f"IndexBinaryFlat, {size} bytes, use_heap={heap}"
            others[key] = flat(codes, size, heap), part
    for k in args.k:
        calls = {
            key: functools.partial(index.search, queries, k)
            for key, index in indexes.items()
        }
        calls |= {
            key: functools.partial(other.search, part, k)
            for key, (other, part) in others.items()
        }
        best = seconds(calls, args.runs, clock)
        exact = [index.search(queries, k) for index in indexes.values()]
        np.testing.assert_array_equal(*exact)
        other, part = next(iter(others.values()))
        np.testing.assert_array_equal(exact[0][0], other.search(part, k)[0])
        base = min((best[key], key) for key in others)[1]
        print(f" k={k}; the last column: times as fast as FAISS at its best")
        table(best, len(queries), base, {})
    other, part = others[f"IndexBinaryFlat, {wide} bytes, use_heap=True"]
    for radius in radii:
        calls = {
            key: functools.partial(index.range_search, queries, radius)
            for key, index in indexes.items()
        }
        calls["IndexBinaryFlat"] = functools.partial(
            other.range_search, part, radius + 1
        )
        best = seconds(calls, args.runs, clock)
        found = [i.range_search(queries, radius) for i in indexes.values()]
        for a, b in zip(*found):
            np.testing.assert_array_equal(a, b)
        lims, _, _ = other.range_search(part, radius + 1)
        np.testing.assert_array_equal(found[0][0], lims)
        print(f" radius={radius}, {lims[-1] / len(queries):.1f} found a query")
        table(best, len(queries), "IndexBinaryFlat", {})
    if args.graph:
        graph(codes[: args.graph], given[width], bits, args, clock)


def graph(codes, queries, bits, args, clock):
    """HNSW on some of the codes."""
    start = clock()
    links = faiss.IndexBinaryHNSW(8 * codes.shape[1], 32)
    links.add(codes)
    built = clock() - start
    links.hnsw.efSearch = 128
    index = keras_hash.Index(bits, codes, method="scan")
    print(
        f" HNSW of {len(codes):,}: built in {built:.1f} s, about "
        f"{codes.shape[1] + 2 * 32 * 4} bytes an item"
    )
    for k in args.k:
        calls = {
            "Index, scan": functools.partial(index.search, queries, k),
            "HNSW, 32 links, efSearch=128": functools.partial(
                links.search, queries, k
            ),
        }
        best = seconds(calls, args.runs, clock)
        exact, _ = index.search(queries, k)
        far, found = links.search(queries, k)
        right = (found >= 0) & (far <= exact[:, -1:])
        notes = {list(calls)[1]: f"recall {right.mean():.3f} at k={k}"}
        table(best, len(queries), "Index, scan", notes)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--k", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--graph", type=int, default=50_000)
    parser.add_argument("--cpu", action="store_true")
    args = parser.parse_args()
    if args.cpu:
        faiss.omp_set_num_threads(1)
    print(f"FAISS {faiss.__version__}, {faiss.omp_get_max_threads()} threads")
    for name in args.sets:
        bits, make, radii = SETS[name]
        random = np.random.RandomState(SEED)
        try:
            codes, queries = make(args.items, args.queries, random)
        except FileNotFoundError as error:
            print(f"\n{name}: left out, {error}")
            continue
        compare(name, codes, queries, bits, radii, args)


if __name__ == "__main__":
    main()
