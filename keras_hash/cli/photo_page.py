"""`keras-hash app`: a page to search an index by photo, in the browser."""

import contextlib
import ipaddress
import os
import signal
import socket
import sys
import tempfile

from keras_hash.cli import inputs

_STYLE = """
#photo img { width: 100%; height: 100%; object-fit: contain; }
.answer p { margin: 0 0 .6rem; overflow-wrap: anywhere; }
.answer .note { opacity: .8; font-size: .9em; }
p.answer { border-left: 4px solid #c8322a; padding: .2rem .8rem;
  overflow-wrap: anywhere; }
.hits { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); }
.hits figure { margin: 0; min-width: 0; line-height: 1.3; }
.hits figcaption { font-size: .85em; margin-top: .25rem;
  overflow-wrap: anywhere; }
.hits figcaption b { display: inline-block; min-width: 1.8em; padding: 0 .3em;
  margin-right: .3em; text-align: center; border-radius: 4px;
  background: var(--block-border-color); font-variant-numeric: tabular-nums; }
.hits .picture { display: grid; place-items: center; aspect-ratio: 1;
  background: var(--background-fill-secondary); border-radius: 6px;
  overflow: hidden; font-size: .85em; }
.hits .picture img { width: 100%; height: 100%; object-fit: contain;
  margin: 0; }
.hits .picture img.tiny { image-rendering: pixelated; }
@media (max-width: 40rem) {
  .hits { grid-template-columns: repeat(3, 1fr); gap: .5rem; }
}
"""
# Seconds for which an upload is kept.
_KEPT = 3600


def add_commands(add):
    """Adds the command to the parser.

    Args:
        add: function that makes a command, see `app.make_parser`.
    """
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


def _app(chosen):
    from keras_hash.cli import indexing
    from keras_hash.cli import photo_search
    from keras_hash.zoo.encoder import FileEncoder

    card = inputs.card(chosen.model)
    index = indexing.existing(chosen.index, card)
    radius = card["bits"] if chosen.radius is None else chosen.radius
    for name, value, low, high in (
        ("-k", chosen.k, 1, photo_search.MAX_SHOWN),
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
        gradio = _gradio(folder)
        encoder = FileEncoder(chosen.model)
        search = photo_search.PhotoSearch(encoder, index)
        title = f"{card['name']}, {card['bits']} bits: {len(search):,} images"
        page = _page(gradio, search, title, chosen.k, radius)
        _serve(page, listener, folder, f"{title} in {chosen.index}")


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


def _gradio(folder):
    """Gradio, that keeps uploads in a folder."""
    os.environ["GRADIO_TEMP_DIR"] = folder
    # It asks for news and counts its users unless it is told not to.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio
    except ImportError as error:
        raise ValueError(
            "`keras-hash app` needs Gradio: "
            f'pip install "keras-hash[app]" ({error})'
        ) from error
    return gradio


def _page(gradio, search, title, k, radius):
    """The page as a `gradio.Blocks`."""
    from keras_hash.cli import photo_search
    from keras_hash.html_report import rendering

    def ask(upload):
        """An `Answer`, what is wrong as a str, or `None` without a photo."""
        if not upload:
            return None
        try:
            return search.ask(upload["path"], upload.get("orig_name"))
        except ValueError as error:
            return str(error)

    def show(answer, k, radius):
        if answer is None:
            return "The nearest images will be here."
        if isinstance(answer, str):
            return _literal(photo_search.refusal(answer))
        return _literal(search.gallery(answer, int(k), int(radius)))

    # A slider has two ends.
    most = min(photo_search.MAX_SHOWN, max(2, len(search)))
    heading = rendering.render("app/heading.html", title=title)
    with gradio.Blocks(
        title="Search by photo",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(_KEPT, _KEPT),
    ) as page:
        gradio.HTML(_literal(heading))
        with gradio.Row():
            with gradio.Column(scale=1, min_width=260):
                photo = gradio.Image(
                    label="Photo: drop, choose or paste one",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard"],
                    buttons=[],
                    height=280,
                    elem_id="photo",
                )
                within = gradio.Slider(
                    0,
                    search.bits,
                    radius,
                    step=1,
                    label="Radius: the largest distance",
                    elem_id="radius",
                )
                shown = gradio.Slider(
                    1,
                    most,
                    min(k, most),
                    step=1,
                    label="Images at most",
                    elem_id="k",
                )
            with gradio.Column(scale=3, min_width=320):
                found = gradio.HTML(show(None, k, radius), elem_id="found")
        answer = gradio.State(None, time_to_live=_KEPT)
        drawn = {
            "fn": show,
            "inputs": [answer, shown, within],
            "outputs": found,
            "api_visibility": "private",
            "show_progress": "hidden",
        }
        # The file itself: nothing decodes it before the encoder has looked at
        # its header.
        photo.change(
            ask,
            photo,
            answer,
            preprocess=False,
            api_visibility="private",
            show_progress="hidden",
        ).then(**drawn)
        for slider in (within, shown):
            slider.change(**drawn, trigger_mode="always_last")
    page.queue(max_size=64)
    return page


def _literal(text):
    """HTML in which no letter means anything to a template."""
    for letter in "{}$`":
        text = text.replace(letter, f"&#{ord(letter)};")
    return text


def _serve(page, listener, folder, text):
    """Serves a page until a signal."""
    import fastapi
    import gradio
    import uvicorn

    from keras_hash.cli import photo_guard
    from keras_hash.cli import photo_search

    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    hosts = None
    if ipaddress.ip_address(host).is_loopback:
        hosts = {host, "localhost"}
    else:
        print(
            f"keras-hash: {host} is not this machine alone: whoever reaches "
            "it can search without a password and see the images that are "
            "found.",
            file=sys.stderr,
        )
    served = gradio.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None),
        page,
        path="/",
        server_name=host,
        server_port=port,
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        max_file_size=photo_search.MAX_BYTES,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=gradio.themes.Default(
            font=["system-ui", "sans-serif"], font_mono=["monospace"]
        ),
        css=_STYLE,
    )
    server = uvicorn.Server(
        uvicorn.Config(
            photo_guard.Guard(served, folder, photo_search.MAX_BYTES, hosts),
            log_level="critical",
            proxy_headers=False,
            server_header=False,
            # A page that is open keeps a connection for ever.
            timeout_graceful_shutdown=1,
        )
    )
    print(f"{text}: http://{shown}:{port} (Ctrl-C stops)", flush=True)
    # What was uploaded is removed after `kill` too.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        server.run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, before)
