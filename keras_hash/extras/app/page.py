"""A page to search an index by photo, in the browser."""

import ipaddress
import os
import pathlib
import signal
import sys

from keras_hash.extras.app import answers
from keras_hash.html_report import rendering

_STYLE = pathlib.Path(__file__).with_name("page.css")
# Tells which of the images that were found is clicked at.
_CLICK = """element.addEventListener("click", event => {
  const hit = event.target.closest("[data-hit]");
  if (hit) trigger("click", {hit: hit.dataset.hit});
});"""
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


def make(search, title, k, radius, folder, near=0):
    """The page as a `gradio.Blocks`; uploads are in the folder. `near` is the
    radius up to which copies are looked for at first."""
    import gradio

    from keras_hash.extras.app import guard

    def ask(uploads):
        """An `Answer` to each upload, or what is wrong with it as a str."""
        uploads = [uploads] if isinstance(uploads, dict) else uploads or []
        found = []
        for upload in uploads[: answers.MAX_ASKED]:
            try:
                path = upload["path"]
                if not guard.is_upload(path, folder):
                    raise ValueError(
                        "That is not a file that was uploaded here."
                    )
                found.append(search.ask(path, upload.get("orig_name")))
            except ValueError as error:
                found.append(str(error))
        if len(uploads) > len(found):
            found.append(f"{len(found)} photos can be asked for at once.")
        return found

    def more(asked, event: gradio.EventData):
        """The answer to an image among those that are shown."""
        try:
            return [search.more(asked, (event._data or {}).get("hit"))]
        except ValueError as error:
            return [str(error)]

    def show(asked, k, radius):
        if not asked:
            return "The nearest images will be here."
        return _literal(search.galleries(asked, int(k), int(radius)))

    def look(radius):
        try:
            return _literal(search.copies(radius))
        except ValueError as error:
            return _literal(answers.refusal(str(error)))

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
                photo, photos, within, shown = _inputs(search, k, radius)
            with gradio.Column(scale=3, min_width=320):
                found = gradio.HTML(
                    show([], k, radius), elem_id="found", js_on_load=_CLICK
                )
        with gradio.Accordion("Copies in the index", open=False):
            near, button, copies = _copies(search, near)
        asked = gradio.State([], time_to_live=_KEPT)
        quiet = {"api_visibility": "private", "show_progress": "hidden"}
        drawn = {"fn": show, "inputs": [asked, shown, within], **quiet}
        drawn["outputs"] = found
        # The file itself: nothing decodes it before the encoder has looked at
        # its header.
        for field, come in ((photo, photo.change), (photos, photos.upload)):
            come(ask, field, asked, preprocess=False, **quiet).then(**drawn)
        found.click(more, asked, asked, **quiet).then(**drawn)
        button.click(look, near, copies, api_visibility="private")
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
    photos = gradio.UploadButton(
        f"Several photos, up to {answers.MAX_ASKED}",
        file_count="multiple",
        elem_id="photos",
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
    return photo, photos, within, shown


def _copies(search, radius):
    """The fields to look for copies in the index, and where they come."""
    import gradio

    near = gradio.Slider(
        0,
        search.bits,
        radius,
        step=1,
        label="Most bits in which the codes of copies may differ; the pixels "
        "of the photos are compared too",
        elem_id="near",
    )
    button = gradio.Button("Look for copies", elem_id="look")
    return near, button, gradio.HTML("", elem_id="copies")


def _literal(text):
    """HTML in which no letter means anything to a template."""
    for letter in "{}$`":
        text = text.replace(letter, f"&#{ord(letter)};")
    return str(text)


def application(page, host, port, folder):
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
    # Else it takes any file of this machine for an upload.
    page.has_launched = True
    local = ipaddress.ip_address(host).is_loopback
    hosts = {host, "localhost"} if local else None
    return guard.Guard(served, answers.MAX_BYTES, folder, hosts)


def serve(page, listener, folder, text):
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
            application(page, host, port, folder),
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
