"""The page to search by photo: its answers, its guard, and it in a browser."""

import asyncio
import base64
import collections
import contextlib
import html.parser
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import types
import urllib.error
import urllib.parse
import urllib.request
import zlib

import numpy as np
import pytest
from PIL import Image

import keras_hash
from keras_hash import cli
from keras_hash.cli import photo_guard
from keras_hash.cli import photo_index
from keras_hash.cli import photo_page
from keras_hash.cli import photo_search
from keras_hash.data import cifar10

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAME = "dshc_digits_30"
BITS = 12
HOSTILE = [
    "<script>top.hit=1<",
    "<img src=x onerror=top.hit=1>",
    "${top.hit=1}",
    "{{#each this}}`${top.hit=1}`",
    "quo\"te' onmouseover=top.hit=1 x=",
    "\u202eturned",
]


def coded(similarity="hamming", count=60, bits=BITS, ids=None):
    """A search in few different codes, its codes, and those of queries."""
    random = np.random.RandomState(0)
    codes = keras_hash.codes.pack(random.randn(9, bits))
    codes = codes[random.randint(9, size=count)]
    ids = [f"photos/{i}.png" for i in range(count)] if ids is None else ids
    index = keras_hash.Index(bits, codes, ids, similarity=similarity)
    queries = keras_hash.codes.pack(random.randn(5, bits))

    def encode(paths):
        known = [p for p in paths if pathlib.Path(p).name.isdecimal()]
        places = [int(pathlib.Path(p).name) for p in known]
        refused = {p: "no code" for p in paths if p not in known}
        return queries[places], known, refused

    stored = types.SimpleNamespace(path="my.index", index=index)
    return photo_search.PhotoSearch(encode, stored), codes, queries


@pytest.mark.parametrize("similarity", ["hamming", "and"])
def test_answers_are_those_of_brute_force(similarity, tmp_path):
    search, codes, queries = coded(similarity)
    assert search.bits == BITS and len(search) == 60
    for number in range(5):
        path = tmp_path / str(number)
        path.write_bytes(b"an image, says the encoder")
        answer = search.ask(path)
        assert answer.name == str(number)
        query = np.unpackbits(queries[number])[:BITS]
        items = np.unpackbits(codes, axis=1)[:, :BITS]
        if similarity == "and":
            distances = BITS - (items & query).sum(axis=1)
        else:
            distances = (items != query).sum(axis=1)
        order = sorted(range(60), key=lambda i: (distances[i], i))
        wanted = [(f"photos/{i}.png", distances[i]) for i in order]
        for radius in range(BITS + 1):
            inside = [pair for pair in wanted if pair[1] <= radius]
            assert answer.within[radius] == len(inside)
            for k in (1, 7, photo_search.MAX_SHOWN):
                assert answer.chosen(k, radius) == inside[:k]
    for k, radius in ((0, 1), (101, 1), (1, -1), (1, BITS + 1), (1, 0.5)):
        with pytest.raises(ValueError, match="should be an int from"):
            answer.chosen(k, radius)


def test_no_more_than_a_hundred_are_kept(tmp_path):
    search, _, _ = coded(count=1000)
    (tmp_path / "0").write_bytes(b"x")
    answer = search.ask(tmp_path / "0")
    assert len(answer.nearest) == 100 and answer.within[-1] == 1000
    with pytest.raises(ValueError, match=r"my.index is empty; fill it"):
        coded(count=0)


class Elements(html.parser.HTMLParser):
    """Start tags with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag, **attributes):
        wanted = {k.rstrip("_"): v for k, v in attributes.items()}
        return [
            found
            for name, found in self.tags
            if name == tag and wanted.items() <= found.items()
        ]


@pytest.fixture
def photos(tmp_path, monkeypatch, rng):
    """60 image files, the ids of `coded`, from the folder where they are."""
    monkeypatch.chdir(tmp_path)
    pathlib.Path("photos").mkdir()
    for i in range(60):
        pixels = rng.randint(256, size=(30, 40, 3)).astype("uint8")
        Image.fromarray(pixels).save(f"photos/{i}.png")
    pathlib.Path("0").write_bytes(b"x")
    return tmp_path


def test_the_gallery_shows_the_files(photos):
    search, _, _ = coded()
    answer = search.ask("0", "holiday.jpg")
    for k, radius in ((10, BITS), (100, 5), (3, answer.nearest[0][1])):
        found = Elements(search.gallery(answer, k, radius))
        chosen = answer.chosen(k, radius)
        pictures = found.all("div", class_="picture")
        assert [each["title"] for each in pictures] == [i for i, _ in chosen]
        for (item, distance), image in zip(chosen, found.all("img")):
            assert image["alt"] == f"{item}, distance {distance}"
            kind, _, content = image["src"].partition(";base64,")
            assert kind == "data:image/png"
            np.testing.assert_array_equal(
                np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))),
                np.asarray(Image.open(item)),
            )
            assert f"{distance} {item}" in found.text
        assert len(found.all("img")) == len(chosen) and "holiday.jpg" in (
            found.text
        )
    assert f"{answer.within[radius]} of 60 images are at distance" in found.text
    closest = min(distance for _, distance in answer.nearest)
    assert closest > 0
    found = Elements(search.gallery(answer, 10, closest - 1))
    assert not found.all("img")
    assert f"None of 60 images is at distance {closest - 1}" in found.text
    assert f"the nearest is at {closest}." in found.text


def test_files_that_are_gone_or_no_images(photos):
    search, _, _ = coded()
    answer = search.ask("0")
    names = [item for item, _ in answer.chosen(8, BITS)]
    pathlib.Path(names[0]).unlink()
    pathlib.Path(names[1]).write_bytes(b"no longer an image")
    pathlib.Path(names[2]).unlink()
    pathlib.Path(names[2]).mkdir()
    pathlib.Path(names[3]).unlink()
    # Who reads it waits for a writer.
    os.mkfifo(names[3])
    found = Elements(search.gallery(answer, 8, BITS))
    assert len(found.all("img")) == 4
    there = {each["aria-label"] for each in found.all("span", role="img")}
    assert there == set(names[:4])
    assert "4 of these cannot be shown" in found.text
    assert "not here" in found.text
    # Another image at the same path is seen.
    Image.new("RGB", (8, 8), "red").save(names[1])
    found = Elements(search.gallery(answer, 8, BITS))
    (image,) = [e for e in found.all("img") if e["alt"].startswith(names[1])]
    assert (image["width"], image["height"]) == ("8", "8")
    # Ids of an index made in Python may be numbers.
    search, _, _ = coded(ids=list(range(60)))
    found = Elements(search.gallery(search.ask("0"), 8, BITS))
    assert len(found.all("span", role="img")) == 8


def test_large_files_become_thumbnails(photos):
    search, _, _ = coded()
    answer = search.ask("0")
    (name,) = [item for item, _ in answer.chosen(1, BITS)]
    x = np.linspace(0, 255, 3000).astype("uint8")
    Image.fromarray(np.tile(x[None, :, None], (2000, 1, 3))).save(
        name, "jpeg", quality=95
    )
    found = Elements(search.gallery(answer, 1, BITS))
    (image,) = found.all("img")
    assert (image["width"], image["height"]) == ("192", "128")
    kind, _, content = image["src"].partition(";base64,")
    assert kind == "data:image/jpeg" and len(content) < 20_000
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    wanted = np.linspace(0, 255, 192)[None, :, None]
    assert np.abs(shown - wanted).max() < 8


def test_hostile_names_are_text(photos):
    ids = [f"photos/{name}/x.png" for name in HOSTILE]
    ids += [f"photos/{i}.png" for i in range(60 - len(ids))]
    search, _, _ = coded(ids=ids)
    answer = search.ask("0", HOSTILE[0])
    text = photo_page._literal(search.gallery(answer, 100, BITS))
    text += photo_page._literal(photo_search.refusal(HOSTILE[1]))
    found = Elements(text)
    assert {tag for tag, _ in found.tags} == {
        "div", "p", "figure", "figcaption", "b", "img", "span",
    }  # fmt: skip
    for _, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on")]
    titles = [each["title"] for each in found.all("div", class_="picture")]
    for name in HOSTILE[:5]:
        assert f"photos/{name}/x.png" in titles
    assert "photos/\\u202eturned/x.png" in titles
    # A template would fill these in.
    assert not set("{}$`\u202e") & set(text)


def png_header(width, height):
    """A PNG file that claims to be large."""

    def chunk(kind, content):
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(
                b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
            ),
            chunk(b"IDAT", zlib.compress(bytes(1000))),
            chunk(b"IEND", b""),
        ]
    )


@pytest.fixture(scope="module")
def digits():
    return keras_hash.data.load("digits")


@pytest.fixture(scope="module")
def encoder():
    return photo_index.FileEncoder(NAME)


def test_what_is_no_image_is_one_clear_message(encoder, tmp_path, digits):
    codes = keras_hash.load(NAME).encode(digits.arrays("database")[0][:20])
    stored = types.SimpleNamespace(
        path="my.index", index=keras_hash.Index(30, codes)
    )
    search = photo_search.PhotoSearch(encoder, stored)
    good = io.BytesIO()
    Image.fromarray(digits.arrays("database")[0][0]).save(good, "png")
    webp = io.BytesIO()
    Image.new("RGB", (32, 32)).save(webp, "webp")
    cases = {
        "notes.png": (b"about cats " * 9, "not an image of a known format"),
        "empty.png": (b"", "empty file"),
        "cut.png": (good.getvalue()[:60], "damaged"),
        "huge.png": (png_header(60_000, 60_000), "pixels"),
        "large.png": (png_header(6000, 6000), "6000x6000 pixels, above"),
        "photo.webp": (webp.getvalue(), "of another format"),
    }
    for name, (content, reason) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError) as error:
            search.ask(path)
        text = str(error.value)
        assert text.startswith(f"{name} cannot be searched for: "), text
        assert reason in text and text.endswith("33.5 million pixels can.")
    path = tmp_path / "long.png"
    with open(path, "wb") as file:
        file.write(good.getvalue())
        file.truncate(photo_search.MAX_BYTES + 1)
    with pytest.raises(ValueError, match="long.png cannot .*: 32.0 MiB"):
        search.ask(path)
    with pytest.raises(ValueError, match="No such file"):
        search.ask(tmp_path / "gone.png")
    # And an image that is one finds itself.
    path.write_bytes(good.getvalue())
    assert search.ask(path).nearest[0] == (0, 0)


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
    return photo_guard.Guard(app, tmp_path / "uploads", 100, hosts)


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


def run(capsys, *arguments):
    code = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def indexed(folder, paths, name=NAME):
    """An index file of some files."""
    index = photo_index.PhotoIndex(
        folder / "my.index", keras_hash.zoo.card(name)
    )
    index.extend(paths, lambda: photo_index.FileEncoder(name))
    return folder / "my.index"


def test_bad_options_are_one_line(capsys, tmp_path, monkeypatch, digits):
    def too_late(*_):
        raise AssertionError("the encoder was loaded first")

    path = tmp_path / "a.png"
    Image.fromarray(digits.arrays("database")[0][0]).save(path)
    index = indexed(tmp_path, [str(path)])
    monkeypatch.setattr(photo_index, "FileEncoder", too_late)
    app = ("app", "--model", NAME, "--index", index)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        for options, message in (
            (("-k", 0), "`-k` should be from 1 to 100. Received: 0"),
            (("--radius", 31), "`--radius` should be from 0 to 30."),
            (("--port", 70000), "`--port` should be from 0 to 65535."),
            (("--port", port), f"port {port}: Address already in use. Give"),
            (("--host", "192.0.2.1"), "Cannot listen at 192.0.2.1, port"),
            (("--index", tmp_path / "none"), "There is no index"),
            (("--model", "dshc_cifar10_60"), "Search with the encoder that"),
        ):
            code, out, err = run(capsys, *app, *options)
            assert (code, out) == (2, "") and message in err, err
            assert err.count("\n") == 1
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, _, err = run(capsys, *app, "--port", 0)
    assert code == 2 and 'pip install "keras-hash[app]"' in err


# What the console script does, on this checkout; connections to anywhere but
# this machine are seen from inside of the process.
SERVE = f"""
import importlib.util, signal, sys
sys.path.insert(0, {str(ROOT)!r})
signal.signal(signal.SIGINT, signal.default_int_handler)
here = "127.0.0.1", "localhost", "0.0.0.0", None
def watch(event, arguments):
    if event == "socket.connect":
        host = arguments[1][0] if isinstance(arguments[1], tuple) else here[0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host not in here:
        print(event, host, file=sys.stderr, flush=True)
sys.addaudithook(watch)
spec = importlib.util.spec_from_file_location(
    "keras_hash_cli", {str(ROOT / "keras_hash/cli/__init__.py")!r}
)
entry = importlib.util.module_from_spec(spec)
spec.loader.exec_module(entry)
sys.exit(entry.main(sys.argv[1:]))
"""
Server = collections.namedtuple("Server", "url process temporary folder")


@pytest.fixture(scope="module")
def framework():
    """What the server needs; tests without it are skipped at once."""
    return pytest.importorskip("gradio", reason="the extra `app` is not here")


@contextlib.contextmanager
def serving(folder, name, *options):
    """The command on `my.index` in a folder, until the end of the block."""
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "app", "--model", name, "--index"]
        + ["my.index", "--port", "0", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    try:
        line = process.stdout.readline()
        found = re.search(r"(http://[\d.]+:\d+) \(Ctrl-C stops\)", line)
        if not found:
            pytest.fail(f"{line}{process.communicate(timeout=60)}")
        yield Server(found[1], process, temporary, folder)
    finally:
        process.kill()
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def digit_server(framework, tmp_path_factory, digits):
    """Digits in folders with hostile names, one of which is gone."""
    folder = tmp_path_factory.mktemp("app")
    before = os.getcwd()
    images, _ = digits.arrays("database")
    paths = []
    for place, name in enumerate([*HOSTILE, *(str(i) for i in range(20))]):
        (folder / "photos" / name).mkdir(parents=True)
        path = f"photos/{name}/{place}.png"
        Image.fromarray(images[place]).save(folder / path)
        paths.append(path)
    os.chdir(folder)
    try:
        indexed(pathlib.Path(), paths)
    finally:
        os.chdir(before)
    shutil.rmtree(folder / "photos" / HOSTILE[0])
    with serving(folder, NAME) as server:
        yield server


def fetch(url, path, **options):
    request = urllib.request.Request(url + path, **options)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def multipart(name, content):
    body = (
        f'--x\r\nContent-Disposition: form-data; name="files"; '
        f'filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
    ).encode()
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    return {"data": body + content + b"\r\n--x--\r\n", "headers": headers}


@pytest.mark.slow
def test_what_is_served(digit_server):
    url, process, temporary, folder = digit_server
    status, page, headers = fetch(url, "/")
    assert status == 200 and b"Search by photo" in page
    assert "default-src 'self'" in headers["content-security-policy"]
    assert b'"analytics_enabled":false' in page.replace(b": ", b":")
    # Files of the index are not served, nor others; uploads are.
    for path in (folder / "photos/1/7.png", "/etc/passwd", "http://a.example"):
        assert fetch(url, f"/gradio_api/file={path}")[0] == 404
    status, _, headers = fetch(url, "/", headers={"Host": "evil.example"})
    assert status == 421 and "uvicorn" not in str(headers)
    name = "..%2f..%2fx<b>.svg"
    content = b"<svg><script>top.hit=1</script></svg>"
    upload = "/gradio_api/upload"
    status, stored, _ = fetch(url, upload, **multipart(name, content))
    assert status == 200, stored
    (path,) = json.loads(stored)
    assert pathlib.Path(path).is_relative_to(temporary)
    path = urllib.parse.quote(path)
    status, seen, headers = fetch(url, f"/gradio_api/file={path}")
    assert (status, seen) == (200, content)
    # A picture that could hold scripts is not opened as a page.
    assert headers["content-disposition"].startswith("attachment")
    big = multipart("big.png", bytes(photo_search.MAX_BYTES + 1))
    assert fetch(url, upload, **big)[0] == 413
    assert process.poll() is None


def gallery(page):
    """What a person sees: text, titles of the pictures, their distances."""
    return (
        page.inner_text("#found"),
        page.eval_on_selector_all(
            "#found .picture", "found => found.map(each => each.title)"
        ),
        page.eval_on_selector_all(
            "#found figcaption b", "found => found.map(e => +e.textContent)"
        ),
    )


@contextlib.contextmanager
def opened(browser, url, **options):
    """A page, and lists of what it must not do."""
    page = browser.new_page(**options)
    # Of no use to wait less long on a busy machine.
    page.set_default_timeout(120_000)
    strange = []

    def look(request):
        if not request.url.startswith((url, "data:", "blob:")):
            strange.append(request.url)

    def listen(message):
        if "Content Security Policy" in message.text:
            strange.append(message.text)

    page.on("request", look)
    page.on("console", listen)
    page.on("pageerror", lambda error: strange.append(str(error)))
    page.goto(url)
    page.wait_for_selector("#photo input[type=file]", state="attached")
    yield page
    assert page.evaluate("window.hit") is None
    assert strange == []
    page.close()


# A file as the browser hands it to what it is dropped on.
DROP = """content => {
  const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "dropped.png", {type: "image/png"}));
  return transfer;
}"""


def ask(page, path, until):
    """Uploads a file and waits for a text."""
    if page.get_by_label("Remove Image").count():
        page.get_by_label("Remove Image").click()
        page.get_by_text("The nearest images will be here").wait_for()
    page.set_input_files("#photo input[type=file]", path)
    page.locator("#found").get_by_text(until).wait_for()


@pytest.mark.slow
def test_hostile_files_in_the_browser(browser, digit_server, tmp_path):
    url, process, _, folder = digit_server
    index = keras_hash.Index.load(folder / "my.index")
    assert len(index) == 26
    (tmp_path / "notes.png").write_bytes(b"about cats")
    (tmp_path / "huge.png").write_bytes(png_header(60_000, 60_000))
    (tmp_path / "<img src=x onerror=top.hit=1>.png").write_bytes(b"x")
    (tmp_path / "drawn.svg").write_bytes(b"<svg onload='top.hit=1'></svg>")
    (tmp_path / "long.png").write_bytes(bytes(photo_search.MAX_BYTES + 1))
    with opened(browser, url) as page:
        # The same script in a page that does not guard against it.
        with contextlib.closing(browser.new_page()) as naive:
            naive.set_content(f"<p>{HOSTILE[1]}")
            naive.wait_for_function("window.hit == 1")
        query = folder / "photos/0/6.png"
        ask(page, query, "The nearest 24 of 26 images to 6.png")
        page.get_by_role("spinbutton", name="Images at most").fill("26")
        page.keyboard.press("Enter")
        page.get_by_text("The nearest 26 of 26").wait_for()
        text, titles, _ = gallery(page)
        for name in HOSTILE[:5]:
            assert any(name in title for title in titles)
            assert name[:12] in text
        assert "not here" in text and "1 of these cannot be shown" in text
        images = page.locator("#found img")
        assert images.count() == 25
        assert all(
            images.evaluate_all("found => found.map(e => e.naturalWidth > 0)")
        )
        for path, message in (
            ("notes.png", "notes.png cannot be searched for: not an image"),
            ("huge.png", "huge.png cannot be searched for: more than"),
            ("<img src=x onerror=top.hit=1>.png", "cannot be searched for"),
            ("drawn.svg", "drawn.svg cannot be searched for"),
        ):
            ask(page, tmp_path / path, message)
            alert = page.locator("#found [role=alert]")
            assert alert.count() == 1 and page.locator(".hits").count() == 0
        page.get_by_label("Remove Image").click()
        page.set_input_files("#photo input[type=file]", tmp_path / "long.png")
        page.get_by_text("maximum allowed size").first.wait_for()
        # After all of that it answers.
        ask(page, query, "The nearest 26 of 26 images to 6.png")
    assert process.poll() is None


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.skipif(
    not cifar10.is_prepared(),
    reason="CIFAR-10 is not prepared here; set TFDS_DATA_DIR",
)
def test_the_nearest_in_the_browser(framework, browser, tmp_path, monkeypatch):
    name, bits = "dshc_cifar10_30", 30
    bench = keras_hash.data.load("cifar10")
    monkeypatch.chdir(tmp_path)
    pathlib.Path("photos").mkdir()
    paths = []
    for place in bench.parts["database"][::160][:300]:
        paths.append(f"photos/{place}.png")
        Image.fromarray(bench.images[place]).save(paths[-1])
    indexed(tmp_path, paths, name)
    index = keras_hash.Index.load("my.index")
    model = keras_hash.load(name)
    queries = bench.images[bench.parts["query"][::4000]]
    codes = model.encode(queries)
    with serving(tmp_path, name, "-k", "12") as server:
        for width in (1200, 390):
            size = {"width": width, "height": 900}
            with opened(browser, server.url, viewport=size) as page:
                for number, image in enumerate(queries):
                    Image.fromarray(image).save(f"query{number}.png")
                    ask(page, f"query{number}.png", f"to query{number}.png")
                    distances, ids = index.search(
                        codes[number : number + 1], 12
                    )
                    _, titles, shown = gallery(page)
                    assert titles == ids[0].tolist()
                    assert shown == distances[0].tolist()
                    # Nothing is wider than the screen.
                    assert page.evaluate(
                        "document.documentElement.scrollWidth"
                    ) <= width  # fmt: skip
                # Dropped as with a mouse.
                content = pathlib.Path("query1.png").read_bytes()
                dropped = page.evaluate_handle(
                    DROP, base64.b64encode(content).decode()
                )
                page.get_by_label("Drop an image file").dispatch_event(
                    "drop", {"dataTransfer": dropped}
                )
                page.locator("#found").get_by_text("to dropped.png").wait_for()
                distances, ids = index.search(codes[1:2], 12)
                assert gallery(page)[1] == ids[0].tolist()
                # Fewer bits: a count of all, no more than k of them.
                _, levels, _ = index.range_search(codes[1:2], bits)
                for radius in (bits - 1, int(distances[0][3])):
                    page.get_by_role("spinbutton", name="Radius").fill(
                        str(radius)
                    )
                    page.keyboard.press("Enter")
                    inside = int((levels <= radius).sum())
                    wanted = f"at distance {radius} or less"
                    page.locator("#found").get_by_text(wanted).wait_for()
                    text, titles, shown = gallery(page)
                    assert f"{inside} of 300 images" in text
                    found = ids[0][distances[0] <= radius].tolist()
                    assert titles == found and len(found) >= 4
                    assert max(shown) <= radius
        server.process.send_signal(signal.SIGINT)
        out, err = server.process.communicate(timeout=300)
        # Nobody else was asked, and nothing that was uploaded is left.
        assert (server.process.returncode, out) == (130, "")
        assert err == "keras-hash: stopped\n"
        assert list(server.temporary.iterdir()) == []


@pytest.mark.slow
def test_another_host_is_warned_of_and_a_kill_leaves_nothing(
    framework, tmp_path, digits, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(digits.arrays("database")[0][0]).save("a.png")
    indexed(tmp_path, ["a.png"])
    with serving(tmp_path, NAME, "--host", "0.0.0.0") as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert fetch(url, "/", headers={"Host": "my.photos:80"})[0] == 200
        upload = multipart("a.png", pathlib.Path("a.png").read_bytes())
        assert fetch(url, "/gradio_api/upload", **upload)[0] == 200
        assert len(list(server.temporary.rglob("a.png"))) == 1
        server.process.send_signal(signal.SIGTERM)
        _, err = server.process.communicate(timeout=300)
        assert server.process.returncode == 143
        assert "0.0.0.0 is not this machine alone" in err
        assert err.count("\n") == 1
        assert list(server.temporary.iterdir()) == []
