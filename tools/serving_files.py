"""Writes what TensorFlow Serving reads beside the models of a zoo.

    python tools/serving_files.py [FOLDER] [--check] [--warm-up NAME ...]

`models.config` with every model of FOLDER (`zoo/` by default) for a server that
sees it as /models, `batching.config` and `monitoring.config`. With `--warm-up`,
entries that were written without warm-up requests get them, and their cards
say so; the models stay as they are.
"""

import argparse
import dataclasses
import json
import pathlib
import sys

from keras_hash import files
from keras_hash import zoo
from keras_hash.export import warm_up

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOTE = "# Written by tools/serving_files.py.\n"

BATCHING = """\
# Images a batch, and so in one request.
max_batch_size { value: 64 }
# How long a request waits for others: a millisecond.
batch_timeout_micros { value: 1000 }
# More waiting batches than this are refused, with UNAVAILABLE.
max_enqueued_batches { value: 100 }
# num_batch_threads is left out: one thread for each core.
"""

MONITORING = """\
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""


def models(folder):
    """`models.config`: every folder with a version, of which the last runs."""
    lines = ["model_config_list {"]
    graphs = folder.glob("*/[0-9]*/saved_model.pb")
    names = sorted({graph.parent.parent.name for graph in graphs})
    if not names:
        sys.exit(f"There is no model in {folder}.")
    for name in names:
        # Strings of the text format are escaped as those of JSON, but for what
        # is not ASCII.
        quoted = json.dumps(name, ensure_ascii=False)
        path = json.dumps(f"/models/{name}", ensure_ascii=False)
        lines += [
            "  config {",
            f"    name: {quoted}",
            f"    base_path: {path}",
            '    model_platform: "tensorflow"',
            "  }",
        ]
    return "\n".join([*lines, "}", ""])


def texts(folder):
    """All files, by name."""
    return {
        "models.config": NOTE + models(folder),
        "batching.config": NOTE + BATCHING,
        "monitoring.config": NOTE + MONITORING,
    }


def add_warm_up(name):
    """Adds warm-up requests to an entry, and to its card."""
    folder, card = zoo.entry_folder(name), zoo.card(name)
    zoo.verify_files(name)
    path = warm_up.warm_up(folder / str(card.version))
    listed = {**card.files, str(path.relative_to(folder)): files.sha256(path)}
    dataclasses.replace(
        card,
        files=dict(sorted(listed.items())),
        bytes=sum((folder / file).stat().st_size for file in listed),
    ).write(folder)
    print(f"Wrote {path}.")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "folder", nargs="?", type=pathlib.Path, default=ROOT / "zoo"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing, fail if stale"
    )
    parser.add_argument("--warm-up", nargs="+", default=[], metavar="NAME")
    arguments = parser.parse_args()
    for name in arguments.warm_up:
        add_warm_up(name)
    for name, text in texts(arguments.folder).items():
        path = arguments.folder / name
        if not arguments.check:
            files.write(path, text)
        elif not path.is_file() or path.read_text() != text:
            sys.exit(f"{name} is stale: run `make zoo-table`.")


if __name__ == "__main__":
    main()
