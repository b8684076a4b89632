"""`keras-hash app`: a page to search by photo, from `extras.app`."""

import contextlib
import errno
import socket
import tempfile

from keras_hash.cli import indexing
from keras_hash.cli import inputs


def add_commands(add):
    """Adds the command to the parser."""
    app = add(
        "app",
        _app,
        "Open a page to search an index by photo, in the browser; Ctrl-C "
        "stops it.",
        [
            "search photos_256 --images photos/ --index photos.index",
            "app --index photos.index",
            "app --model runs/mine --index photos.index --port 8080 -k 50",
        ],
    )
    app.add_argument(
        "--model",
        default=inputs.GENERAL,
        help=f"{inputs.MODEL} (default {inputs.GENERAL})",
    )
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
        help="address to listen at (default 127.0.0.1: this machine alone; at "
        "any other address, others can search and see what is found)",
    )
    inputs.add_runtime(app, index=True)


def _app(chosen):
    from keras_hash.extras.app import answers
    from keras_hash.extras.app import page

    card = inputs.card(chosen.model)
    radius = card.bits if chosen.radius is None else chosen.radius
    answers.check_within("-k", chosen.k, 1, answers.MAX_SHOWN)
    answers.check_within("--radius", radius, 0, card.bits)
    answers.check_within("--port", chosen.port, 0, 65535)
    index = indexing.existing(chosen.index, card, chosen)
    index.check_paths()
    # All that can go wrong does so before the encoder is loaded.
    with (
        _listening(chosen.host, chosen.port) as listener,
        tempfile.TemporaryDirectory(prefix="keras-hash-app-") as folder,
    ):
        page.load_gradio(folder)
        encoder = inputs.file_encoder(chosen.model, chosen.runtime)
        search = answers.PhotoSearch(encoder, index, card.magnitudes)
        title = f"{card.name}, {card.bits} bits: {len(search):,} images"
        near = 0
        with contextlib.suppress(ValueError):
            # As `duplicates` does: the pixels decide.
            near = card.radius(1e-4)
        blocks = page.make(search, title, chosen.k, radius, folder, near)
        page.serve(blocks, listener, folder, f"{title} in {chosen.index}")


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
        remedy = "another `--port`, or `--port 0` for any that is free"
        elsewhere = error.errno == errno.EADDRNOTAVAIL
        if elsewhere or isinstance(error, socket.gaierror):
            remedy = "an address of this machine to `--host`"
        raise ValueError(
            f"Cannot listen at {host}, port {port}: {reason}. Give {remedy}."
        ) from error
    with listener:
        yield listener
