"""Rows on disk: `docs/reports/paper_dshc/<part>.json`, one line a row."""

import json
import pathlib

import compare_methods

from keras_hash import files

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "reports" / "paper_dshc.md"
FOLDER = ROOT / "docs" / "reports" / "paper_dshc"
KEPT = ROOT / "runs" / "paper_dshc"
TASK = compare_methods.TASKS["cifar10"]
SEEDS = (0, 1, 2)


def read(part):
    """The rows of a part: a dict from key to dict."""
    path = FOLDER / f"{part}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def add(part, key, row):
    """Adds or replaces a row; the file is whole at any moment."""
    rows = {**read(part), key: rounded(row)}
    lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in rows.items()]
    files.write(FOLDER / f"{part}.json", "{\n" + ",\n".join(lines) + "\n}\n")
    shown = {k: v for k, v in rounded(row).items() if not isinstance(v, dict)}
    print(part, key, *(f"{k}={v}" for k, v in shown.items()), flush=True)


def rounded(value):
    """Floats of nested dicts and lists with five digits behind the point."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v) for v in value]
    return round(float(value), 5) if isinstance(value, float) else value


def missing(part, keys, again):
    """The keys of a part that are not measured yet."""
    done = {} if again else read(part)
    return [key for key in keys if key not in done]
