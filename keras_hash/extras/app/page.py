"""A page to search an index by photo, in the browser."""

import ipaddress
import os
import pathlib
import signal
import sys

from keras_hash.extras.app import answers
from keras_hash.html_report import rendering

_STYLE = pathlib.Path(__file__).with_name("page.css")
# Seconds for which an upload is kept.
_KEPT = 3600


def load_gradio(folder):
    """Imports Gradio, so that it keeps uploads in a folder."""
    os.environ["GRADIO_TEMP_DIR"] = folder
    # It asks for news and counts its users unless it is told not to.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise ValueError(
            "`keras-hash app` needs Gradio: "
            f'pip install "keras-hash[app]" ({error})'
        ) from error


def make(search, title, k, radius, folder):
    """The page as a `gradio.Blocks`; uploads are in the folder."""
    import gradio

    def ask(upload):
        """An `Answer`, what is wrong as a str, or `None` without a photo."""
        if not upload:
            return None
        try:
            path = _uploaded(upload["path"], folder)
            return search.ask(path, upload.get("orig_name"))
        except ValueError as error:
            return str(error)

    def show(answer, k, radius):
        if answer is None:
            return "The nearest images will be here."
        if isinstance(answer, str):
            return _literal(answers.refusal(answer))
        return _literal(search.gallery(answer, int(k), int(radius)))

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
                photo, within, shown = _inputs(search, k, radius)
            with gradio.Column(scale=3, min_width=320):
                found = gradio.HTML(show(None, k, radius), elem_id="found")
        answer = gradio.State(None, time_to_live=_KEPT)
        quiet = {"api_visibility": "private", "show_progress": "hidden"}
        drawn = {"fn": show, "inputs": [answer, shown, within], **quiet}
        drawn["outputs"] = found
        # The file itself: nothing decodes it before the encoder has looked at
        # its header.
        photo.change(ask, photo, answer, preprocess=False, **quiet).then(
            **drawn
        )
        for slider in (within, shown):
            slider.change(**drawn, trigger_mode="always_last")
    page.queue(max_size=64)
    return page


def _inputs(search, k, radius):
    """The fields of the photo, the radius, and how many images are shown."""
    import gradio

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
    # A slider has two ends.
    most = min(answers.MAX_SHOWN, max(2, len(search)))
    shown = gradio.Slider(
        1, most, min(k, most), step=1, label="Images at most", elem_id="k"
    )
    return photo, within, shown


def _uploaded(path, folder):
    """A path, if it is that of an upload: a request may name any file."""
    try:
        if (
            pathlib.Path(path)
            .resolve()
            .is_relative_to(pathlib.Path(folder).resolve())
        ):
            return path
    except (OSError, TypeError, ValueError):
        pass
    raise ValueError("That is not a file that was uploaded here.")


def _literal(text):
    """HTML in which no letter means anything to a template."""
    for letter in "{}$`":
        text = text.replace(letter, f"&#{ord(letter)};")
    return str(text)


def application(page, host, port):
    """The page as an ASGI application that offers nothing else."""
    import fastapi
    import gradio

    from keras_hash.extras.app import guard

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
        max_file_size=answers.MAX_BYTES,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=gradio.themes.Default(
            font=["system-ui", "sans-serif"], font_mono=["monospace"]
        ),
        css_paths=[_STYLE],
    )
    local = ipaddress.ip_address(host).is_loopback
    hosts = {host, "localhost"} if local else None
    return guard.Guard(served, answers.MAX_BYTES, hosts)


def serve(page, listener, text):
    """Serves a page until a signal."""
    import uvicorn

    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    if not ipaddress.ip_address(host).is_loopback:
        print(
            f"keras-hash: {host} can be reached from other machines: whoever "
            "reaches it can search without a password and see the images that "
            "are found.",
            file=sys.stderr,
        )
    server = uvicorn.Server(
        uvicorn.Config(
            application(page, host, port),
            log_level="critical",
            proxy_headers=False,
            server_header=False,
            # A page that is open keeps a connection forever.
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
