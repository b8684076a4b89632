"""What Gradio's own settings leave open on the server of `keras-hash app`.

Gradio itself serves no file but uploads, asks no other server and bounds an
uploaded file. Each line here shuts what a request was seen to get through.
"""

import json
import pathlib
import re
from urllib import parse

from starlette import datastructures
from starlette import responses

# What the page asks for, by method; `api_visibility="private"` hides functions
# from listings, but leaves `/gradio_api/run/...` and more open.
_ALLOWED = {
    "GET": r"/(config/?|theme\.css|favicon\.ico|manifest\.json)?"
    r"|/(assets|static)/.*"
    r"|/gradio_api/(startup-events|queue/data|upload_progress|heartbeat/\w+"
    r"|file=.*)",
    "POST": r"/gradio_api/(upload|queue/join|cancel|reset/?)",
}
_UPLOAD = "/gradio_api/upload"
# Bytes around an uploaded file, and of any other request.
_AROUND, _SMALL = 1 << 16, 1 << 16
_HEADERS = {
    # Nothing is fetched from elsewhere, whatever a name or a label says.
    "content-security-policy": "default-src 'self'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Guard:
    """An ASGI application in front of Gradio's."""

    def __init__(self, app, max_bytes, folder, hosts=None):
        """`folder` is that of uploads; `hosts` are the names of this server,
        `None` stands for any."""
        self._app, self._max_bytes, self._hosts = app, max_bytes, hosts
        self._folder = folder

    async def __call__(self, scope, receive, send):
        """Passes one connection on, or refuses it."""

        async def add_headers(message):
            if message["type"] == "http.response.start":
                datastructures.MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        app = self._app
        if scope["type"] == "http":
            refused = self._refused(scope)
            small = scope["method"] == "POST" and scope["path"] != _UPLOAD
            if refused is None and small:
                body = await _read(receive, _SMALL)
                receive = _again(body, receive)
                if not self._names_uploads(body):
                    refused = 403, "That is not a file that was uploaded here."
            if refused is not None:
                status, text = refused
                if status == 413:
                    # A browser that still sends would not see the answer.
                    await _read(receive, 8 * self._max_bytes, keep=False)
                # What is not read of the request ends with the connection.
                app = responses.PlainTextResponse(
                    text, status, {"connection": "close"}
                )
        await app(scope, receive, add_headers)

    def _refused(self, scope):
        """A status and a text, or `None`."""
        headers = datastructures.Headers(scope=scope)
        host = headers.get("host", "")
        # Another web site may point its own name here.
        if self._hosts is not None and _name(host) not in self._hosts:
            return 421, "Not the name of this server."
        origin = headers.get("origin")
        if origin is not None and parse.urlsplit(origin).netloc != host:
            return 403, "Not from this page."
        method, path = scope["method"], scope["path"]
        method = "GET" if method == "HEAD" else method
        if not re.fullmatch(_ALLOWED.get(method, "(?!)"), path):
            return 404, "There is nothing here."
        if method != "POST":
            return None
        # Gradio bounds each file of a request, not their number, nor JSON.
        most = self._max_bytes + _AROUND if path == _UPLOAD else _SMALL
        length = headers.get("content-length", "")
        if not length.isdecimal() or "transfer-encoding" in headers:
            return 411, "The length of the request is missing."
        if int(length) > most:
            return 413, f"More than {most} bytes."
        return None

    def _names_uploads(self, body):
        """Whether all files that a request names were uploaded: Gradio copies
        others, or waits for a pipe, before the page sees their names."""
        try:
            left = [json.loads(body)]
        except (ValueError, RecursionError):
            # Gradio refuses it.
            return True
        while left:
            value = left.pop()
            if isinstance(value, dict):
                if "path" in value and not is_upload(
                    value["path"], self._folder
                ):
                    return False
                left += value.values()
            elif isinstance(value, list):
                left += value
        return True


def is_upload(path, folder):
    """Whether a path is that of an upload: a request may name any file."""
    try:
        whole = pathlib.Path(path).resolve()
        return whole.is_relative_to(pathlib.Path(folder).resolve())
    except (OSError, TypeError, ValueError):
        return False


async def _read(receive, most, keep=True):
    """The body of a request, or only its reading, up to so many bytes."""
    found, count, more = [], 0, True
    while more and count <= most:
        message = await receive()
        more = message.get("more_body", False)
        count += len(message.get("body", b""))
        if keep:
            found.append(message.get("body", b""))
    return b"".join(found)


def _again(body, receive):
    """A `receive` that yields a body which was read, then what follows."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def first():
        return left.pop() if left else await receive()

    return first


def _name(host):
    """A host header without its port."""
    try:
        return parse.urlsplit(f"//{host}").hostname
    except ValueError:
        return None
