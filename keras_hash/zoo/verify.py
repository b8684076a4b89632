"""Measures an entry again and compares the result with its card."""

import dataclasses
import hashlib
import os
import pathlib
import platform
import re

from keras_hash import zoo
from keras_hash.evaluation import measure

# On the kind of machine and with the versions that the card names, the same
# operations run in the same order. Elsewhere near-ties may fall otherwise.
SAME, ELSEWHERE = 1e-6, 5e-5
_VERSIONS = ("tensorflow", "keras", "numpy")
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
        card: dict, its card.
        report: the `RetrievalReport` measured now.
        differing: dict from metric to a pair: on the card, measured (`None`
            where it is not measured any more).
        tolerance: float, the largest difference that is none, relative to
            values above 1.
        why: str, the reason for that tolerance.
        same_codes: dict from part to bool, whether its codes are bit for bit
            those of the card; without the parts that the card does not name.
        same_split: bool, whether images and labels are split as on the card;
            `None` where the card does not say.
    """

    name: str
    card: dict
    report: object
    differing: dict
    tolerance: float
    why: str
    same_codes: dict
    same_split: bool | None

    @property
    def passed(self):
        """bool, whether the card says what is measured."""
        return not self.differing and self.same_split is not False

    def problems(self):
        """What does not agree.

        Returns:
            str, one line, empty if all is well.
        """
        found = []
        if self.same_split is False:
            found.append(
                f"{self.card['dataset']} is split otherwise than on the card"
            )
        if self.differing:
            named = [
                f"{key}: {_text(wanted)} on the card, {_text(value)} measured"
                for key, (wanted, value) in list(self.differing.items())[:3]
            ]
            rest = len(self.differing) - len(named)
            found.append(
                f"{len(self.differing)} of {len(self.card['metrics'])} metrics "
                f"differ by more than {self.tolerance:g} ({self.why}): "
                f"{'; '.join(named)}" + (f"; and {rest} more" if rest else "")
            )
        return "; ".join(found)

    def to_dict(self):
        """The result as JSON can hold it.

        Returns:
            dict.
        """
        return {
            "name": self.name,
            "passed": self.passed,
            "tolerance": self.tolerance,
            "why": self.why,
            "differing": self.differing,
            "same_codes": self.same_codes,
            "same_split": self.same_split,
            "card": self.card["metrics"],
            "measured": self.report.metrics,
        }


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
    zoo.verify_files(name)
    card = zoo.card(name)
    if callable(benchmark):
        benchmark = benchmark(card)
    conventions = card.get("conventions", {})
    options = {
        option: conventions[key]
        for key, option in _CONVENTIONS.items()
        if key in conventions
    }
    report, codes = measure(zoo.load(name), benchmark, **options)
    tolerance, why = tolerance_for(card)
    split = card.get("split_checksum")
    return Verification(
        name=str(name),
        card=card,
        report=report,
        differing=differences(card["metrics"], report.metrics, tolerance),
        tolerance=tolerance,
        why=why,
        same_codes={
            part: code_hash(codes[part]) == digest
            for part, digest in card.get("code_sha256", {}).items()
            if part in codes
        },
        same_split=split == benchmark.checksum if split else None,
    )


def differences(wanted, measured, tolerance):
    """The metrics of a card that are not measured.

    Args:
        wanted: dict of floats, the card's.
        measured: dict of floats.
        tolerance: float, relative to values above 1.

    Returns:
        dict from metric to a pair: wanted, measured (`None` where missing).
    """
    return {
        key: (value, measured.get(key))
        for key, value in wanted.items()
        # Not-a-number differs from everything.
        if not abs(measured.get(key, float("nan")) - value)
        <= tolerance * max(1, abs(value))
    }


def tolerance_for(card):
    """How near figures have to be on this machine.

    Args:
        card: dict, a card.

    Returns:
        A pair: the tolerance, and the reason as a str.
    """
    where = card.get("measured_on") or card.get("machine") or ""
    kind = re.match(r"\d+ x (.+)$", where)
    if kind is None:
        return ELSEWHERE, "the card names no kind of CPU"
    here = machine().split(" x ", 1)[1]
    if kind[1] != here:
        return ELSEWHERE, f"measured on {kind[1]}, here {here}"
    if _has_gpu():
        return ELSEWHERE, "this machine computes on a GPU"
    installed = _installed()
    for package, version in card.get("versions", {}).items():
        if installed.get(package, version) != version:
            return (
                ELSEWHERE,
                f"measured with {package} {version}, here {installed[package]}",
            )
    return SAME, "same kind of CPU, same versions"


def machine():
    """The kind of this machine, for a card.

    Returns:
        str, such as `"2 x AMD EPYC (family 26, model 2), Keras on
        tensorflow"`.
    """
    import keras

    kind = platform.machine()
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        pairs = (line.partition(":")[::2] for line in reversed(lines))
        found = {key.strip(): value.strip() for key, value in pairs}
        # One name can stand for generations that compute differently.
        kind = (
            f"{found['model name']} (family {found['cpu family']}, "
            f"model {found['model']})"
        )
    except (OSError, KeyError):
        pass
    return f"{os.cpu_count()} x {kind}, Keras on {keras.backend.backend()}"


def code_hash(codes):
    """The hash of packed codes that cards hold.

    Args:
        codes: packed codes `uint8 [n, ceil(bits / 8)]`.

    Returns:
        str, 64 hex digits.
    """
    return hashlib.sha256(codes.tobytes()).hexdigest()


def table(results):
    """Cards against measured figures.

    Args:
        results: list of `Verification`.

    Returns:
        A `rich.table.Table`.
    """
    from rich.table import Table

    table = Table(title="mAP on the cards, and measured now")
    table.add_column("name", overflow="fold")
    for column in ("card", "measured", "within", "codes", ""):
        table.add_column(column, no_wrap=True)
    for result in results:
        same = result.same_codes.values()
        codes = ("same" if all(same) else "differ") if same else "unknown"
        table.add_row(
            result.name,
            f"{result.card['metrics']['map']:.6f}",
            f"{result.report.metrics['map']:.6f}",
            f"{result.tolerance:g}",
            codes,
            "[green]ok[/]" if result.passed else "[red]differs[/]",
        )
    return table


def _installed():
    import importlib.metadata

    found = {}
    for package in _VERSIONS:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "none"
    return found


def _has_gpu():
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _text(value):
    return "none" if value is None else f"{value:.6f}"
