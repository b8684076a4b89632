"""The guard in front of the page: what it lets through and refuses."""

import asyncio
import json

import pytest

from keras_hash.extras.app.guard import Guard


def through(guard, method, path, headers=(), body=b"", parts=1):
    """Status, headers and body of an answer, and what passed the guard."""
    given = {"host": "127.0.0.1:7860", **dict(headers)}
    if method == "POST" and "content-length" not in given:
        given["content-length"] = str(len(body))
    given = {k: v for k, v in given.items() if v is not None}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(k.encode(), v.encode()) for k, v in given.items()],
    }
    step = -(-len(body) // parts) or 1
    pieces = [body[i : i + step] for i in range(0, len(body), step)] or [b""]
    messages = [
        {"type": "http.request", "body": piece, "more_body": True}
        for piece in pieces
    ]
    messages[-1]["more_body"] = False
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    start, *rest = sent
    answer = {k.decode(): v.decode() for k, v in start["headers"]}
    return start["status"], answer, b"".join(m["body"] for m in rest)


@pytest.fixture
def guard(tmp_path):
    """A guard in front of an application that says what it received."""

    async def app(scope, receive, send):
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        headers = [(b"referrer-policy", b"unsafe-url"), (b"x-own", b"1")]
        await send(
            {"type": "http.response.start", "status": 200, "headers": headers}
        )
        await send({"type": "http.response.body", "body": b"saw " + body})

    hosts = {"127.0.0.1", "localhost", "::1"}
    (tmp_path / "uploads").mkdir()
    return Guard(app, tmp_path / "uploads", 100, hosts)


def test_the_guard_lets_the_page_work(guard, tmp_path):
    for path in ("/", "/assets/index-a1.js", "/gradio_api/heartbeat/abc1"):
        status, headers, body = through(guard, "GET", path)
        assert (status, body) == (200, b"saw ") and headers["x-own"] == "1"
        # Once, and ours.
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'self'" in headers["content-security-policy"]
    file = f"/gradio_api/file={tmp_path}/uploads/a/b.png"
    assert through(guard, "GET", file)[0] == 200
    for host in ("localhost:1", "[::1]:80", "127.0.0.1"):
        origin = {"host": host, "origin": f"http://{host}"}
        assert through(guard, "GET", "/", origin)[0] == 200
    body = json.dumps({"data": [{"path": f"{tmp_path}/uploads/a.png"}, 3]})
    for parts in (1, 7):
        status, _, seen = through(
            guard, "POST", "/gradio_api/queue/join", body=body.encode(),
            parts=parts,
        )  # fmt: skip
        assert (status, seen) == (200, b"saw " + body.encode())


def test_the_guard_refuses_all_else(guard, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"x")
    (tmp_path / "uploads" / "link").symlink_to(secret)
    (tmp_path / "uploads2").mkdir()
    for path in (
        "/gradio_api/file=http://example.org/a.png",
        f"/gradio_api/file={secret}",
        f"/gradio_api/file={tmp_path}/uploads/../secret.png",
        f"/gradio_api/file={tmp_path}/uploads/link",
        f"/gradio_api/file={tmp_path}/uploads2",
        "/gradio_api/file=secret.png",
        "/gradio_api/file=\x00",
        "/gradio_api/proxy=https://example.org",
        f"/gradio_api/file/{secret}",
        "/gradio_api/info",
        "/docs",
    ):
        assert through(guard, "GET", path)[0] == 404, path
    for path in ("/gradio_api/run/ask", "/gradio_api/vibe-edit", "/"):
        assert through(guard, "POST", path)[0] == 404, path
    assert through(guard, "DELETE", "/")[0] == 404
    # Another name that leads here; a page of another site.
    for host in ("evil.example", "127.0.0.1.evil.example", "", "[::1"):
        assert through(guard, "GET", "/", {"host": host})[0] == 421, host
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        for method in ("GET", "POST"):
            path = "/" if method == "GET" else "/gradio_api/upload"
            seen = through(guard, method, path, {"origin": origin})
            assert seen[0] == 403, origin
    join, upload = "/gradio_api/queue/join", "/gradio_api/upload"
    for path in (
        str(secret),
        "http://example.org/a.png",
        f"{tmp_path}/uploads/../secret.png",
        f"{tmp_path}/uploads/link",
        ["a"],
        5,
    ):
        body = json.dumps({"data": [[{"a": {"path": path}}]]}).encode()
        assert through(guard, "POST", join, body=body)[0] == 403, path
    assert through(guard, "POST", join, body=b"{")[0] == 403
    assert through(guard, "POST", join, body=b"[" * 50_000)[0] == 403
    # Sizes, by what was said and before anything is read.
    long = {"content-length": str(100 + (1 << 16) + 1)}
    assert through(guard, "POST", upload, long)[0] == 413
    long = {"content-length": str((1 << 16) + 1)}
    assert through(guard, "POST", join, long)[0] == 413
    for odd in (None, "-1", "many"):
        assert through(guard, "POST", join, {"content-length": odd})[0] == 411
    chunked = {"transfer-encoding": "chunked"}
    assert through(guard, "POST", join, chunked)[0] == 411

    sent = []

    async def send(message):
        sent.append(message["type"])

    scope = {"type": "websocket", "path": "/", "headers": []}
    asyncio.run(guard(scope, None, send))
    assert sent == ["websocket.close"]
