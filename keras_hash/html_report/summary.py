"""The head of the page: what was measured, by which rules, in which time."""

from keras_hash.html_report.parts import LONG
from keras_hash.html_report.parts import facts
from keras_hash.html_report.parts import number
from keras_hash.html_report.parts import section
from keras_hash.html_report.parts import table
from keras_hash.markup import cut
from keras_hash.markup import tag

_TIES = {
    "expected": "the exact mean over all their orders",
    "best": "relevant ones first",
    "worst": "relevant ones last",
    "random": "one random order",
    "stable": "in the order of the database",
    "argsort": "as NumPy's default sort leaves them",
    "shuffle": "in the order of the shuffled database",
}
_DENOMINATORS = {
    "min": "by k or the number of relevant images, whichever is smaller",
    "all": "by the number of relevant images",
    "topk": "by the relevant images among the first k",
}
_SKIPPED = {"zero": "counts 0", "one": "counts 1", "skip": "is left out"}


def head(measured, title, card):
    """What was `measured`: `title`, facts of the `card`, and by which rules."""
    settings, benchmark = measured.settings, measured.benchmark
    metrics = measured.report.metrics
    relevant = (
        "shares at least one label with the query"
        if benchmark.multi_label
        else "is of the class of the query"
    )
    by = {
        "hamming": "Hamming distance (the number of bits that differ)",
        "and": "number of ones in common (a distance here is the number of "
        "bits less these)",
    }[measured.similarity]
    return tag(
        "header",
        tag("h1", cut(title, LONG)),
        facts(
            [
                ("method", card.get("method")),
                ("backbone", card.get("backbone")),
                ("code", f"{measured.bits} bits"),
                ("data", benchmark.name),
                ("protocol", benchmark.protocol),
                ("queries", f"{settings['queries']:,}"),
                ("database", f"{settings['database']:,} images"),
                ("labels", f"{benchmark.num_classes:,}"),
                ("split", _split(benchmark)),
            ]
        ),
        tag(
            "p",
            f"Each of {settings['queries']:,} query images ranked the "
            f"{settings['database']:,} images of the database by the {by} of "
            f"their codes. An image is relevant if it {relevant}. The mean "
            "average precision over the whole ranking is ",
            tag("strong", number("map", metrics["map"])),
            "; a random order would have ",
            number("chance_map", metrics["chance_map"]),
            ".",
        ),
        _conventions(measured),
    )


def _split(benchmark):
    """The first digits of the checksum, as cards name it."""
    try:
        return benchmark.checksum[:12]
    except UnicodeEncodeError:
        # An id holds what UTF-8 cannot, as the file names of old disks do.
        return None


def _conventions(measured):
    s = measured.settings
    sentences = [f"Images at equal distance: {_TIES[s['ties']]}."]
    if s["ties"] not in ("expected", "best", "worst", "random"):
        sentences.append("Figures by radius do not depend on that.")
    names = [_DENOMINATORS[name] for name in s["denominators"]]
    sentences.append(
        f"Average precision at k is divided {', and '.join(names)}."
    )
    sentences.append(
        f"A query without a relevant image {_SKIPPED[s['no_relevant']]}; where "
        f"the ideal gain is zero, NDCG {_SKIPPED[s['ideal_zero']]}."
    )
    if measured.similarity == "hamming":
        empty = {
            **_SKIPPED,
            "micro": "adds nothing, since all balls are pooled",
        }
        sentences.append(f"An empty ball {empty[s['empty']]} in precision.")
    if measured.drop:
        sentences.append("Each query leaves itself out.")
    if "convention" in s:
        sentences.append(f"Convention of {s['convention']}, replayed.")
    return tag("p", " ".join(sentences), class_="soft")


def timing(measured, seconds):
    """The `seconds` of each step, if known, of what was `measured`."""
    if not seconds:
        return None
    from keras_hash.zoo import verify

    body = []
    for name, time in seconds.items():
        cells = ["", f"{time:.2f}", ""]
        if name in measured.benchmark.parts:
            count = len(measured.benchmark.parts[name])
            cells = [f"{count:,}", f"{time:.2f}", f"{count / time:,.0f}"]
            name = f"encode: {name}"
        body.append(
            tag(
                "tr",
                tag("th", name, scope="row"),
                *(tag("td", cell) for cell in cells),
            )
        )
    titles = ("step", "images", "seconds", "images/s")
    return section(
        "Time",
        tag(
            "p",
            f"{verify.machine()}. Encoding includes reading the images and, "
            "once, preparing the network.",
            class_="soft",
        ),
        table(titles, body),
        id_="time",
    )
