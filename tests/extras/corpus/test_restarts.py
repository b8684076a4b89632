"""A second call encodes what is missing: after a fault, a refusal, a kill."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from keras_hash.extras import corpus
from keras_hash.extras.corpus import folder as folder_lib
from keras_hash.zoo import encoder as encoding
from tests.extras.corpus.outputs import NAME
from tests.extras.corpus.outputs import NEEDS_BEAM
from tests.extras.corpus.outputs import OTHER
from tests.extras.corpus.outputs import by_id
from tests.extras.corpus.outputs import encode
from tests.extras.corpus.outputs import found
from tests.extras.corpus.outputs import shards

ROOT = pathlib.Path(__file__).resolve().parents[3]


@NEEDS_BEAM
def test_a_restart_encodes_what_is_missing(
    photos, tmp_path, images, monkeypatch
):
    calls = []
    call = encoding.FileEncoder.__call__

    def counted(self, contents):
        calls.append(len(contents))
        return call(self, contents)

    monkeypatch.setattr(encoding.FileEncoder, "__call__", counted)
    listing, out = corpus.from_glob(str(photos)), tmp_path / "out"
    write = folder_lib.Corpus.write

    def stops(self, shard, *content):
        if len(shards(out)) == 2:
            raise RuntimeError("the machine is gone")
        write(self, shard, *content)

    with monkeypatch.context() as patch:
        patch.setattr(folder_lib.Corpus, "write", stops)
        with pytest.raises(RuntimeError, match="the machine is gone"):
            encode(listing, out)
    # Two are written, though others of the same run are not.
    before = shards(out)
    assert len(before) == 2 and sum(calls) == 24
    calls.clear()
    done = encode(listing, out)
    assert done.shards == 3 and sum(calls) == 24
    after = shards(out)
    assert len(after) == 5 and before.items() <= after.items()
    assert found(out) == by_id(images)
    calls.clear()
    assert encode(listing, out).shards == 0 and not calls
    assert shards(out) == after
    # Lost, damaged, or refused and mended.
    (out / "codes" / "00001-of-00005.parquet").unlink()
    assert encode(listing, out).shards == 1 and sum(calls) == 8
    assert found(out) == by_id(images)
    with pytest.raises(ValueError, match=f"codes of {NAME}"):
        encode(listing, out, model=OTHER)
    assert found(out) == by_id(images)


@NEEDS_BEAM
def test_refused_images_are_tried_again(photos, tmp_path, images):
    path = photos / "0" / "00.png"
    content = path.read_bytes()
    path.write_bytes(b"of another length")
    listing, out = corpus.from_glob(str(photos)), tmp_path / "out"
    assert encode(listing, out).refused == 1
    path.write_bytes(content)
    assert encode(listing, out).refused == 1
    listing = corpus.from_glob(str(photos))
    with pytest.raises(ValueError, match="another list of images"):
        encode(listing, out)
    # What was not refused has the length that it had.
    other = photos / "0" / "02.png"
    good = other.read_bytes()
    other.write_bytes(good + b"more")
    with pytest.raises(ValueError, match="another list of images"):
        encode(corpus.from_glob(str(photos)), out, retry=True)
    other.write_bytes(good)
    done = encode(listing, out, retry=True)
    assert (done.refused, done.shards) == (0, 1)
    assert found(out) == by_id(images)
    assert encode(listing, out).shards == 0


@NEEDS_BEAM
def test_the_encoder_comes_back(photos, tmp_path, images):
    listing, out = corpus.from_glob(str(photos)), tmp_path / "out"
    encode(listing, out)
    shutil.rmtree(out / "model" / "1")
    (out / "model" / "card.json").write_text("{")
    shutil.rmtree(out / "codes")
    encode(listing, out)
    assert found(out) == by_id(images)


def command(*arguments):
    run = "import sys; from keras_hash import cli; sys.exit(cli.main())"
    return subprocess.Popen(
        [sys.executable, "-c", run, "encode", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@NEEDS_BEAM
def test_a_kill_in_the_middle(photos, tmp_path, images):
    """A real kill of the command, and its second call in this process."""
    for path in list(photos.glob("*/*.png")):
        for copy in range(20):
            path.with_stem(f"{path.stem}_{copy}").write_bytes(path.read_bytes())
    out = tmp_path / "out"
    # More images than are done before the kill comes.
    run = command(
        NAME, photos, "--out", out, "--images-per-shard", 3,
        "--runner", "FnApiRunner",
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while run.poll() is None and time.monotonic() < deadline:
        if len(shards(out)) >= 2:
            break
        time.sleep(0.01)
    assert run.poll() is None, run.communicate()
    run.send_signal(signal.SIGKILL)
    run.communicate()
    before = shards(out)
    assert 2 <= len(before) < 280
    done = encode(corpus.from_glob(str(photos)), out, None)
    assert done.shards == 280 - len(before)
    assert before.items() <= shards(out).items()
    codes = by_id(images)
    expected = {
        re.sub(r"_\d+", "", name): code for name, code in found(out).items()
    }
    assert expected == codes and len(found(out)) == 840
