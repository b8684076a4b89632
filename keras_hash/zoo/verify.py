"""Measures an entry again and compares the result with its card."""

import dataclasses
import math
import os
import re

from keras_hash.evaluation import measure
from keras_hash.export import proof
from keras_hash.zoo import entries
from keras_hash.zoo.card import Card
from keras_hash.zoo.card import code_hash
from keras_hash.zoo.card import machine
from keras_hash.zoo.card import versions

# On the kind of machine and with the versions that the card names, the same
# operations run in the same order. Elsewhere near-ties may fall otherwise.
SAME, ELSEWHERE = 1e-6, 5e-5
# Settings that have other kernels compute on the same processor.
_KERNELS = (
    "TF_ENABLE_ONEDNN_OPTS",
    "ONEDNN_MAX_CPU_ISA",
    "TF_NUM_INTRAOP_THREADS",
)
_CONVENTIONS = {
    "k": "k",
    "denominators": "denominator",
    "no_relevant": "no_relevant",
    "ideal_zero": "ideal_zero",
    "empty": "empty",
    "self_match": "self_match",
}


@dataclasses.dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        name: str, the entry, as it was asked for.
        card: `Card`, as it is written.
        report: the `RetrievalReport` measured now.
        differing: dict from metric to a pair: on the card, measured (`None`
            where it is not measured any more).
        tolerance: float, the largest difference that is none, relative to
            values above 1.
        why: str, the reason for that tolerance.
        same_codes: dict from part to bool, whether its codes are bit for bit
            those of the card; without the parts that the card does not name.
        same_split: bool, whether images and labels are split as on the card.
        files_differing: int, of 100 images as files, how many the served graph
            gives another code than the library, or refuses.
    """

    name: str
    card: Card
    report: object
    differing: dict
    tolerance: float
    why: str
    same_codes: dict
    same_split: bool
    files_differing: int

    @property
    def passed(self):
        """bool, whether the card says what is measured."""
        alike = self.same_split and not self.files_differing
        return alike and not self.differing

    def problems(self):
        """What does not agree, one line; empty if all is well."""
        found = []
        if not self.same_split:
            found.append(
                f"{self.card.dataset} is split differently from the card"
            )
        if self.files_differing:
            found.append(
                f"{self.files_differing} image files get another code from the "
                "served graph than from the library"
            )
        if self.differing:
            named = [
                f"{key}: {_text(wanted)} on the card, {_text(value)} measured"
                for key, (wanted, value) in list(self.differing.items())[:3]
            ]
            rest = len(self.differing) - len(named)
            found.append(
                f"metrics differ by more than {self.tolerance:g} ({self.why}): "
                f"{'; '.join(named)}" + (f"; and {rest} more" if rest else "")
            )
        return "; ".join(found)

    def to_dict(self):
        """The result as a dict that JSON can hold."""
        found = {k: v for k, v in vars(self).items() if k != "report"}
        metrics = {"card": self.card.metrics, "measured": self.report.metrics}
        return {**found, "passed": self.passed, **metrics}


def verify(name, benchmark):
    """Measures an entry again: first its files' hashes, then its retrieval.

    Args:
        name: str, name in the zoo, or the path of an entry's folder.
        benchmark: the `Benchmark` that its card names, or a function that
            returns it for the card; it is called once the files are right.

    Returns:
        A `Verification`.

    Raises:
        ValueError: a file of the entry is damaged.
    """
    entries.verify_files(name)
    card = entries.card(name)
    if callable(benchmark):
        benchmark = benchmark(card)
    options = {
        option: card.conventions[key]
        for key, option in _CONVENTIONS.items()
        if key in card.conventions
    }
    model = entries.load(name)
    report, codes = measure(model, benchmark, **options)
    saved = entries.entry_folder(name) / str(card.version)
    tolerance, why = tolerance_for(card)
    wanted, found = dict(card.metrics), dict(report.metrics)
    if card.lengths:
        measured = entries.of_lengths(model, benchmark, codes, **options)
        for length, metrics in card.lengths.items():
            wanted |= _named(metrics, f"{length} bits")
            found |= _named(measured.get(length, {}), f"{length} bits")
    if card.mirrored:
        measured = entries.of_mirror(model, benchmark, codes, **options) or {}
        wanted |= _named(card.mirrored, "mirrored queries")
        found |= _named(measured, "mirrored queries")
    return Verification(
        name=str(name),
        card=card,
        report=report,
        differing=differences(wanted, found, tolerance),
        tolerance=tolerance,
        why=why,
        same_codes={
            part: code_hash(codes[part]) == digest
            for part, digest in card.code_sha256.items()
            if part in codes
        },
        same_split=card.split_checksum == benchmark.checksum,
        files_differing=len(proof.differing(model, saved, benchmark)),
    )


def compare_runtimes(name, names, benchmark, count=5000):
    """Counts the codes of an entry that runtimes make otherwise than Keras.

    Args:
        name: str, name in the zoo, or the path of an entry's folder.
        names: sequence of str, runtimes as for `keras_hash.load`.
        benchmark: as for `verify`.
        count: int, images to encode: queries first, then the database.

    Returns:
        dict from runtime to `keras_hash.export.runtimes.Comparison`.

    Raises:
        ValueError: a file of the entry is damaged, or no such runtime.
        ImportError: the package of an extra is missing.
    """
    from keras_hash.export import runtimes

    for runtime in names:
        runtimes.require(runtime, "write", "run")
    model = entries.load(name)
    if callable(benchmark):
        benchmark = benchmark(entries.card(name))
    images, _ = runtimes.sample(benchmark, count)
    before, found = model.encode(images), {}
    for runtime in names:
        model.set_runtime(runtime)
        after = model.encode(images)
        found[runtime] = runtimes.compare_codes(before, after, model.bits)
    return found


def _named(metrics, of):
    return {f"{key} ({of})": x for key, x in metrics.items()}


def differences(wanted, measured, tolerance):
    """The metrics of a card that are not measured: wanted, and measured.

    A difference is relative to values above 1; `None` is measured no more.
    """

    def same(value, found):
        # NaN where every query was skipped.
        if math.isnan(value) and found is not None:
            return math.isnan(found)
        within = tolerance * max(1, abs(value))
        return found is not None and abs(found - value) <= within

    pairs = {key: (value, measured.get(key)) for key, value in wanted.items()}
    return {key: pair for key, pair in pairs.items() if not same(*pair)}


def tolerance_for(card):
    """How near figures have to be on this machine, and why."""
    where = card.measured_on or card.machine or ""
    kind = re.match(r"\d+ x (.+)$", where)
    if kind is None:
        return ELSEWHERE, "the card names no kind of CPU"
    here = machine().split(" x ", 1)[1]
    if kind[1] != here:
        return ELSEWHERE, f"measured on {kind[1]}, here {here}"
    for setting in _KERNELS:
        if setting in os.environ:
            return ELSEWHERE, f"{setting}={os.environ[setting]} is set"
    if _has_gpu():
        return ELSEWHERE, "this machine computes on a GPU"
    for package, found in versions().items():
        wanted = card.versions.get(package, found)
        # What this package computes is what is verified.
        if package != "keras_hash" and wanted != found:
            return ELSEWHERE, f"measured with {package} {wanted}, here {found}"
    return SAME, "same kind of CPU, same versions"


def table(results):
    """Cards against measured figures, as a `rich.table.Table`."""
    from rich.table import Table
    from rich.text import Text

    ok, differs = Text("ok", "green"), Text("differs", "red")
    table = Table(title="mAP on the cards, and measured now")
    table.add_column("name", overflow="fold")
    for column in ("card", "measured", "within", "codes", ""):
        table.add_column(column, no_wrap=True)
    for result in results:
        same = result.same_codes.values()
        codes = ("same" if all(same) else "differ") if same else "unknown"
        table.add_row(
            result.name,
            f"{result.card.metrics['map']:.6f}",
            f"{result.report.metrics['map']:.6f}",
            f"{result.tolerance:g}",
            codes,
            ok if result.passed else differs,
        )
    return table


def _has_gpu():
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _text(value):
    return "none" if value is None else f"{value:.6f}"
