"""Times the evaluator against what others do, on the same codes, in one run.

    python tools/bench/evaluate.py [--case cifar32 ...]

References: (a) the per-query argsort loop of hashing code (mAP alone, one-hot
labels, float codes), with NumPy's default sort, which is vectorised on some
processors only, and with a stable one; (b) FAISS: all Hamming distances, and
`IndexBinaryFlat` top-5000; (c) torchmetrics, where it is installed. Slow
references are timed on some of the queries and scaled; the table says on how
many.

Each case runs in a process of its own, so that its peak memory is its own.
Label matrices of NUS-WIDE and COCO are read from `label_matrices/` in
KERAS_HASH_DATA or ../shared/data; codes are drawn at random with the repetition
stated.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

import numpy as np

import keras_hash
from keras_hash import codes as codes_lib
from keras_hash.data import cifar10

SEED = 0
QUERIES, ITEMS = 10_000, 50_000


def single_label(bits, distinct=None):
    """Codes like CIFAR-10's; `distinct` of them, most frequent ones first."""
    random = np.random.RandomState(SEED)
    labels = random.randint(0, 10, QUERIES), random.randint(0, 10, ITEMS)
    if distinct is None:
        codes = [codes_lib.pack(random.randn(len(x), bits)) for x in labels]
    else:
        # Each class has its own codes; one item in twenty has another's.
        pool = codes_lib.pack(random.randn(distinct, bits))
        of_class = distinct // 10
        codes = []
        for x in labels:
            wrong = random.rand(len(x)) < 0.05
            owner = np.where(wrong, random.randint(0, 10, len(x)), x)
            place = (of_class * random.rand(len(x)) ** 2).astype(int)
            codes.append(pool[owner * of_class + place])
    return codes[0], labels[0], codes[1], labels[1], bits


def zoo_codes():
    """The real codes of `dshc_cifar10_30` on CIFAR-10."""
    if not cifar10.is_prepared():
        return None
    benchmark = keras_hash.data.load("cifar10")
    model = keras_hash.load("dshc_cifar10_30")
    (query, a), (items, b) = map(benchmark.arrays, ("query", "database"))
    return model.encode(query), a, model.encode(items), b, model.bits


def matrix(name):
    place = os.environ.get("KERAS_HASH_DATA", "../shared/data")
    path = pathlib.Path(place) / "label_matrices" / name
    if not path.exists():
        return None
    with np.load(path) as stored:
        return {
            key: stored[key] for key in stored.files if key in ("Y", "split")
        }


def nus_wide():
    """NUS-WIDE-21: 2,100 queries, 193,734 items, 64 bits."""
    stored = matrix("nuswide81_269648.npz")
    if stored is None:
        return None
    labels = stored["Y"]
    top = np.argsort(-labels.sum(axis=0), kind="stable")[:21]
    labels = labels[:, top]
    labels = labels[labels.any(axis=1)]
    random = np.random.RandomState(SEED)
    order = random.permutation(len(labels))
    query, items = labels[order[:2100]], labels[order[2100:]]
    codes = codes_lib.pack(random.randn(len(labels), 64))
    return codes[:2100], query, codes[2100:], items, 64


def coco():
    """COCO: 5,000 queries, 107,218 items, 80 labels, 64 bits."""
    stored = matrix("coco80_hashnet.npz")
    if stored is None:
        return None
    names = np.unique(stored["split"])
    query_name = next(n for n in names if n.startswith(("query", "test")))
    query = stored["Y"][stored["split"] == query_name]
    items = stored["Y"][stored["split"] == "db"]
    random = np.random.RandomState(SEED)
    codes = codes_lib.pack(random.randn(len(query) + len(items), 64))
    return codes[: len(query)], query, codes[len(query) :], items, 64


def growth(items):
    random = np.random.RandomState(SEED)
    return (
        codes_lib.pack(random.randn(500, 32)),
        random.randint(0, 10, 500),
        random.randint(0, 256, (items, 4)).astype("uint8"),
        random.randint(0, 10, items),
        32,
    )


CASES = {
    "cifar32": lambda: single_label(32),
    "cifar64": lambda: single_label(64),
    "learned300": lambda: single_label(30, 300),
    "learned5000": lambda: single_label(32, 5000),
    "zoo": zoo_codes,
    "nus_wide_21": nus_wide,
    "coco": coco,
    **{
        f"items_{50 << i}k": (lambda i=i: growth(50_000 << i)) for i in range(7)
    },
}


def one_hot(labels):
    if labels.ndim == 2:
        return labels.astype("float32")
    return np.eye(labels.max() + 1, dtype="float32")[labels]


def argsort_loop(
    query, query_labels, items, item_labels, bits, count, kind=None
):
    """mAP as hashing code computes it; seconds for all queries, and the mAP."""
    a = codes_lib.unpack(query, bits).astype("float32")
    b = codes_lib.unpack(items, bits).astype("float32")
    a_labels, b_labels = one_hot(query_labels), one_hot(item_labels)
    start = time.perf_counter()
    total = 0.0
    for i in range(count):
        good = (np.dot(a_labels[i], b_labels.T) > 0).astype("float32")
        distance = 0.5 * (bits - np.dot(a[i], b.T))
        good = good[np.argsort(distance, kind=kind)]
        hits = int(good.sum())
        ranks = np.flatnonzero(good == 1) + 1.0
        total += np.mean(np.linspace(1, hits, hits) / ranks) if hits else 0
    seconds = time.perf_counter() - start
    return seconds / count * len(query), total / count


def our_map(query, query_labels, items, item_labels, bits):
    """mAP alone, which is what the loop computes."""
    evaluator = keras_hash.HammingEvaluator(query, query_labels, bits)
    evaluator.update(items, item_labels)
    return evaluator.average_precision().mean()


def faiss_references(query, items):
    import faiss

    index = faiss.IndexBinaryFlat(8 * items.shape[1])
    index.add(items)
    few = query[:500]
    top = best_of(lambda: index.search(few, min(5000, len(items))), 1)
    out = np.zeros((len(few), len(items)), "int32")
    pointers = [faiss.swig_ptr(x) for x in (few, items, out)]
    full = best_of(
        lambda: faiss.hammings(
            *pointers[:2], len(few), len(items), items.shape[1], pointers[2]
        ),
        2,
    )
    scale = len(query) / len(few)
    return full * scale, top * scale


def torchmetrics_reference(query, query_labels, items, item_labels, bits):
    try:
        import torch
        from torchmetrics.retrieval import RetrievalMAP
    except ImportError:
        return None
    count = 10
    distance = codes_lib.hamming(query[:count], items)
    good = one_hot(query_labels)[:count] @ one_hot(item_labels).T > 0
    indexes = np.repeat(np.arange(count), len(items))
    start = time.perf_counter()
    metric = RetrievalMAP()
    metric.update(
        torch.tensor(-distance.ravel(), dtype=torch.float32),
        torch.tensor(good.ravel()),
        torch.tensor(indexes),
    )
    metric.compute()
    return (time.perf_counter() - start) / count * len(query)


def best_of(call, runs=3):
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_case(name):
    case = CASES[name]()
    if case is None:
        return {"missing": "its data are not here; set KERAS_HASH_DATA"}
    query, query_labels, items, item_labels, bits = case
    tiny = query[:9], query_labels[:9], items[:90], item_labels[:90]
    keras_hash.evaluate(*tiny, bits=bits)
    before = peak()
    start = time.perf_counter()
    report = keras_hash.evaluate(*case[:4], bits=bits)
    full = time.perf_counter() - start
    memory = peak() - before
    if not name.startswith(("nus", "coco")):
        full = best_of(lambda: keras_hash.evaluate(*case[:4], bits=bits))
    found = {
        "queries": len(query),
        "items": len(items),
        "bits": bits,
        "distinct": report.metrics["unique_codes"],
        "map": report.metrics["map"],
        "full": full,
        "MiB": memory,
    }
    if name.startswith("items"):
        return found
    found["ours"] = best_of(lambda: our_map(*case), 9)
    found["loop"], _ = argsort_loop(*case, 300)
    found["stable"], _ = argsort_loop(*case, 100, "stable")
    found["faiss_all"], found["faiss_top"] = faiss_references(query, items)
    found["torchmetrics"] = torchmetrics_reference(*case)
    return found


def in_own_process(name):
    out = subprocess.run(
        [sys.executable, __file__, "--one", name],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return json.loads(out.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run_case(arguments.one)))
        return
    growing = []
    for name in arguments.case:
        found = in_own_process(name)
        if "missing" in found:
            print(f"{name}: left out, {found['missing']}")
            continue
        print(
            f"{name}: {found['queries']} queries x {found['items']} items x "
            f"{found['bits']} bits, {found['distinct']:.0f} distinct codes"
        )
        print(
            f"  full report {found['full']:.3f} s, peak "
            f"{found['MiB']:.0f} MiB above the inputs, mAP {found['map']:.4f}"
        )
        if name.startswith("items"):
            growing.append((found["items"], found["full"]))
            continue
        ours, full = found["ours"], found["full"]
        print(f"  mAP alone {ours:.4f} s, full report {full / ours:.2f} x that")
        for label, seconds in (
            ("argsort loop, mAP alone (300 queries)", found["loop"]),
            ("the same with a stable sort (100 queries)", found["stable"]),
            (
                "FAISS hammings, distances alone (500 queries)",
                found["faiss_all"],
            ),
            (
                "FAISS IndexBinaryFlat top-5000 (500 queries)",
                found["faiss_top"],
            ),
            ("torchmetrics RetrievalMAP (10 queries)", found["torchmetrics"]),
        ):
            if seconds is None:
                print(f"  {label}: not installed")
                continue
            print(
                f"  {label}: {seconds:.2f} s = {seconds / ours:.1f} x our mAP, "
                f"{seconds / full:.1f} x our full report"
            )
    if growing:
        print("growth of the full report, 500 queries:")
        base_items, base = growing[0]
        for items, seconds in growing:
            print(
                f"  {items:>9} items: {seconds:.3f} s, "
                f"{items // base_items:>3} x the items in "
                f"{seconds / base:.1f} x the time"
            )


if __name__ == "__main__":
    main()
