"""A measurement as one HTML file: no scripts, nothing fetched.

Everything that comes from data (names, labels, ids) goes through `markup.tag`,
which escapes whatever is not markup that it made itself. The page also forbids
scripts and fetches in its own head, for a browser that would find any.
"""

from keras_hash.html_report import bits
from keras_hash.html_report import classes
from keras_hash.html_report import galleries
from keras_hash.html_report import metrics
from keras_hash.html_report import summary
from keras_hash.html_report.measured import Measured
from keras_hash.html_report.parts import LONG
from keras_hash.html_report.style import STYLE
from keras_hash.markup import Markup
from keras_hash.markup import cut
from keras_hash.markup import tag


def page(
    benchmark,
    report,
    codes,
    title=None,
    card=None,
    seconds=None,
    query="query",
    database="database",
):
    """The page of a measurement.

    Args:
        benchmark: the `keras_hash.data.Benchmark` that was measured on.
        report: the `RetrievalReport`; bits, similarity and conventions are its
            settings.
        codes: dict from part to packed codes `uint8 [n, ceil(bits / 8)]`, as
            `evaluation.measure` returns it.
        title: optional str, what was measured; the name on the card if `None`.
        card: optional dict, the card of the encoder.
        seconds: optional dict from part to seconds that its codes took, and
            from `"evaluate"` to those of the evaluation.
        query: str, part whose images are the queries.
        database: str, part that is searched.

    Returns:
        str, an HTML document.

    Raises:
        ValueError: codes that are not those of the benchmark's parts.
    """
    measured = Measured(benchmark, report, codes, query, database)
    card = card or {}
    title = title or card.get("name") or f"Retrieval on {benchmark.name}"
    body = tag(
        "body",
        summary.head(measured, title, card),
        metrics.ranking(measured),
        metrics.curves(measured),
        bits.code_map(measured),
        *galleries.galleries(measured),
        classes.confusion(measured),
        bits.codes(measured),
        summary.timing(measured, seconds),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag(
            "meta",
            name="viewport",
            content="width=device-width, initial-scale=1",
        ),
        tag(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; style-src 'unsafe-inline'; "
            "img-src data:",
        ),
        tag("title", cut(title, LONG)),
        tag("style", Markup(STYLE)),
    )
    document = tag("html", head, body, lang="en")
    return f"<!DOCTYPE html>\n{document}\n"
