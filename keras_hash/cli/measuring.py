"""`keras-hash evaluate` and `verify`."""

import dataclasses
import time

from keras_hash import files
from keras_hash.cli import inputs
from keras_hash.cli import outputs


def add_commands(add):
    """Adds the commands to the parser."""
    evaluate = add(
        "evaluate",
        _evaluate,
        "Measure an encoder on a benchmark or on your own images.",
        [
            "evaluate dshc_digits_30",
            "evaluate dshc_digits_30 -k 10 100 --json",
            "evaluate dshc_cifar10_30 --data photos/",
            "evaluate dshc_cifar10_30 --convention hashnet",
            "evaluate dshc_digits_30 --report out.html",
        ],
    )
    evaluate.add_argument("model", help=inputs.MODEL)
    evaluate.add_argument(
        "--data", help=f"{inputs.DATA}; the card's by default"
    )
    inputs.add_data_options(evaluate)
    evaluate.add_argument(
        "--protocol", help="how the benchmark is split; the card's by default"
    )
    evaluate.add_argument(
        "-k",
        type=inputs.at_least(1),
        nargs="+",
        default=[100, 1000, 5000],
        help="cut-offs of the metrics (default 100 1000 5000); ranks beyond "
        "the end of the database count as misses",
    )
    evaluate.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help="compute these alone, such as map ndcg@100",
    )
    evaluate.add_argument(
        "--convention",
        help="replay another code base: deephash-pytorch, hashnet, orthohash, "
        "dpsh or dsrh",
    )
    inputs.add_mirror(evaluate, "queries")
    evaluate.add_argument(
        # What is written, as in other commands: shells complete its path.
        "--report",
        dest="out",
        metavar="FILE",
        help="write a page with curves, galleries and more, one .html file",
    )
    inputs.add_json(evaluate)

    verify = add(
        "verify",
        _verify,
        "Measure entries again and compare with their cards: files, metrics, "
        "codes.",
        [
            "verify dshc_digits_30",
            "verify dshc_digits_30 runs/mine --json",
            "verify 'dshc_*'",
            "verify photos_256 --runtime openvino",
        ],
    )
    verify.add_argument(
        "models",
        nargs="+",
        metavar="NAME",
        help=f"{inputs.MODEL}, or a pattern of names",
    )
    verify.add_argument(
        "--runtime",
        choices=inputs.runtimes(),
        help="count the bits that this runtime makes otherwise than Keras, of "
        "up to 5,000 images, instead; exit code 1 if the share that differs is "
        "more than three times that on the card",
    )
    inputs.add_json(verify)


def _evaluate(chosen):
    from keras_hash.evaluation import metrics

    if chosen.out is not None and chosen.metrics:
        raise ValueError(
            "The page of `--report` shows all metrics: leave "
            f"`--metrics` out. Received: --metrics {' '.join(chosen.metrics)}"
        )
    if chosen.metrics:
        metrics.choose(chosen.metrics)
    read = [chosen.data] if chosen.data else []
    outputs.check_writable(chosen.out, "--report", read)
    with outputs.aside(chosen.json):
        card, benchmark, report = _evaluated(chosen)
        if chosen.out is not None:
            print(f"report: {chosen.out}")
    if chosen.json:
        print(report.to_json())
        return
    outputs.show(report)
    same = benchmark.checksum == card.split_checksum
    plain = not (chosen.convention or chosen.mirror)
    if same and plain and "map" in report.metrics:
        print(f"mAP on the card: {card.metrics['map']:.6f}")


def _evaluated(chosen):
    import keras_hash
    from keras_hash.evaluation import measure
    from keras_hash.evaluation import replay

    card = inputs.card(chosen.model)
    if chosen.convention is not None:
        # An unknown one is refused before images are encoded for minutes.
        replay.convention(chosen.convention)
    benchmark = _benchmark(chosen, card)
    outputs.protect(benchmark, chosen.out, "--report")
    print(benchmark.summary())
    model = _Timed(keras_hash.load(chosen.model))
    start = time.perf_counter()
    report, codes = measure(
        model,
        benchmark,
        mirror=chosen.mirror,
        k=chosen.k,
        convention=chosen.convention,
        metrics=chosen.metrics,
    )
    passed = time.perf_counter() - start
    if chosen.out is not None:
        from keras_hash import html_report

        seconds = dict(zip(codes, model.seconds))
        seconds["evaluate"] = passed - sum(model.seconds)
        real = None
        if card.magnitudes:
            real = model.real_codes(benchmark, chosen.mirror)
        page = html_report.page(
            benchmark,
            report,
            codes,
            card=card,
            seconds=seconds,
            real_codes=real,
        )
        files.write(chosen.out, page)
    return card, benchmark, report


def _benchmark(chosen, card):
    """What was asked for; by default what the card was measured on."""
    from keras_hash import data

    options = {name: getattr(chosen, name) for name in inputs.OWN}
    if chosen.data is None:
        return inputs.benchmark_of_card(
            card, options, chosen.protocol, download=True
        )
    known = data.names()
    if chosen.protocol is not None and chosen.data not in known:
        raise ValueError(
            f"`--protocol` is for {', '.join(known)}, not for images of your "
            f"own. Received: --protocol {chosen.protocol}"
        )
    return inputs.benchmark(
        chosen.data,
        options,
        chosen.protocol or "official",
        (card.recipe or {}).get("seed", 0),
    )


class _Timed:
    """An encoder that notes how long it took."""

    def __init__(self, model):
        self.bits, self.similarity = model.bits, model.similarity
        self.seconds = []
        self._model = model

    def encode(self, images, **options):
        """Packed codes of images."""
        start = time.perf_counter()
        codes = self._model.encode(images, **options)
        self.seconds.append(time.perf_counter() - start)
        return codes

    def real_codes(self, benchmark, mirror):
        """Real codes of the queries of a benchmark."""
        from keras_hash.data import images

        queries = images.some(benchmark.images, benchmark.parts["query"])
        return self._model.real_codes(queries, mirror=mirror)


def _verify(chosen):
    from keras_hash import zoo
    from keras_hash.zoo import verify

    names = []
    for name in chosen.models:
        matching = zoo.list_models(name) if set(name) & set("*?[") else []
        names += matching or [name]
    for name in names:
        # A wrong name is bad input; what follows is the entry's own fault.
        if not zoo.is_entry(name):
            inputs.card(name)
    if chosen.runtime is not None:
        _verify_runtime(chosen, names)
        return
    results, failed = [], {}
    for name in names:
        try:
            with outputs.aside(chosen.json):
                result = verify.verify(name, inputs.benchmark_of_card)
        except (ValueError, OSError) as error:
            failed[name] = str(error)
            continue
        results.append(result)
        if not result.passed:
            failed[name] = result.problems()
    if chosen.json:
        found = [result.to_dict() for result in results]
        outputs.print_json(found + _missing(found, failed))
    elif results:
        outputs.show(verify.table(results))
    if failed:
        raise inputs.CheckFailed(
            *(f"{name}: {text}" for name, text in failed.items())
        )


def _missing(found, failed):
    """Rows of JSON for what could not be measured."""
    measured = {row["name"] for row in found}
    return [
        {"name": name, "passed": False, "error": " ".join(text.split())}
        for name, text in failed.items()
        if name not in measured
    ]


def _verify_runtime(chosen, names):
    from keras_hash.zoo import verify

    found, failed = [], {}
    for name in names:
        known = (inputs.card(name).runtimes or {}).get(chosen.runtime)
        try:
            with outputs.aside(chosen.json):
                (one,) = verify.compare_runtimes(
                    name, [chosen.runtime], inputs.benchmark_of_card
                ).values()
        except (ValueError, OSError) as error:
            failed[name] = str(error)
            continue
        found.append({"name": name, "card": known, **dataclasses.asdict(one)})
        found[-1]["passed"] = True
        if not chosen.json:
            print(f"{name} on {chosen.runtime}: {one}")
        # Other processors round otherwise; these near-ties are few.
        most = 3 * known["bits_differing"] + 1e-3 if known else 0.5
        if one.bits_differing > most:
            found[-1]["passed"] = False
            said = f"{known['bits_differing']:.2g} on the card" if known else ""
            failed[name] = (
                f"{one.bits_differing:.2g} of the bits differ on "
                f"{chosen.runtime}{said and ', '}{said}"
            )
    if chosen.json:
        outputs.print_json(found + _missing(found, failed))
    if failed:
        raise inputs.CheckFailed(
            *(f"{name}: {text}" for name, text in failed.items())
        )
