"""The page as it is served: over HTTP, and in a browser."""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import signal
import urllib.parse

import pytest
from PIL import Image

import keras_hash
from keras_hash.data import cifar10
from keras_hash.extras.app import answers
from tests.extras.app.indexes import HOSTILE
from tests.extras.app.indexes import NAME
from tests.extras.app.indexes import indexed
from tests.extras.app.server import fetch
from tests.extras.app.server import serving
from tests.extras.app.uploads import multipart
from tests.extras.app.uploads import png_header


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


@pytest.mark.slow
def test_what_is_served(digit_server):
    url, process, temporary, folder = digit_server
    status, page, headers = fetch(url, "/")
    assert status == 200 and b"Search by photo" in page
    assert "default-src 'self'" in headers["content-security-policy"]
    assert b'"analytics_enabled":false' in page.replace(b": ", b":")
    # Files of the index are not served, nor others; uploads are.
    for path in (folder / "photos/1/7.png", "/etc/passwd", "http://a.example"):
        assert fetch(url, f"/gradio_api/file={path}")[0] == 403
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
    big = multipart("big.png", bytes(answers.MAX_BYTES + 1))
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
    (tmp_path / "long.png").write_bytes(bytes(answers.MAX_BYTES + 1))
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
            ("huge.png", "huge.png cannot be searched for: 60000x60000"),
            ("<img src=x onerror=top.hit=1>.png", "cannot be searched for"),
            ("drawn.svg", "drawn.svg cannot be searched for"),
        ):
            ask(page, tmp_path / path, message)
            alert = page.locator("#found [role=alert]")
            assert alert.count() == 1 and page.locator(".hits").count() == 0
        page.get_by_label("Remove Image").click()
        page.set_input_files("#photo input[type=file]", tmp_path / "long.png")
        page.get_by_text("maximum allowed size").first.wait_for()
        # The field is drawn anew; a file given to the old one would be lost.
        page.get_by_text("Click to Upload").wait_for()
        # After all of that it answers.
        ask(page, query, "The nearest 26 of 26 images to 6.png")
    assert process.poll() is None


@pytest.mark.slow
def test_several_photos_more_like_one_and_copies(browser, digit_server):
    url, process, _, folder = digit_server
    index = keras_hash.Index.load(folder / "my.index")
    query = str(folder / "photos/0/6.png")
    with opened(browser, url) as page:
        page.set_input_files(
            "input[type=file][multiple]",
            [query, str(folder / "photos/1/7.png")],
        )
        page.locator("#found").get_by_text("to 7.png").wait_for()
        assert page.locator("#found [role=status]").count() == 2
        assert page.locator("#found .query img").count() == 2
        # The second photo of the first answer is asked for.
        wanted = page.locator("#found .hits .picture").nth(1)
        wanted = wanted.get_attribute("title")
        page.locator("#found [data-hit='0:1']").click()
        name = "/".join(pathlib.Path(wanted).parts[-2:])
        page.locator("#found").get_by_text(f"images to {name}").wait_for()
        assert page.locator("#found [role=status]").count() == 1
        place = index.ids.tolist().index(wanted)
        distances, _ = index.search(index.codes[place][None], k=24)
        assert gallery(page)[2] == distances[0].tolist()
        page.get_by_text("Copies in the index").click()
        page.locator("#look").click()
        page.get_by_text("photos have copies").wait_for()
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
