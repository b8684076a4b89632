"""A measurement as one HTML file: no scripts, nothing fetched.

Modules here find what is shown, `templates/` says how. Whatever comes from data
(names, labels, ids) is escaped by the templates' environment, see `rendering`.
The page also forbids scripts and fetches in its own head, for a browser that
would find any.
"""

from keras_hash.html_report import bits
from keras_hash.html_report import classes
from keras_hash.html_report import galleries
from keras_hash.html_report import metrics
from keras_hash.html_report import rendering
from keras_hash.html_report.measured import Measured
from keras_hash.zoo.card import machine


def page(
    benchmark,
    report,
    codes,
    title=None,
    card=None,
    seconds=None,
    query="query",
    database="database",
    real_codes=None,
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
        real_codes: optional float `[q, bits]`, the queries' own: the page then
            says what the order by them adds, see `keras_hash.Index.search`.

    Returns:
        str, an HTML document.

    Raises:
        ValueError: codes that are not those of the benchmark's parts, images
            without a label, or a report without all metrics.
    """
    measured = Measured(benchmark, report, codes, query, database)
    card = card or {}
    return rendering.render(
        "page.html",
        title=title or card.get("name") or f"Retrieval on {benchmark.name}",
        card=card,
        measured=measured,
        ranking=metrics.ranking(measured),
        curves=metrics.curves(measured),
        by_real=metrics.by_real(measured, real_codes),
        code_map=bits.code_map(measured),
        galleries=galleries.galleries(measured),
        classes=classes.confusion(measured),
        codes=bits.codes(measured),
        seconds=seconds,
        machine=machine,
    )
