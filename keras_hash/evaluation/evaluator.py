"""`HammingEvaluator` and `evaluate`: from codes and labels to a report."""

import numpy as np

from keras_hash import codes as codes_lib
from keras_hash.evaluation import groups as groups_lib
from keras_hash.evaluation import metrics
from keras_hash.evaluation import replay
from keras_hash.evaluation import statistic
from keras_hash.evaluation import values as values_lib
from keras_hash.evaluation.diagnostics import CodeCensus
from keras_hash.evaluation.report import RetrievalReport

# Tie modes that a table of counts answers.
TIES = ("expected", "best", "worst", "random")
# Cells of the table whose metrics are computed at once: few stay in the cache,
# but rows are worth their while in dozens only.
_CELLS, _MOST_CELLS = 1 << 17, 1 << 20
_ROWS = 1 << 6
# Items that are counted at once: more would only take more memory.
_SHARD = 1 << 18


class HammingEvaluator:
    """Measures retrieval over a database that comes in shards.

    Shards may come in any order and on several workers: the table of counts
    adds up, and the result is that of one array. Memory: the table (8 bytes
    for each query, distance and observed pair of shared labels and label-set
    size) and the distinct codes; without Numba, a chunk of up to 32 MiB for
    each thread.

    Args:
        query_codes: packed codes `uint8 [q, ceil(bits / 8)]`.
        query_labels: int `[q]` or multi-hot `[q, num_classes]`.
        bits: int, code length.
        similarity: `"hamming"`, or `"and"`: items rank by the number of ones
            in common, for DSHC's multi-label codes.
        group: bool, whether equal items of the database are counted once. It
            changes the time, not the result.

    Raises:
        ValueError: codes or labels that do not fit each other or `bits`.

    Example:

    >>> evaluator = keras_hash.HammingEvaluator(q_codes, q_labels, bits=48)
    >>> for codes, labels in shards:
    ...     evaluator.update(codes, labels)
    >>> report = evaluator.result(k=(100, 5000))
    """

    def __init__(
        self,
        query_codes,
        query_labels,
        bits,
        similarity="hamming",
        group=True,
    ):
        self._queries = statistic.Queries(
            query_codes, query_labels, bits, similarity
        )
        self.bits = int(bits)
        self.similarity = similarity
        self._group = group
        self._query_codes = np.array(query_codes)
        self._query_labels = np.array(query_labels)
        self._counts = statistic.Counts({}, self._queries.sizes, self.bits)
        self._census = CodeCensus(self.bits)

    def update(self, codes, labels):
        """Adds a shard of the database.

        Args:
            codes: packed codes `uint8 [m, ceil(bits / 8)]`.
            labels: int `[m]` or multi-hot `[m, num_classes]`.

        Returns:
            The evaluator itself.

        Raises:
            ValueError: codes or labels that do not fit the queries'.
        """
        codes, labels = np.asarray(codes), np.asarray(labels)
        if labels.shape[:1] != codes.shape[:1]:
            # The error, before shards could hide it.
            statistic.check_labels(labels, len(codes), "database")
        for low in range(0, max(len(codes), 1), _SHARD):
            shard = slice(low, low + _SHARD)
            items = statistic.Items(
                codes[shard], labels[shard], self.bits, self._group
            )
            self._counts.add(self._queries.count(items))
            self._census.update(items.codes, items.weights)
        return self

    def merge(self, other):
        """Adds what another evaluator of the same queries has counted.

        Args:
            other: a `HammingEvaluator`.

        Returns:
            The evaluator itself.

        Raises:
            ValueError: the other one has other queries or settings.
        """
        mine, theirs = self._identity(), other._identity()
        for name, value in mine.items():
            if not np.array_equal(value, theirs[name]):
                raise ValueError(
                    "Only evaluators of the same queries can be merged. "
                    f"Received: another {name}"
                )
        self._counts.add(other._counts)
        self._census.update(*other._census.distinct())
        return self

    def _identity(self):
        return {
            "query_codes": self._query_codes,
            "query_labels": self._query_labels,
            "bits": np.array(self.bits),
            "similarity": np.array(self.similarity),
        }

    def state(self):
        """Everything counted so far, to be stored or sent.

        Returns:
            dict from str to numpy array, as `numpy.savez` takes it.
        """
        codes, code_counts = self._census.distinct()
        return {
            **self._identity(),
            "keys": self._counts.keys(),
            "planes": self._counts.stacked(),
            "codes": codes,
            "code_counts": code_counts,
        }

    @classmethod
    def from_state(cls, state):
        """An evaluator that goes on from a `state`.

        Args:
            state: dict of arrays, or what `numpy.load` returned for them.

        Returns:
            A `HammingEvaluator`.

        Raises:
            ValueError: the dict is not a whole state.
        """
        try:
            evaluator = cls(
                state["query_codes"],
                state["query_labels"],
                int(state["bits"]),
                str(state["similarity"]),
            )
            planes = np.asarray(state["planes"])
            for index, key in enumerate(np.asarray(state["keys"]).tolist()):
                evaluator._counts.planes[tuple(key)] = planes[:, index]
            evaluator._census.update(state["codes"], state["code_counts"])
        except KeyError as error:
            raise ValueError(
                "`state` should be what `HammingEvaluator.state` returned. "
                f"Received: a dict without {error}"
            ) from error
        return evaluator

    def result(
        self,
        k=(100, 1000, 5000),
        ties="expected",
        denominator="min",
        no_relevant="zero",
        empty="zero",
        ideal_zero="skip",
        self_match="keep",
        seed=0,
    ):
        """The report on everything counted so far.

        Args:
            k: int or sequence of ints, cut-offs.
            ties: `"expected"` (exact expectation over the orders of items at
                equal distance), `"best"`, `"worst"` or `"random"`.
            denominator: `"min"`, `"all"` or `"topk"`, or a sequence of them,
                see `metrics.average_precision`. Keys of others than `"min"`
                end in their name: `map@5000_topk`.
            no_relevant: `"zero"` or `"skip"`: queries without a relevant item.
            empty: `"zero"`, `"skip"` or `"micro"`: precision of an empty
                Hamming ball; `"micro"` pools the balls of all queries.
            ideal_zero: `"skip"`, `"zero"` or `"one"`: NDCG of a query whose
                ideal is zero.
            self_match: `"keep"`, or `"drop"`: every query is an item of the
                database too and leaves itself out.
            seed: int, for `ties="random"`.

        Returns:
            A `RetrievalReport`.

        Raises:
            ValueError: no database yet, or an option that does not exist or
                that needs the order of the items (`evaluate` has it).
        """
        cuts, denominators = values_lib.check_options(
            k,
            denominator,
            no_relevant=no_relevant,
            empty=empty,
            ideal_zero=ideal_zero,
            self_match=self_match,
        )
        if ties not in TIES:
            raise ValueError(
                f"`ties` should be one of {TIES}; {replay.ORDERS} need the "
                "order of the database, which `keras_hash.evaluate` has and "
                f"a table of counts has not. Received: ties={ties!r}"
            )
        keys = self._known_keys()
        options = {
            "k": cuts,
            "denominators": denominators,
            "no_relevant": no_relevant,
            "ideal_zero": ideal_zero,
        }
        random = np.random.RandomState(seed)
        inverse, sizes = self._queries.inverse, self._queries.sizes
        chunks = {"metrics": [], "chance": [], "best": [], "worst": []}
        chosen = np.arange(len(sizes))
        if ties == "random":
            # Equal queries draw different orders.
            chosen, inverse = inverse, np.arange(len(inverse))
        rows = self._rows_at_once(keys)
        balls = []
        for low in range(0, len(chosen), rows):
            these = chosen[low : low + rows]
            part = self._counts.stacked(these)
            if self_match == "drop":
                self._leave_itself_out(part, these, keys)
            graded = values_lib.grades(
                keys[:, 0],
                sizes[these, None],
                keys[:, 1],
                self._queries.multi_hot,
            )
            found = self._chunk(part, keys, graded, ties, options, random)
            for name, values in found:
                chunks[name].append(values)
            balls.append(part[:, keys[:, 0] > 0].sum(axis=1))
            balls[-1] = np.stack([part.sum(axis=1), balls[-1]])
        counts, relevant = np.concatenate(balls, axis=1)[:, inverse]
        means = {
            name: values_lib.mean_of_chunks(found, inverse)
            for name, found in chunks.items()
        }
        values, curves = means["metrics"], {}
        if self.similarity == "hamming":
            near, curves = values_lib.ball_metrics(
                counts, relevant, no_relevant, empty
            )
            values |= near
        values["chance_map"] = means["chance"]["map"]
        values |= self._census.metrics()
        return RetrievalReport(
            metrics=values,
            curves=curves,
            chance=means["chance"],
            bounds={
                name: [means["worst"][name], means["best"][name]]
                for name in means["best"]
            },
            settings={
                "bits": self.bits,
                "queries": len(inverse),
                "database": int(counts[0].sum()),
                "similarity": self.similarity,
                **options,
                "empty": empty,
                "self_match": self_match,
                "ties": ties,
                **({"seed": seed} if ties == "random" else {}),
            },
        )

    def average_precision(
        self, k=None, denominator="min", no_relevant="zero", self_match="keep"
    ):
        """Average precision of each query, in expectation over ties.

        Its mean is `map`, or `map@k`, of the report of `result`.

        Args:
            k: int, cut-off, or `None` for the whole ranking.
            denominator: `"min"`, `"all"` or `"topk"`, as for `result`.
            no_relevant: `"zero"`, or `"skip"`: NaN for a query without a
                relevant item.
            self_match: `"keep"` or `"drop"`, as for `result`.

        Returns:
            `float64 [q]`, in the order of the queries.

        Raises:
            ValueError: no database yet, or an option that does not exist.
        """
        values_lib.check_options(
            () if k is None else k,
            denominator,
            no_relevant=no_relevant,
            self_match=self_match,
        )
        keys = self._known_keys()
        count = len(self._queries.sizes)
        values = np.empty(count)
        rows = self._rows_at_once(keys)
        for low in range(0, count, rows):
            these = np.arange(low, min(low + rows, count))
            part = self._counts.stacked(these)
            if self_match == "drop":
                self._leave_itself_out(part, these, keys)
            relevant = part[:, keys[:, 0] > 0].sum(axis=1)
            values[these] = metrics.average_precision(
                part.sum(axis=1), relevant, k, denominator
            )
            if no_relevant == "skip":
                values[these[relevant.sum(axis=1) == 0]] = np.nan
        return values[self._queries.inverse]

    def _rows_at_once(self, keys):
        width = len(keys) * (self.bits + 1)
        few = min(_ROWS, _MOST_CELLS // width)
        return max(1, few, _CELLS // width)

    def _known_keys(self):
        """The keys of the table, which has to hold something."""
        keys = self._counts.keys()
        if len(keys) == 0:
            raise ValueError(
                "There is no database yet: call `update` before asking for "
                "results."
            )
        return keys

    @staticmethod
    def _chunk(part, keys, graded, ties, options, random):
        """Metrics, chance level and bounds of some queries, one by one."""
        by_distance = groups_lib.expected(part, graded[""])
        if ties == "random":
            views = values_lib.random_views(part, graded, random)
        else:
            views = values_lib.table_views(part, graded, ties)
        extreme = {"best": (by_distance, True), "worst": (by_distance, False)}
        yield (
            "metrics",
            values_lib.ranking_metrics(
                views, **options, topk_extreme=extreme.get(ties)
            ),
        )
        # A random order of everything is one group of ties.
        flat = values_lib.table_views(part.sum(axis=2, keepdims=True), graded)
        yield "chance", values_lib.ranking_metrics(flat, **options)
        # The bounds are those of shared counts: planes that differ in the size
        # of the item's label set alone count as one.
        shared, starts = np.unique(keys[:, 0], return_index=True)
        part = np.add.reduceat(part, starts, axis=1)
        graded = {"": np.tile(shared.astype("float64"), (len(part), 1))}
        for mode, topk_extreme in extreme.items():
            views = values_lib.table_views(part, graded, mode)
            yield (
                mode,
                values_lib.ranking_metrics(
                    views, **options, topk_extreme=topk_extreme, bounded=True
                ),
            )

    def _leave_itself_out(self, part, rows, keys):
        """Takes each distinct query's own entry out of its counts, in place."""
        at = np.zeros(len(rows), "int64")
        if self.similarity == "and":
            own_codes = self._query_codes[self._queries.first[rows]]
            ones = codes_lib.unpack(own_codes, self.bits) > 0
            at = self.bits - ones.sum(axis=1)
        place = {tuple(key): index for index, key in enumerate(keys.tolist())}
        # A query shares all of its labels with itself.
        sizes = self._queries.sizes[rows].tolist()
        own = np.array([place.get((size, size), -1) for size in sizes])
        every = np.arange(len(rows))
        missing = (own < 0) | (part[every, own, at] < 1)
        if missing.any():
            raise ValueError(
                "`self_match='drop'` needs every query in the database, with "
                "the same code and labels. Received: queries of which some "
                "are not in it, such as query "
                f"{self._queries.first[rows[missing]][0]}"
            )
        part[every, own, at] -= 1


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
    **options,
):
    """Measures retrieval by Hamming distance.

    By default every value is the exact expectation over the orders of items at
    equal distance: it depends neither on the order of the database nor on a
    sort. Relevant is what shares the class, or at least one label.

    Args:
        query_codes: packed codes `uint8 [q, ceil(bits / 8)]`.
        query_labels: int `[q]` or multi-hot `[q, num_classes]`.
        database_codes: packed codes `uint8 [m, ceil(bits / 8)]`.
        database_labels: int `[m]` or multi-hot `[m, num_classes]`.
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
    evaluator = HammingEvaluator(query_codes, query_labels, bits, similarity)
    evaluator.update(database_codes, database_labels)
    report = evaluator.result(
        k, ties="expected" if in_order else ties, seed=seed, **options
    )
    if in_order:
        keep = ("k", "denominators", "no_relevant", "ideal_zero")
        report.metrics.update(
            replay.metrics(
                query_codes,
                query_labels,
                database_codes,
                database_labels,
                bits,
                similarity,
                ties,
                seed,
                **replayed,
                **{name: report.settings[name] for name in keep},
            )
        )
        report.settings.update(ties=ties, seed=seed)
    if convention is not None:
        report.settings.update(convention=convention, **replayed)
    return report


def measure(model, benchmark, query="query", database="database", **options):
    """Encodes two parts of a benchmark and evaluates.

    Args:
        model: a `HashModel`, or anything with `bits` and `encode(images)`.
        benchmark: a `keras_hash.data.Benchmark`.
        query: str, part whose images are the queries.
        database: str, part that is searched.
        **options: as for `evaluate`.

    Returns:
        A pair: the `RetrievalReport`, and a dict from part to packed codes.
    """
    codes, labels = {}, {}
    for part in (query, database):
        images = benchmark.images
        labels[part] = benchmark.targets[benchmark.parts[part]]
        if isinstance(images, np.ndarray):
            codes[part] = model.encode(images[benchmark.parts[part]])
        else:
            # Images that are read when they are asked for: a batch at a time.
            codes[part] = model.encode(getattr(benchmark, part))
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
