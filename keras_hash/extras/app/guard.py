"""What may reach the server of `keras-hash app`, and what its page may fetch.

A web framework offers far more than one page needs: files by their path or
their URL, recordings, other servers' answers. Only what the page asks for
passes here, of a bounded size, from the page itself.
"""

import json
import pathlib
import re
from urllib import parse

# What the page asks for, by method; `_UPLOADED` is looked at more closely.
_ALLOWED = {
    "GET": r"/(config/?|theme\.css|favicon\.ico|manifest\.json)?"
    r"|/(assets|static)/.*"
    r"|/gradio_api/(startup-events|queue/data|upload_progress|heartbeat/\w+)",
    "POST": r"/gradio_api/(upload|queue/join|cancel|reset/?)",
}
_UPLOADED = "/gradio_api/file="
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
    """An ASGI application in front of another one.

    Args:
        app: the other one.
        folder: str or path, where uploads are kept: the only files that a
            request may name.
        max_bytes: int, of an uploaded file.
        hosts: set of str, names by which this server may be called, so that no
            other web site can point its own name here; `None` for any.
    """

    def __init__(self, app, folder, max_bytes, hosts=None):
        self._app, self._max_bytes, self._hosts = app, max_bytes, hosts
        self._folder = pathlib.Path(folder).resolve()

    async def __call__(self, scope, receive, send):
        """Passes one connection on, or refuses it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        status, text = self._refused(scope)
        body = b""
        if status is None and scope["method"] == "POST":
            most = _SMALL
            if scope["path"] == _UPLOAD:
                most = self._max_bytes + _AROUND
            headers = _headers(scope)
            length = headers.get("content-length", "")
            if not length.isdecimal() or "transfer-encoding" in headers:
                status, text = 411, "The length of the request is missing."
            elif int(length) > most:
                status, text = 413, f"More than {most} bytes."
            elif scope["path"] != _UPLOAD:
                # The server below reads no more than the length that was said.
                body = await _body(receive)
                receive = _again(body, receive)
                if not self._names_uploads(body):
                    status, text = 403, "A file that was not uploaded here."
        if status is not None:
            await _answer(send, status, text)
            return
        await self._app(scope, receive, _with_headers(send))

    def _refused(self, scope):
        """A status and a text, or twice `None`."""
        headers = _headers(scope)
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            return 421, "Not the name of this server."
        origin = headers.get("origin")
        if origin is not None and parse.urlsplit(origin).netloc != host:
            return 403, "Not from this page."
        method, path = scope["method"], scope["path"]
        method = "GET" if method == "HEAD" else method
        if method == "GET" and path.startswith(_UPLOADED):
            if self._is_upload(path.removeprefix(_UPLOADED)):
                return None, None
        elif re.fullmatch(_ALLOWED.get(method, "(?!)"), path):
            return None, None
        return 404, "There is nothing here."

    def _is_upload(self, path):
        try:
            path = pathlib.Path(path)
            return path.is_absolute() and path.resolve().is_relative_to(
                self._folder
            )
        except (OSError, TypeError, ValueError):
            return False

    def _names_uploads(self, body):
        """Whether all files that are named in JSON were uploaded."""
        if not body:
            return True
        try:
            waiting = [json.loads(body)]
        except (ValueError, RecursionError):
            return False
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                path = value.get("path")
                if path is not None and not self._is_upload(path):
                    return False
                waiting += value.values()
            elif isinstance(value, list):
                waiting += value
        return True


def _headers(scope):
    return {
        name.decode("latin-1").lower(): value.decode("latin-1")
        for name, value in scope["headers"]
    }


def _name(host):
    """A host header without its port."""
    try:
        return parse.urlsplit(f"//{host}").hostname
    except ValueError:
        return None


async def _body(receive):
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _again(body, receive):
    """A function that receives a body that was read before."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def read():
        return messages.pop() if messages else await receive()

    return read


async def _answer(send, status, text):
    content = text.encode()
    headers = {
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(len(content)),
        "connection": "close",
        **_HEADERS,
    }
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": content})


def _with_headers(send):
    """Sends what the application sends, with our headers."""

    async def add(message):
        if message["type"] == "http.response.start":
            kept = [
                (name, value)
                for name, value in message.get("headers", [])
                if name.decode("latin-1").lower() not in _HEADERS
            ]
            kept += [(k.encode(), v.encode()) for k, v in _HEADERS.items()]
            message = {**message, "headers": kept}
        await send(message)

    return add
