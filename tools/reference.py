"""Writes a reference page for every public module, from run-time docstrings.

    python tools/reference.py [FOLDER]

pdoc reads the signatures and docstrings of what is imported, so that what a
class composes is shown too. Afterwards every link is looked up, and a dead one
ends the command with an error. It needs `pip install "keras-hash[docs]"`.
"""

import argparse
import html.parser
import importlib
import inspect
import pathlib
import re
import shutil
import sys
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "reference"
TEMPLATES = ROOT / "tools" / "reference_pages"
# What users call: `keras_hash` itself and these of its modules.
MODULES = (
    "keras_hash",
    "keras_hash.callbacks",
    "keras_hash.codes",
    "keras_hash.data",
    "keras_hash.evaluation",
    "keras_hash.export",
    "keras_hash.losses",
    "keras_hash.models",
    "keras_hash.search",
    "keras_hash.zoo",
)


class Page(html.parser.HTMLParser):
    """Collects the links and the anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if "id" in given:
            self.anchors.add(given["id"])
        if tag == "a" and given.get("href"):
            self.links.add(given["href"])


def dead_links(folder):
    """Links between the pages of a folder that lead nowhere, as text."""
    pages = {
        path.resolve(): Page(path.read_text())
        for path in pathlib.Path(folder).rglob("*.html")
    }
    dead = []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urllib.parse.urlsplit(link)
            if parts.scheme:
                continue
            target = path
            if parts.path:
                target = (path.parent / parts.path).resolve()
            anchor = urllib.parse.unquote(parts.fragment)
            known = target in pages and (
                not anchor or anchor in pages[target].anchors
            )
            if not known:
                dead.append(f"{path.name}: {link}")
    return dead


def unlinked(text, anchors):
    """A page without links to names that it does not show, such as `call`."""
    return re.sub(
        r'<a href="#([^"]*)">(.*?)</a>',
        lambda found: found[0] if found[1] in anchors else found[2],
        text,
    )


def as_users_see_them():
    """Gives losses and models the names and signatures that users see.

    pdoc takes a class under another name (`losses.DSHC` is `DSHCLoss`) for a
    variable, and reads a constructor's signature, not that of its class.
    """
    for home in ("losses", "models"):
        module = importlib.import_module(f"keras_hash.{home}")
        for name in module.__all__:
            cls = getattr(module, name)
            if cls.__name__ != name:
                cls.__name__ = cls.__qualname__ = name
                cls.__module__ = module.__name__
            if "__signature__" in vars(cls):
                cls.__init__ = constructor(cls.__signature__)


def constructor(signature):
    """An `__init__` that only shows a signature."""

    def __init__(self, *args, **kwargs):
        pass

    first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    given = [p for p in signature.parameters.values() if p.name != "self"]
    __init__.__signature__ = inspect.Signature([first, *given])
    return __init__


def write(folder):
    """Writes the pages; returns how many there are."""
    import pdoc

    as_users_see_them()

    pdoc.render.configure(
        docformat="google",
        show_source=False,
        footer_text="keras_hash",
        include_undocumented=False,
        template_directory=TEMPLATES,
    )
    # Submodules are pages only where they are named themselves.
    rest = "|".join(name.partition(".")[2] for name in MODULES[1:])
    shutil.rmtree(folder, ignore_errors=True)
    pdoc.pdoc(
        *MODULES,
        rf"!keras_hash\.(?!({rest})$).*",
        output_directory=folder,
    )
    pages = list(folder.rglob("*.html"))
    for page in pages:
        text = page.read_text()
        page.write_text(unlinked(text, Page(text).anchors))
    return len(pages)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=FOLDER)
    folder = parser.parse_args().folder
    count = write(folder)
    dead = dead_links(folder)
    if dead:
        sys.exit("Links that lead nowhere:\n" + "\n".join(dead))
    print(f"Wrote {count} pages: {folder / 'keras_hash.html'}")


if __name__ == "__main__":
    main()
