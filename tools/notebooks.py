"""Executes the guides' notebooks and makes their pages.

    python tools/notebooks.py [start train choose] [--pages]

A notebook in `docs/notebooks/` is the source of the page in `docs/` that has
its name: nbclient runs it in an empty folder, nbconvert makes the page with the
template beside this file, and its pictures go to `docs/pictures/`. `--pages`
makes the pages of the outputs that are stored, without running anything. It
needs `pip install "keras-hash[docs]"`.
"""

import argparse
import base64
import copy
import io
import os
import pathlib
import re
import sys
import tempfile

import nbformat
import traitlets.config
from nbclient import NotebookClient
from nbconvert import MarkdownExporter
from PIL import Image

from keras_hash import files
from keras_hash.data import places

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
NOTEBOOKS = DOCS / "notebooks"
NAMES = ("start", "train", "choose")
# Pictures are shown at this width; a palette keeps the repository small.
_WIDTH, _COLORS = 760, 96


def read(name):
    """A notebook as it is stored."""
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def execute(notebook, timeout=1800):
    """Runs a notebook in an empty folder; returns it with fresh outputs."""
    notebook = copy.deepcopy(notebook)
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # What oneDNN chooses, and so its last digits, varies by processor.
        "TF_ENABLE_ONEDNN_OPTS": "0",
        # Kernels ask for colours, which pages do not show.
        "TTY_COMPATIBLE": "0",
        # `keras-hash` of this interpreter, and images relative to its folder.
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
        "KERAS_HASH_DATA": _data(),
    }
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        ).execute(env=environment)
    # Not which Python it was: every run would differ.
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [o for o in map(_tidied, cell.outputs) if o]
    return notebook


def page(notebook, name):
    """The page of a notebook: its text, and a dict of picture files."""
    config = traitlets.config.Config()
    config.ExtractOutputPreprocessor.output_filename_template = (
        "pictures/{unique_key}_{cell_index}{extension}"
    )
    exporter = MarkdownExporter(
        config=config,
        extra_template_basedirs=[str(ROOT / "tools")],
        template_name="guide",
    )
    text, resources = exporter.from_notebook_node(
        notebook, {"unique_key": name}
    )
    # Empty lines that cells leave; those inside of code stay.
    text = re.sub(
        r"(^```.*?^```$)|\n{3,}",
        lambda found: found[1] or "\n\n",
        text.strip() + "\n",
        flags=re.DOTALL | re.MULTILINE,
    )
    return text, resources["outputs"]


def _data():
    """Where images are, for a notebook that runs in another folder."""
    given = os.environ.get("KERAS_HASH_DATA")
    return given or str(pathlib.Path(places.folders("")[-1]).resolve())


def _tidied(output):
    """An output without what differs between runs and machines."""
    if output.output_type == "stream":
        if output.name == "stderr":
            return None
        # What a progress bar wrote over.
        output.text = re.sub(r"[^\n]*\r(?!\n)", "", output.text)
        output.text = re.sub(r"INFO:tensorflow:.*\n", "", output.text)
        return output
    output.pop("execution_count", None)
    if "image/png" in output.get("data", {}):
        output.data["text/plain"] = "<picture>"
        output.data["image/png"] = _small(output.data["image/png"])
    if output.output_type == "execute_result":
        output["execution_count"] = None
    return output


def _small(encoded):
    """A PNG in base64, at the width of a page and with few colours."""
    image = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    if image.width > _WIDTH:
        height = round(image.height * _WIDTH / image.width)
        image = image.resize((_WIDTH, height), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.quantize(_COLORS).save(content, "png", optimize=True)
    return base64.b64encode(content.getvalue()).decode()


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--pages", action="store_true")
    chosen = parser.parse_args(arguments)
    for name in chosen.names:
        notebook = read(name)
        if not chosen.pages:
            notebook = execute(notebook)
            for number, cell in enumerate(notebook.cells):
                if cell.cell_type == "code":
                    cell.execution_count = number
            text = nbformat.writes(notebook)
            files.write(NOTEBOOKS / f"{name}.ipynb", text + "\n")
        text, pictures = page(notebook, name)
        for old in (DOCS / "pictures").glob(f"{name}_*.png"):
            old.unlink()
        for path, content in pictures.items():
            files.write(DOCS / path, content)
        files.write(DOCS / f"{name}.md", text)
        print(f"docs/{name}.md")


if __name__ == "__main__":
    main()
