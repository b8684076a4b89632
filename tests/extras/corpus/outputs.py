"""An encoding of a corpus, and what it leaves in its folder."""

import csv
import importlib.util

import pytest
from pyarrow import dataset

from keras_hash.extras import corpus

NAME, OTHER = "dshc_digits_30", "dshc_multidigits_10"
NEEDS_BEAM = pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None,
    reason='no apache_beam: pip install "keras-hash[beam]"',
)


def encode(listing, out, per_shard=8, model=NAME, **settings):
    return corpus.encode(
        model, listing, str(out), per_shard, progress=False, **settings
    )


def by_id(images):
    """Expected codes of `photos`, by relative path."""
    return {
        f"{number % 2}/{number:02d}.png": code.tobytes()
        for number, code in enumerate(images[1])
    }


def found(folder):
    """Codes by id, as any reader of Parquet sees them."""
    table = dataset.dataset(f"{folder}/codes", format="parquet").to_table()
    return dict(zip(table["id"].to_pylist(), table["code"].to_pylist()))


def refusals(folder):
    with open(folder / "refused.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["id", "reason"]
    return dict(rows[1:])


def shards(folder):
    """Names and times of the files of codes."""
    files = sorted((folder / "codes").glob("[!.]*"))
    return {path.name: path.stat().st_mtime_ns for path in files}
