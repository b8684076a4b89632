"""`keras-hash list`, `info`, `demo` and `app`."""

import contextlib
import pathlib
import socket
import tempfile

from keras_hash.cli import inputs


def add_commands(add):
    """Adds the commands to the parser."""
    demo = add(
        "demo",
        _demo,
        "Show the whole path in minutes.",
        ["demo", "demo --epochs 5 --out pictures"],
    )
    demo.add_argument("--out", default="runs/demo", help="folder to write to")
    demo.add_argument("--epochs", type=int, default=30)

    listing = add(
        "list",
        _list,
        "List the zoo's encoders.",
        ["list", "list 'dshc_*'", "list --json | jq -r '.[].name'"],
        needs_keras=False,
    )
    listing.add_argument(
        "pattern", nargs="?", default="*", help="of names, such as 'dshc_*'"
    )
    inputs.add_json(listing)

    info = add(
        "info",
        _info,
        "Show an encoder's card, or how a benchmark is split.",
        ["info dshc_digits_30", "info runs/mine --json", "info cifar10:dshc"],
        needs_keras=False,
    )
    info.add_argument("model", help=f"{inputs.MODEL}, or DATASET:PROTOCOL")
    inputs.add_json(info)

    app = add(
        "app",
        _app,
        "Open a page to search an index by photo, in the browser; Ctrl-C "
        "stops it.",
        [
            "search dshc_cifar10_30 --images photos/ --index photos.index",
            "app --model dshc_cifar10_30 --index photos.index",
            "app --model runs/mine --index photos.index --port 8080 -k 50",
        ],
    )
    app.add_argument("--model", required=True, help=inputs.MODEL)
    app.add_argument(
        "--index",
        required=True,
        help="index that `keras-hash search --images` wrote",
    )
    app.add_argument(
        "-k", type=int, default=24, help="images shown at first (default 24)"
    )
    app.add_argument(
        "--radius",
        type=int,
        help="largest distance at first (default: as many as bits)",
    )
    app.add_argument(
        "--port",
        type=int,
        default=7860,
        help="port (default 7860; 0 takes any that is free)",
    )
    app.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at (default 127.0.0.1: this machine alone; "
        "others can search, and see what is found, at any other)",
    )


def _demo(chosen):
    from keras_hash.cli import demo

    demo.run(chosen.out, chosen.epochs)


def _list(chosen):
    from keras_hash import zoo

    cards = [zoo.card(name) for name in zoo.list_models(chosen.pattern)]
    if chosen.json:
        inputs.print_json(cards)
        return
    from rich.table import Table

    table = Table(title="Encoders in the zoo")
    for column in ("name", "method", "data", "protocol", "bits", "mAP", "MiB"):
        # A name is there to be typed: others give way on a narrow screen.
        table.add_column(column, no_wrap=column == "name")
    longest = max((len(card["name"]) for card in cards), default=0)
    table.columns[0].min_width = longest
    for card in cards:
        table.add_row(
            card["name"],
            card["method"],
            card["dataset"],
            card["protocol"],
            str(card["bits"]),
            f"{card['metrics']['map']:.4f}",
            f"{card['bytes'] / 2**20:.2f}",
        )
    inputs.show(table)


def _info(chosen):
    dataset, colon, protocol = chosen.model.partition(":")
    if colon and not pathlib.Path(chosen.model).exists():
        from keras_hash.cli import quiet

        quiet.import_keras()
        from keras_hash.data import protocols

        card = protocols.find(dataset, protocol).card()
    else:
        card = inputs.card(chosen.model)
    if chosen.json:
        inputs.print_json(card)
        return
    from rich.table import Table

    table = Table(title=card["name"], show_header=False)
    for key, value in card.items():
        if key in ("files", "model", "code_sha256"):
            continue
        if isinstance(value, dict):
            value = "\n".join(f"{k}: {v}" for k, v in value.items())
        table.add_row(key, str(value))
    inputs.show(table)


def _app(chosen):
    from keras_hash.cli import indexing
    from keras_hash.extras.app import answers
    from keras_hash.extras.app import page
    from keras_hash.zoo.encoder import FileEncoder

    card = inputs.card(chosen.model)
    index = indexing.existing(chosen.index, card)
    radius = card["bits"] if chosen.radius is None else chosen.radius
    for name, value, low, high in (
        ("-k", chosen.k, 1, answers.MAX_SHOWN),
        ("--radius", radius, 0, card["bits"]),
        ("--port", chosen.port, 0, 65535),
    ):
        if not low <= value <= high:
            raise ValueError(
                f"`{name}` should be from {low} to {high}. Received: {value}"
            )
    # All that can go wrong does so before the encoder is loaded.
    with (
        _listening(chosen.host, chosen.port) as listener,
        tempfile.TemporaryDirectory(prefix="keras-hash-app-") as folder,
    ):
        page.load_gradio(folder)
        encoder = FileEncoder(chosen.model)
        search = answers.PhotoSearch(encoder, index)
        title = f"{card['name']}, {card['bits']} bits: {len(search):,} images"
        blocks = page.make(search, title, chosen.k, radius, folder)
        page.serve(blocks, listener, f"{title} in {chosen.index}")


@contextlib.contextmanager
def _listening(host, port):
    """A socket that listens, closed at the end."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family)
    except OSError as error:
        # Python says the address twice.
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise ValueError(
            f"Cannot listen at {host}, port {port}: {reason}. Give another "
            "`--port`, or `--port 0` for any that is free."
        ) from error
    with listener:
        yield listener
