"""The page in Chromium: wide, narrow, light, dark, and attacked."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

import keras_hash
from tests.html_report.cases import BITS
from tests.html_report.cases import case
from tests.html_report.cases import make

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
LOOK = """
<body><iframe src="out.html" width="{width}" height="900"></iframe><script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const page = frame.contentDocument, root = page.documentElement;
  const images = [...page.images], boxes = [...page.querySelectorAll(".box")];
  document.body.textContent = "found " + JSON.stringify({{
    width: root.scrollWidth,
    inner: frame.contentWindow.innerWidth,
    images: images.length,
    broken: images.filter(i => !i.complete || !i.naturalWidth).length,
    narrow: images.filter(i => i.getBoundingClientRect().width < 30).length,
    boxes: boxes.filter(b => b.clientWidth > root.clientWidth).length,
    dark: getComputedStyle(page.body).backgroundColor,
    hit: String(window.hit || top.hit || frame.contentWindow.hit),
    scripts: page.scripts.length,
    galleries: ["best", "worst"].map(id => [
      ...page.querySelectorAll(`#${{id}} .row`)].map(row => [
        row.querySelector(".query .picture").title,
        ...[...row.querySelectorAll(".hits figure")].map(hit => [
          hit.querySelector(".picture").title,
          hit.querySelector("b").textContent,
          hit.querySelector("img").naturalWidth,
        ])])),
  }}) + " end";
}};
</script></body>
"""


def look(folder, text, width=1200, dark=False):
    """What a browser finds on a page."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on this machine")
    (folder / "out.html").write_text(text)
    (folder / "look.html").write_text(LOOK.format(width=width))
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--allow-file-access-from-files",
            f"--user-data-dir={folder / 'profile'}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--virtual-time-budget=5000",
            "--window-size=1300,1000",
            "--dump-dom",
            (folder / "look.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    seen = re.search(r"found (\{.*\}) end", done.stdout)
    assert seen, done.stderr[-2000:]
    return json.loads(html.unescape(seen[1]))


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("kind", ["single", "multi"])
def test_in_a_browser(width, dark, kind, rng, tmp_path):
    labels = [f"a rather long name of label {i}" for i in range(12)]
    benchmark, codes = case(rng, kind, classes=12, labels=labels)
    found = look(tmp_path, make(benchmark, codes)[1], width, dark)
    # Only boxes of tables scroll sideways.
    assert found["inner"] == width and found["width"] <= width
    assert found["images"] > 100 and found["broken"] == 0
    assert found["narrow"] == 0 and found["boxes"] == 0
    assert found["dark"] == (
        "rgb(20, 24, 28)" if dark else "rgb(255, 255, 255)"
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["single", "multi"])
def test_the_galleries_in_a_browser(kind, rng, tmp_path):
    # What such a name does on a page that does not guard against it.
    image = "<img src=x onerror=top.hit=1>"
    tables = "<div id=best></div><div id=worst></div>"
    assert look(tmp_path, f"<body>{image}{tables}</body>")["hit"] == "1"

    names = ["<script>top.hit=1</script>", image, '"onerror=top.hit=1 x="']
    ids = np.array([f"{names[i % 3]}{i}" for i in range(80)], object)
    benchmark, codes = case(
        rng, kind, classes=3, labels=names, ids=ids, name=names[1]
    )
    found = look(tmp_path, make(benchmark, codes)[1])
    assert found["hit"] == "undefined" and found["scripts"] == 0
    assert found["broken"] == 0
    index = keras_hash.Index(
        BITS, codes["database"], list(ids[benchmark.parts["database"]])
    )
    places = {name: i for i, name in enumerate(ids)}
    rows = {i: row for row, i in enumerate(benchmark.parts["query"])}
    seen = 0
    for gallery in found["galleries"]:
        assert gallery
        for query, *hits in gallery:
            code = codes["query"][rows[places[query]]][None]
            distances, nearest = index.search(code, k=10)
            shown = [name for name, _, _ in hits]
            assert shown == nearest[0].tolist()
            for (name, text, width), distance in zip(hits, distances[0]):
                own, other = (
                    benchmark.targets[places[each]] for each in (query, name)
                )
                right = np.any(
                    (own == other) & ((own > 0) | (kind == "single"))
                )
                assert text == f"{'✓' if right else '✗'} {distance}"
                assert width == benchmark.images.shape[2]
                seen += 1
    assert seen >= 40
