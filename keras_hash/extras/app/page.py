"""A page to search an index by photo, in the browser."""

import ipaddress
import os
import signal
import sys

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


def load_gradio(folder):
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


def make(gradio, search, title, k, radius):
    """The page as a `gradio.Blocks`."""
    from keras_hash import markup
    from keras_hash.extras.app import answers

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
            return _literal(answers.refusal(answer))
        return _literal(search.gallery(answer, int(k), int(radius)))

    # A slider has two ends.
    most = min(answers.MAX_SHOWN, max(2, len(search)))
    heading = markup.tag("h1", "Search by photo") + markup.tag("p", title)
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
    return str(text)


def serve(blocks, listener, folder, text):
    """Serves a page until a signal."""
    import fastapi
    import gradio
    import uvicorn

    from keras_hash.extras.app import answers
    from keras_hash.extras.app import guard

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
        blocks,
        path="/",
        server_name=host,
        server_port=port,
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        max_file_size=answers.MAX_BYTES,
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
            guard.Guard(served, folder, answers.MAX_BYTES, hosts),
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
