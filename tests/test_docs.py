"""The pages of the documentation: links, guides and their notebooks."""

import importlib.util
import json
import pathlib
import re

import pytest
import way_drawing

from keras_hash.data import cifar10

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [
    *ROOT.glob("*.md"),
    *DOCS.rglob("*.md"),
    ROOT / "zoo" / "README.md",
]
GUIDES = ("start", "train", "choose")
# A number, not a part of a name.
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]*\w)")


def prose(path):
    """A page without its code."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(path):
    """The anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    found, counts = set(), {}
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        words = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower().strip()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        count = counts.setdefault(name, 0)
        counts[name] += 1
        found.add(f"{name}-{count}" if count else name)
    return found


def dead(page, link):
    """Whether a relative link of a page leads nowhere."""
    place, _, anchor = link.partition("#")
    target = (page.parent / place).resolve() if place else page
    if not target.exists():
        return True
    return bool(anchor) and anchor not in anchors(target)


def links(text):
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert not [link for link in links(prose(page)) if dead(page, link)]


@pytest.mark.parametrize("name", GUIDES)
def test_links_of_notebooks_lead_somewhere(name):
    path = DOCS / "notebooks" / f"{name}.ipynb"
    cells = json.loads(path.read_text())["cells"]
    text = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    found = links("\n".join(text))
    assert found and not [link for link in found if dead(path, link)]


def test_dead_links_are_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One `two`: three\n\n## Again\n\n## Again\n")
    for link in ("page.md#one-two-three", "#again-1", "page.md", "#again"):
        assert not dead(page, link), link
    for link in ("other.md", "#again-2", "page.md#one"):
        assert dead(page, link), link


def test_the_index_names_every_page():
    listed = set(links((DOCS / "README.md").read_text()))
    pages = {p.name for p in DOCS.glob("*.md")} - {"README.md"}
    pages |= {f"reports/{p.name}" for p in DOCS.glob("reports/*.md")}
    assert pages <= listed, pages - listed


def test_the_drawing_is_current():
    assert way_drawing.PATH.read_text() == way_drawing.drawing(), "make pages"


def test_notebooks_are_small():
    notebooks = sum(p.stat().st_size for p in DOCS.rglob("*.ipynb"))
    pictures = sum(p.stat().st_size for p in DOCS.glob("pictures/*"))
    assert notebooks < 300_000 and pictures < 300_000, (notebooks, pictures)


@pytest.mark.parametrize("name", GUIDES)
def test_code_of_page_and_notebook_are_the_same(name):
    """Without Jupyter's packages, which the tests below need."""
    cells = json.loads((DOCS / "notebooks" / f"{name}.ipynb").read_text())
    sources = ["".join(c["source"]) for c in cells["cells"]]
    code = [
        source.removeprefix("%%sh\n")
        for source, cell in zip(sources, cells["cells"])
        if cell["cell_type"] == "code"
    ]
    text = (DOCS / f"{name}.md").read_text()
    fences = re.findall(r"^```(?:py|sh)\n(.*?)\n```$", text, re.M | re.S)
    assert fences == code
    for source, cell in zip(sources, cells["cells"]):
        if cell["cell_type"] == "markdown":
            assert source.replace("](../", "](") in text


@pytest.fixture(scope="module")
def notebooks():
    pytest.importorskip("nbconvert", reason="needs keras-hash[docs]")
    pytest.importorskip("nbclient", reason="needs keras-hash[docs]")
    spec = importlib.util.spec_from_file_location(
        "notebooks", ROOT / "tools" / "notebooks.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", GUIDES)
def test_pages_follow_their_notebooks(notebooks, name):
    notebook = notebooks.read(name)
    text, pictures = notebooks.page(notebook, name)
    mend = f"run `make notebooks`: {name}"
    assert text == (DOCS / f"{name}.md").read_text(), mend
    stored = {p.name: p for p in (DOCS / "pictures").glob(f"{name}_*")}
    assert {pathlib.Path(p).name for p in pictures} == set(stored), mend
    for path, content in pictures.items():
        assert (DOCS / path).read_bytes() == content, mend
    # Every cell has run, in order, and none failed.
    code = [c for c in notebook.cells if c.cell_type == "code"]
    numbers = [cell.execution_count for cell in code]
    assert None not in numbers and numbers == sorted(set(numbers))
    kinds = {output.output_type for cell in code for output in cell.outputs}
    assert kinds <= {"stream", "execute_result", "display_data"}


def printed(cell):
    """What a cell printed, and how many pictures it showed."""
    streams = [o.text for o in cell.outputs if o.output_type == "stream"]
    return "".join(streams), len(cell.outputs) - len(streams)


def differ(before, now, trained):
    """Whether two printed texts differ by more than machines do.

    Words have to agree; numbers within 2 %, or 0.02. Where something was
    trained, 20 % or 0.15: other processors add up in another order, and each
    step builds on it.
    """
    if NUMBER.sub("#", before) != NUMBER.sub("#", now):
        return True
    share, least = (0.2, 0.15) if trained else (0.02, 0.02)
    pairs = zip(NUMBER.findall(before), NUMBER.findall(now))
    return any(
        abs(float(a) - float(b)) > max(least, share * abs(float(a)))
        for a, b in pairs
    )


def test_differences_are_seen():
    assert not differ("mAP 0.812 of 4,000", "mAP 0.820 of 4,000", False)
    assert differ("mAP 0.812", "mAP 0.84", False)
    assert not differ("mAP 0.812", "mAP 0.84", True)
    assert differ("mAP 0.812", "mAP 0.3", True)
    assert differ("mAP 0.812", "map 0.812", True)
    assert differ("[1, 2]", "[1, 2, 3]", True)


@pytest.mark.slow
@pytest.mark.parametrize("name", GUIDES)
def test_notebooks_print_what_they_printed(notebooks, name):
    """On the images they were made with; elsewhere they have to run."""
    pytest.importorskip("ipykernel", reason="needs keras-hash[docs]")
    before = notebooks.read(name)
    now = notebooks.execute(before)
    for old, new in zip(before.cells, now.cells, strict=True):
        assert old.source == new.source
        if old.cell_type != "code" or not cifar10.is_prepared():
            continue
        (text, pictures), (text_now, pictures_now) = printed(old), printed(new)
        trained = "trained" in old.metadata.get("tags", ())
        assert pictures == pictures_now
        assert not differ(text, text_now, trained), (old.source, text, text_now)


def test_each_promise_of_safety_names_its_test():
    rows = (ROOT / "SECURITY.md").read_text().splitlines()
    rows = [row for row in rows if row.startswith("| ")][1:]
    assert len(rows) > 8
    for row in rows:
        path, name = re.search(r"`(tests/[\w/]+\.py)::(\w+)`", row).groups()
        assert f"def {name}(" in (ROOT / path).read_text(), row
