"""`HammingEvaluator` and `evaluate`: from codes and labels to a report."""

import concurrent.futures
import functools
import os

import numpy as np

from keras_hash import similarity
from keras_hash.codes import as_array
from keras_hash.codes import check
from keras_hash.codes import check_choice
from keras_hash.codes import check_int
from keras_hash.codes import unpack
from keras_hash.evaluation import closed_forms
from keras_hash.evaluation import kernels
from keras_hash.evaluation import replay
from keras_hash.evaluation import statistic
from keras_hash.evaluation import values
from keras_hash.evaluation.diagnostics import CodeCensus
from keras_hash.evaluation.metrics import RADIUS
from keras_hash.evaluation.metrics import choose
from keras_hash.evaluation.metrics import describe
from keras_hash.evaluation.metrics import families
from keras_hash.evaluation.metrics import key
from keras_hash.evaluation.report import RetrievalReport
from keras_hash.similarity import columns

# Tie modes that a table of counts answers.
TIES = ("expected", "best", "worst", "random")


class HammingEvaluator:
    """Measures retrieval over a database that comes in shards.

    Shards may come in any order and on several workers: the table of counts
    adds up, and the result is that of one array. Memory: the table (8 bytes
    for each query, distance and observed pair of shared labels and label-set
    size) and the distinct codes; without Numba, a chunk of up to 32 MiB for
    each thread.

    Args:
        query_codes: packed codes `uint8 [q, ceil(bits / 8)]`.
        query_labels: int `[q]` (or `[q, 1]`), or multi-hot `[q, num_classes]`.
            The class number -1 stands for an item without a label, to which
            nothing is relevant, not even another one; the report counts them.
        bits: int, code length.
        similarity: `"hamming"`, or `"and"`: items rank by the number of ones
            in common, for DSHC's multi-label codes.
        group: bool, whether equal items of the database are counted once. It
            changes the time, not the result.
        kernel: what counts pairs: `"numba"`, `"numpy"`, `"tensorflow"`, or
            `"auto"`, the fastest on CPU. The counts are the same.

    Attributes:
        counts: the table counted so far: `counts.planes` is a dict from
            `(shared labels, labels of the item)` to `int64 [u, bits + 1]`, by
            distance, a row for each of the `u` distinct queries.
        inverse: int `[q]`, the row of each query.

    Raises:
        ValueError: codes or labels that do not fit each other or `bits`, an
            unknown similarity, or a kernel that is unknown or not installed.

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
        kernel="auto",
    ):
        kernels.check(kernel)
        query_codes = check(query_codes, bits, "query_codes")
        self._columns = columns(query_labels)
        query_labels = statistic.check_labels(
            query_labels, len(query_codes), "query"
        )
        self._queries = statistic.Queries(
            query_codes, query_labels, bits, similarity
        )
        self.bits = int(bits)
        self.similarity = similarity
        self._group = group
        self._kernel = kernel
        self._identity = {
            "query_codes": np.array(query_codes),
            "query_labels": query_labels,
            "bits": np.array(self.bits),
            "similarity": np.array(similarity),
        }
        self.inverse = self._queries.inverse
        self.counts = statistic.Counts({}, len(self._queries.sizes), self.bits)
        self._census = CodeCensus(self.bits)

    def update(self, codes, labels):
        """Adds a shard of the database.

        Args:
            codes: packed codes `uint8 [m, ceil(bits / 8)]`; `m` may be 0.
            labels: int `[m]` or multi-hot `[m, num_classes]`, as the queries'.

        Returns:
            The evaluator itself.

        Raises:
            ValueError: codes or labels that do not fit the queries'.
        """
        return self._update(codes, labels)

    def _update(self, packed, labels, shard=1 << 18):
        """`update`, so many items at once: more would only take memory."""
        packed = check(packed, self.bits, "database_codes")
        similarity.check_columns(self._columns, columns(labels))
        labels = similarity.check_labels(
            labels, name="database_labels", count=len(packed), unlabelled=True
        )
        for low in range(0, len(packed), shard):
            part = slice(low, low + shard)
            items = statistic.Items(
                packed[part], labels[part], self.bits, self._group
            )
            self.counts.add(self._queries.count(items, self._kernel))
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
        if not isinstance(other, HammingEvaluator):
            raise ValueError(
                "`other` should be a HammingEvaluator. "
                f"Received: other of type {type(other).__name__}"
            )
        for name, value in self._identity.items():
            if not np.array_equal(value, other._identity[name]):
                raise ValueError(
                    "Only evaluators of the same queries can be merged. "
                    f"Received: another {name}"
                )
        self.counts.add(other.counts)
        self._census.update(*other._census.distinct())
        return self

    def state(self):
        """Everything counted so far, to be stored or sent.

        Returns:
            dict from str to numpy array, as `numpy.savez` takes it.
        """
        codes, code_counts = self._census.distinct()
        return {
            **self._identity,
            "keys": self.counts.keys(),
            "planes": self.counts.stacked(),
            "codes": codes,
            "code_counts": code_counts,
        }

    @classmethod
    def from_state(cls, state):
        """An evaluator that continues from a `state`.

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
                np.asarray(state["bits"]).tolist(),
                str(state["similarity"]),
            )
            names = ("keys", "planes", "codes", "code_counts")
            keys, planes, *census = (as_array(state[n], n) for n in names)
            evaluator._check_state(keys, planes, *census)
            for index, key in enumerate(keys.tolist()):
                evaluator.counts.planes[tuple(key)] = planes[:, index]
            evaluator._census.update(*census)
        except (KeyError, TypeError) as error:
            lacks = isinstance(error, KeyError)
            kind = type(state).__name__
            received = f"a dict without {error}" if lacks else kind
            raise ValueError(
                "`state` should be what `HammingEvaluator.state` returned. "
                f"Received: {received}"
            ) from error
        return evaluator

    def _check_state(self, keys, planes, codes, code_counts):
        """Refuses counts that are not those of one database."""
        check(codes, self.bits)
        rows, count = self.counts.rows, len(keys) if keys.ndim else 0
        for name, array, shape in (
            ("keys", keys, (count, 2)),
            ("planes", planes, (rows, count, self.bits + 1)),
            ("code_counts", code_counts, (len(codes),)),
        ):
            if array.dtype.kind not in "iu" or array.shape != shape:
                raise ValueError(
                    f"`{name}` should be ints {list(shape)}. Received: "
                    f"{name}.shape={array.shape}, dtype={array.dtype}"
                )
        items = planes.sum(axis=(1, 2))
        several = len(set(map(tuple, keys.tolist()))) == count
        least = min(array.min(initial=0) for array in (keys, planes))
        if least < 0 or not several or (items != code_counts.sum()).any():
            raise ValueError(
                "`planes` should count the items of `code_counts` for each "
                f"query. Received: {items.tolist()[:9]} and "
                f"{code_counts.sum()} items"
            )

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
        metrics=None,
    ):
        """The report on everything counted so far.

        Args:
            k: int or sequence of ints, cut-offs.
            ties: `"expected"` (exact expectation over the orders of items at
                equal distance), `"best"`, `"worst"` or `"random"`.
            denominator: `"min"`, `"all"` or `"topk"`, or a sequence of them,
                see docs/metrics.md. Keys of others than `"min"` end in their
                name: `map@5000_topk`.
            no_relevant: `"zero"` or `"skip"`: queries without a relevant item.
            empty: `"zero"`, `"skip"` or `"micro"`: precision of an empty
                Hamming ball; `"micro"` pools the balls of all queries.
            ideal_zero: `"skip"`, `"zero"` or `"one"`: NDCG of a query whose
                ideal is zero.
            self_match: `"keep"`, or `"drop"`: every query is an item of the
                database too and leaves itself out.
            seed: int, for `ties="random"`.
            metrics: str or sequence of str, which to compute, such as
                `("map", "ndcg@100")`: keys of the report. A name without `@`
                that has no value for the whole ranking, such as `"ndcg"`,
                stands for all of `k`. All if `None`.

        Returns:
            A `RetrievalReport`.

        Raises:
            ValueError: no database yet, or an option that does not exist or
                that needs the order of the items (`evaluate` has it).
        """
        cuts, denominators = values.check_options(
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
                f"a table of counts does not. Received: ties={ties!r}"
            )
        seed = check_int(seed, "seed", 0, (1 << 32) - 1)
        chosen, names = choose(metrics)
        own = {describe(name).denominator for name in names} - {""}
        denominators = [*denominators, *sorted(own - set(denominators))]
        options = {
            "k": values.cuts_of(cuts, names),
            "denominators": denominators,
            "no_relevant": no_relevant,
            "ideal_zero": ideal_zero,
        }
        means, weights, counts, relevant = self._means(
            chosen,
            names,
            options,
            ties,
            self_match,
            np.random.RandomState(seed),
        )
        found, curves = means["metrics"], {}
        sources = {"chance": means["chance"]}
        if self.similarity == "hamming":
            curves = values.radius_curves(
                counts, relevant, no_relevant, empty, weights
            )
            near = min(RADIUS, self.bits)
            sources["radius"] = {name: c[near] for name, c in curves.items()}
        if any(row.source == "codes" for row, _ in chosen.values()):
            sources["codes"] = self._census.statistics()
        for name, (row, _) in chosen.items():
            if row.source in sources:
                at = key(name, RADIUS) if row.source == "radius" else name
                found[at] = float(row.function(sources[row.source]))
        known = {*found, *(name.partition("@")[0] for name in found)}
        missing = sorted(names - known)
        if missing:
            raise ValueError(
                "`metrics` should be among those that these labels, this "
                "similarity and these options have. "
                f"Received: {', '.join(missing)}"
            )
        return RetrievalReport(
            metrics=found,
            curves=curves,
            chance=means["chance"],
            bounds={
                name: [means["worst"][name], means["best"][name]]
                for name in means["best"]
            },
            settings={
                "bits": self.bits,
                "queries": len(self.inverse),
                "database": int(counts[0].sum()),
                "similarity": self.similarity,
                **options,
                "empty": empty,
                "self_match": self_match,
                "ties": ties,
                **({"seed": seed} if ties == "random" else {}),
                **self._unlabelled(),
            },
        )

    def _unlabelled(self):
        """How many items have the class number -1, where there are some."""
        if self._queries.num_classes is not None:
            return {}
        none = self.counts.planes.get((0, 0))
        found = {
            "queries": int(np.sum(self._queries.sizes[self.inverse] == 0)),
            "database": 0 if none is None else int(none[0].sum()),
        }
        return {"unlabelled": found} if any(found.values()) else {}

    def _means(self, chosen, names, options, ties, self_match, random):
        """Means of the ranking metrics: a dict from part of the report to dict;
        then, by distinct query, how many there are of it, and how many items,
        and relevant ones, it has by distance."""
        grades = self._grades(chosen)
        rows = np.arange(len(self._queries.sizes))
        weights = self._queries.weights.astype("float64")
        if ties == "random":
            # Equal queries draw different orders.
            rows = self.inverse
            weights = np.ones(len(rows))
        measured = functools.partial(
            values.ranking_metrics, **options, names=names
        )
        of = self._keys()

        def graded(these):
            sizes = self._queries.sizes[these, None]
            return values.grades(of[:, 0], sizes, of[:, 1], grades)

        def chunk(these):
            part = self._part(these, of, self_match)
            given = part, of, graded(these), chosen, ties
            relevant = part[:, of[:, 0] > 0].sum(axis=1)
            balls = np.stack([part.sum(axis=1), relevant])
            return _chunk(*given, measured, random), balls, part.sum(axis=2)

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            # Orders are drawn one after the other.
            each = map if ties == "random" else pool.map
            found, balls, flat = zip(*each(chunk, self._parts(rows, of)))
        means = {
            name: values.mean_of_chunks([c[name] for c in found], weights)
            for name in found[0]
        }
        # A random order of everything is one group of ties.
        flat = np.concatenate(flat)[:, :, None]
        by_chance = _chance(flat, graded(rows), chosen, measured)
        means["chance"] = values.mean_of_chunks([by_chance], weights)
        return means, weights, *np.concatenate(balls, axis=1)

    def _grades(self, chosen):
        """The grades that are asked for; `""` always."""
        if self._queries.num_classes is None:
            return [""]
        return {"", *(grade for _, grade in chosen.values())}

    def _keys(self):
        """The keys of the table, once there is a database."""
        keys = self.counts.keys()
        if len(keys) == 0:
            raise ValueError(
                "There is no database yet: call `update` with codes and labels "
                "first. Received: 0 database items"
            )
        return keys

    def _parts(self, rows, keys, few=1 << 6, cells=1 << 17, most=1 << 20):
        """Some distinct queries at a time.

        Of few `cells` the metrics stay in the cache, but a call pays off for
        some dozen rows only: a `few`, as long as they have at most `most`.
        """
        width = len(keys) * (self.bits + 1)
        step = max(1, min(few, most // width), cells // width)
        starts = range(0, len(rows), step)
        return [rows[low : low + step] for low in starts]

    def _part(self, rows, keys, self_match):
        """The part of the table of some distinct queries."""
        part = self.counts.stacked(rows)
        if self_match == "drop":
            self._leave_itself_out(part, rows, keys)
        return part

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
        k = k if k is None else check_int(k, "k")
        check_choice(denominator, "denominator", closed_forms.DENOMINATORS)
        values.check_options(
            (),
            denominator,
            no_relevant=no_relevant,
            self_match=self_match,
        )
        rows = np.arange(len(self._queries.sizes))
        found = np.empty(len(rows))
        keys = self._keys()
        for these in self._parts(rows, keys):
            part = self._part(these, keys, self_match)
            relevant = part[:, keys[:, 0] > 0].sum(axis=1)
            groups = values.Groups(part.sum(axis=1), relevant)
            found[these] = closed_forms.average_precision(
                groups, k, denominator
            )
            if no_relevant == "skip":
                found[these[relevant.sum(axis=1) == 0]] = np.nan
        return found[self.inverse]

    def pairs_by_distance(self, self_match="keep"):
        """How many pairs of a query and an item there are at each distance.

        Args:
            self_match: as in `result`.

        Returns:
            Two arrays `int64 [bits + 1]`: of the pairs that share a class or a
            label, and of all others.

        Raises:
            ValueError: another `self_match`.
        """
        check_choice(self_match, "self_match", values.CHOICES["self_match"])
        # The table has equal queries once: they count as often as given.
        often = self._queries.weights
        found = np.zeros((2, self.bits + 1), "int64")
        for (shared, _), plane in self.counts.planes.items():
            found[int(shared > 0)] += often @ plane
        if self_match == "drop":
            alike = (self._queries.sizes > 0).astype("int64")
            at = self._own_distances(np.arange(len(often)))
            np.subtract.at(found, (alike, at), often)
        return found[1], found[0]

    def _own_distances(self, rows):
        """How far distinct queries are from themselves."""
        if self.similarity == "hamming":
            return np.zeros(len(rows), "int64")
        ones = unpack(self._queries.codes[rows], self.bits) > 0
        return self.bits - ones.sum(axis=1)

    def _leave_itself_out(self, part, rows, keys):
        """Takes each distinct query's own entry out of its counts, in place."""
        at = self._own_distances(rows)
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


def _chunk(part, keys, graded, chosen, ties, measured, random):
    """Metrics and bounds of some queries, by part of a report."""
    views = values.views(part, graded, ties, random)
    by_distance = views[""]
    if ties != "expected":
        by_distance = values.expected(part, graded[""])
    extremes = {"best": (by_distance, True), "worst": (by_distance, False)}
    found = {
        "metrics": measured(views, chosen, topk_extreme=extremes.get(ties)),
        **{mode: {} for mode in extremes},
    }
    # The bounds are those of shared counts, or of relevant and not: planes that
    # differ in other things count as one.
    both = bool((keys[:, 0] <= 1).all())
    for counted in (True,) if both else (True, False):
        bounded = {
            name: known
            for name, known in chosen.items()
            if known[0].bounded and (both or known[0].graded is counted)
        }
        kinds = keys[:, 0] if counted else keys[:, 0] > 0
        shared, starts = np.unique(kinds, return_index=True)
        fewer = np.add.reduceat(part, starts, axis=1)
        graded = {"": np.tile(shared.astype("float64"), (len(part), 1))}
        for mode, topk_extreme in extremes.items() if bounded else ():
            views = values.views(fewer, graded, mode)
            found[mode] |= measured(views, bounded, topk_extreme=topk_extreme)
    return found


def _chance(flat, graded, chosen, measured):
    """What a random order has, of the counts of items by kind alone."""
    views = values.views(flat, graded)
    found = measured(views, chosen)
    if "chance_map" in chosen:
        extra = {"map": families()["map"]}
        found |= measured(views, extra, k=[], names=())
    return found
