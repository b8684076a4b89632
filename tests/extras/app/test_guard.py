"""What reaches the page's server: requests, with the guard and without it."""

import asyncio
import http.server
import os
import pathlib
import threading
import time

import pytest

from keras_hash.extras.app import answers
from keras_hash.extras.app import page

guard = pytest.importorskip("keras_hash.extras.app.guard")

URL = "http://127.0.0.1:7860"
UPLOAD, JOIN = "/gradio_api/upload", "/gradio_api/queue/join"


class Search:
    """Stands for a search, and says which files it was asked for."""

    bits = 30

    def __init__(self):
        self.asked = []

    def __len__(self):
        return 20

    def ask(self, path, name=None):
        self.asked.append(path)
        raise ValueError("asked")


@pytest.fixture(scope="module")
def app(framework, tmp_path_factory):
    """The guarded page, the search behind it and the folder of uploads."""
    folder = tmp_path_factory.mktemp("app") / "uploads"
    folder.mkdir()
    (folder.parent / "secret.png").write_bytes(b"secret")
    (folder / "link").symlink_to(folder.parent / "secret.png")
    (folder.parent / "uploads2").mkdir()
    search = Search()
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "GRADIO_TEMP_DIR",
            "GRADIO_ANALYTICS_ENABLED",
            "HF_HUB_DISABLE_TELEMETRY",
        ):
            patch.setenv(name, "")
        page.load_gradio(str(folder))
        blocks = page.make(search, "digits", 10, 30, str(folder))
        served = page.application(blocks, "127.0.0.1", 7860, str(folder))
        yield served, search, folder


def client(app, **options):
    from starlette import testclient

    return testclient.TestClient(app, URL, **options)


@pytest.fixture(scope="module")
def guarded(app):
    with client(app[0]) as served:
        yield served


@pytest.fixture(scope="module")
def bare(app, guarded):
    """The same page with nothing but Gradio's settings."""
    return client(app[0]._app, raise_server_exceptions=False)


def photo(name="a.png", content=b"abc"):
    return "files", (name, content, "image/png")


def named(path):
    """A request for the answer to a file."""
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    return {"data": [file], "session_hash": "s", "fn_index": 0}


def asked(served, path):
    """What the page's function answers for a file that a request names."""
    return served.post("/gradio_api/run/ask", json=named(path))


def test_the_page_works(app, guarded):
    for path in ("/", "/config", "/theme.css", "/gradio_api/startup-events"):
        answer = guarded.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
    assert b"Search by photo" in guarded.get("/").content
    assert guarded.head("/").status_code == 200
    for host in ("localhost:1", "127.0.0.1"):
        headers = {"host": host, "origin": f"http://{host}"}
        assert guarded.get("/", headers=headers).status_code == 200
    (path,) = guarded.post(UPLOAD, files=[photo()]).json()
    assert pathlib.Path(path).is_relative_to(app[2])
    assert guarded.get(f"/gradio_api/file={path}").content == b"abc"
    assert guarded.post(JOIN, json=named(path)).status_code == 200
    deadline = time.monotonic() + 60
    while not app[1].asked and time.monotonic() < deadline:
        time.sleep(0.01)
    assert app[1].asked.pop() == path


def test_gradio_serves_no_other_file_and_asks_no_other_server(app, bare):
    """What the guard needs no line for."""
    seen = []

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.send_error(404)

        def log_message(self, *words):
            pass

    folder = app[2]
    with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
        thread = threading.Thread(target=other.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{other.server_port}/a.png"
        for path in (
            url,
            "http://example.org/a.png",
            f"{folder.parent}/secret.png",
            f"{folder}/../secret.png",
            f"{folder}/link",
            f"{folder.parent}/uploads2",
            "secret.png",
            "%00",
        ):
            for way in ("file=", "file/", "proxy="):
                answer = bare.get(f"/gradio_api/{way}{path}")
                assert answer.status_code >= 400, (way, path)
        assert asked(bare, url).status_code == 500
        other.shutdown()
    assert not seen
    assert not app[1].asked


def test_only_uploads_are_searched_for(app, guarded, bare):
    """Nor copied by Gradio, or waited for, such as a pipe."""
    _, search, folder = app
    os.mkfifo(folder.parent / "pipe.png")
    for path in (
        f"{folder.parent}/secret.png",
        f"{folder}/../secret.png",
        f"{folder}/link",
        f"{folder.parent}/uploads2",
        f"{folder.parent}/pipe.png",
        "http://127.0.0.1:1/a.png",
        "secret.png",
        "\0",
        ["a"],
        5,
    ):
        if "http" not in str(path):
            asked(bare, path)
        answer = guarded.post(JOIN, json={"a": [named(path)]})
        assert answer.status_code == 403, path
        assert "not a file that was uploaded here" in answer.text
    assert search.asked == []
    assert not [*folder.rglob("*secret*"), *folder.rglob("*pipe*")]
    (path,) = bare.post(UPLOAD, files=[photo()]).json()
    assert asked(bare, path).status_code == 200
    assert search.asked == [path]
    search.asked.clear()


@pytest.mark.parametrize(
    "method, path, opens",
    [
        # These get through without the guard.
        ("GET", "/gradio_api/info", True),
        ("GET", "/gradio_api/openapi.json", True),
        ("GET", "/gradio_api/app_id", True),
        ("GET", "/gradio_api/queue/status", True),
        ("GET", "/gradio_api/deep_link?session_hash=a", True),
        ("POST", "/gradio_api/run/ask", True),
        ("POST", "/gradio_api/api/show", True),
        # These Gradio refuses too, today.
        ("GET", "/docs", False),
        ("GET", "/gradio_api/proxy=https://example.org", False),
        ("POST", "/gradio_api/vibe-edit", False),
        ("POST", "/gradio_api/process_recording", False),
        ("POST", "/", False),
        ("DELETE", "/", False),
    ],
)
def test_nothing_else_is_there(guarded, bare, method, path, opens):
    body = {"data": [None, 3, 3], "session_hash": "s"}
    json = body if method == "POST" else None
    answer = bare.request(method, path, json=json)
    assert (answer.status_code == 200) == opens, answer.text
    answer = guarded.request(method, path, json=json)
    assert answer.status_code == 404
    assert answer.text == "There is nothing here."
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_other_names_and_other_sites(guarded, bare):
    for host in ("evil.example", "127.0.0.1.evil.example", "", "[::1"):
        headers = {"host": host}
        assert guarded.get("/", headers=headers).status_code == 421, host
    assert bare.get("/", headers={"host": "evil.example"}).status_code == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        headers = {"origin": origin}
        sent = {"files": [photo()], "headers": headers}
        assert guarded.get("/", headers=headers).status_code == 403, origin
        assert guarded.post(UPLOAD, **sent).status_code == 403, origin
        assert bare.post(UPLOAD, **sent).status_code == 200


def test_requests_are_of_a_bounded_size(guarded, bare):
    most = answers.MAX_BYTES
    # Gradio sees that a file is too large, but not how many there are.
    large = photo(content=bytes(most + 1))
    assert bare.post(UPLOAD, files=[large]).status_code == 413
    halves = [photo(f"{i}.png", bytes(most // 2)) for i in range(3)]
    assert bare.post(UPLOAD, files=halves).status_code == 200
    assert guarded.post(UPLOAD, files=halves).status_code == 413
    # What comes after the bound is read, or a browser would see no answer.
    read = []

    async def receive():
        read.append(None)
        body = bytes(1 << 20)
        return {"type": "http.request", "body": body, "more_body": True}

    asyncio.run(guard._read(receive, 3 << 20, keep=False))
    assert len(read) == 4
    body = {"data": ["x" * (1 << 16)], "session_hash": "s", "fn_index": 0}
    assert bare.post(JOIN, json=body).status_code == 200
    assert guarded.post(JOIN, json=body).status_code == 413
    for odd in ("-1", "many", ""):
        answer = guarded.post(JOIN, headers={"content-length": odd})
        assert answer.status_code == 411, odd
    # A generator is sent in chunks, without a length.
    assert guarded.post(JOIN, content=iter([b"{}"])).status_code == 411
    for content in (b"{", b"[" * 50_000):
        answer = guarded.post(JOIN, content=content)
        assert answer.status_code in (400, 422)


def test_no_websocket(guarded):
    from starlette import websockets

    with (
        pytest.raises(websockets.WebSocketDisconnect),
        guarded.websocket_connect("/gradio_api/queue/join"),
    ):
        pass
