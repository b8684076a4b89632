"""Measures codes and models: `evaluate` and `measure`."""

import numpy as np

from keras_hash.codes import check
from keras_hash.evaluation import replay
from keras_hash.evaluation.evaluator import HammingEvaluator
from keras_hash.evaluation.metrics import choose


def evaluate(
    query_codes,
    query_labels,
    database_codes,
    database_labels,
    bits,
    k=(100, 1000, 5000),
    similarity="hamming",
    ties=None,
    convention=None,
    seed=0,
    kernel="auto",
    metrics=None,
    **options,
):
    """Measures retrieval by Hamming distance.

    By default every value is the exact expectation over the orders of items at
    equal distance: it depends neither on the order of the database nor on a
    sort. Relevant is what shares the class, or at least one label.

    Args:
        query_codes: packed codes `uint8 [q, ceil(bits / 8)]`.
        query_labels: int `[q]` (or `[q, 1]`), or multi-hot `[q, num_classes]`.
            The class number -1 stands for an item without a label, to which
            nothing is relevant, not even another one; the report counts them.
        database_codes: packed codes `uint8 [m, ceil(bits / 8)]`.
        database_labels: int `[m]` or multi-hot `[m, num_classes]`, in the same
            way.
        bits: int, code length.
        k: int or sequence of ints, cut-offs.
        similarity: `"hamming"` or `"and"`, see `HammingEvaluator`.
        ties: `"expected"` (default), `"best"`, `"worst"` or `"random"`, as for
            `HammingEvaluator.result`; or one order of the database as other
            code makes it: `"stable"`, `"argsort"` or `"shuffle"`.
        convention: name of a code base whose conventions are replayed:
            `"deephash-pytorch"`, `"hashnet"`, `"orthohash"`, `"dpsh"` or
            `"dsrh"`; it sets the options itself.
        seed: int, for the random orders.
        kernel: `"auto"`, `"numba"`, `"numpy"` or `"tensorflow"`, see
            `HammingEvaluator`.
        metrics: str or sequence of str, which to compute, such as
            `("map", "ndcg@100")`: keys of the report. A name without `@` that
            has no value for the whole ranking, such as `"ndcg"`, stands for all
            of `k`. All if `None`.
        **options: `denominator`, `no_relevant`, `empty`, `ideal_zero` and
            `self_match`, as for `HammingEvaluator.result`.

    Returns:
        A `RetrievalReport`.

    Raises:
        ValueError: codes, labels or options that do not fit, or empty sets.

    Example:

    >>> report = keras_hash.evaluate(q, q_labels, db, db_labels, bits=48)
    >>> report.metrics["map"]
    """
    replayed = {}
    if convention is not None:
        if options or ties is not None:
            raise ValueError(
                "`convention` sets the other options itself. "
                f"Received: convention={convention!r}, ties={ties!r} and "
                f"{sorted(options)}"
            )
        options = replay.convention(convention)
        ties = options.pop("ties")
        for name in ("drop_last", "skip_without_hit"):
            replayed[name] = options.pop(name, False)
    ties = ties or "expected"
    in_order = ties in replay.ORDERS
    if in_order and options.get("self_match") == "drop":
        raise ValueError(
            "`self_match='drop'` works on counts, not on one order of the "
            f"database. Received: ties={ties!r}"
        )
    query_codes = check(query_codes, bits, "query_codes")
    database_codes = check(database_codes, bits, "database_codes")
    evaluator = HammingEvaluator(
        query_codes, query_labels, bits, similarity, kernel=kernel
    )
    evaluator.update(database_codes, database_labels)
    report = evaluator.result(
        k,
        ties="expected" if in_order else ties,
        seed=seed,
        metrics=metrics,
        **options,
    )
    if in_order:
        keep = ("k", "denominators", "no_relevant", "ideal_zero")
        chosen, names = choose(metrics)
        report.metrics.update(
            replay.ranking_metrics(
                query_codes,
                query_labels,
                database_codes,
                database_labels,
                bits,
                similarity,
                ties,
                seed,
                evaluator._grades(chosen),
                chosen=chosen,
                names=names,
                **replayed,
                **{name: report.settings[name] for name in keep},
            )
        )
        report.settings.update(ties=ties, seed=int(seed))
    if convention is not None:
        report.settings.update(convention=convention, **replayed)
    return report


def measure(
    model,
    benchmark,
    query="query",
    database="database",
    mirror=False,
    known=None,
    **options,
):
    """Encodes two parts of a benchmark and evaluates.

    Args:
        model: a `HashModel`, or anything with `bits` and `encode(images)`.
        benchmark: a `keras_hash.data.Benchmark`.
        query: str, part whose images are the queries.
        database: str, part that is searched.
        mirror: bool, whether queries are averaged with their mirror images, as
            `encode` does it.
        known: dict from part to packed codes that are not made again.
        **options: as for `evaluate`.

    Returns:
        A pair: the `RetrievalReport`, and a dict from part to packed codes.

    Raises:
        ValueError: something else than a model and a benchmark, a part that
            holds no images, or `mirror`, where mirror images mean something
            else, or the queries are the database, which is not mirrored.
    """
    if not hasattr(model, "bits") or not hasattr(benchmark, "parts"):
        raise ValueError(
            "`measure` takes a model that encodes and a "
            "`keras_hash.data.Benchmark`; `keras_hash.load` and "
            "`keras_hash.data.load` load one by its name. Received: "
            f"{type(model).__name__} and {type(benchmark).__name__}"
        )
    for part in (query, database):
        if not len(benchmark.parts.get(part, ())):
            raise ValueError(
                f"A benchmark is measured on images in {part!r}; `query=` of "
                "`keras_hash.data.from_folder` and its like draws queries. "
                f"Received: none of {benchmark.name}"
            )
    if mirror and query == database:
        raise ValueError(
            "`mirror` is for queries, so `database` should be another part. "
            f"Received: mirror=True, query=database={query!r}"
        )
    if mirror and not benchmark.mirrors:
        raise ValueError(
            f"The mirror images of {benchmark.name} mean something else: leave "
            "`mirror` out. Received: mirror=True"
        )
    codes, labels = dict(known or {}), {}
    for part in (query, database):
        images = benchmark.images
        labels[part] = benchmark.targets[benchmark.parts[part]]
        if part in codes:
            continue
        if isinstance(images, np.ndarray):
            images = images[benchmark.parts[part]]
        else:
            # Images that are read when they are asked for: a batch at a time.
            images = getattr(benchmark, part)
        turned = {"mirror": True} if mirror and part == query else {}
        codes[part] = model.encode(images, **turned)
    report = evaluate(
        codes[query],
        labels[query],
        codes[database],
        labels[database],
        bits=model.bits,
        similarity=getattr(model, "similarity", "hamming"),
        **options,
    )
    return report, codes
