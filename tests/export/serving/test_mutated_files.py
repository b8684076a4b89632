"""Damaged files never stop the server: refused, or decoded as by the reader."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_hash.data import places
from tests.export.serving.pictures import pictures
from tests.export.serving.pictures import scenes

pytestmark = pytest.mark.doors
FUZZ = pathlib.Path(__file__).with_name("fuzz.py")


def fuzz(folders, *jobs, seconds):
    """Runs jobs of files, a number of mutations and a seed in one process."""
    arguments = []
    for files, count, seed in jobs:
        arguments += [files, str(count), str(seed), f"{files}.json"]
    run = subprocess.run(
        [sys.executable, FUZZ, folders / "dshc_digits_30" / "1", *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        env={
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )
    assert run.returncode == 0, run.stderr[-3000:]


def check(files, count):
    """What was found when mutations of some files were sent."""
    found = json.loads(files.with_name(f"{files.name}.json").read_text())
    print(found)
    assert found["decoded"] + found["refused"] == count
    for key in ("decoded", "refused"):
        assert found[key] > count / 100, found
    assert found["slowest"] < 20
    # A decoded image of the largest size, its floats, and what was freed.
    assert found["mebibytes"] < 2048


def corel_photos():
    for folder in places.folders("corel5k/test_jpeg"):
        yield from sorted(folder.glob("*.jpeg"))[:4]


@pytest.fixture(scope="module")
def mutated(folders, tmp_path_factory):
    """Files whose mutations were sent, in one process for all."""
    root = tmp_path_factory.mktemp("mutated")
    pictures(root / "scenes", scenes(np.random.RandomState(0)))
    jobs = [(root / "scenes", 600, 0)]
    paths = list(corel_photos())
    if paths:
        images = [np.asarray(Image.open(p).convert("RGB")) for p in paths]
        pictures(root / "photographs", images)
        for path in paths:
            shutil.copy(path, root / "photographs" / path.name)
        jobs.append((root / "photographs", 300, 2))
    fuzz(folders, *jobs, seconds=300)
    return root


def test_mutated_files(mutated):
    check(mutated / "scenes", 600)


@pytest.mark.real
@pytest.mark.skipif(
    not any(corel_photos()), reason="Corel-5K is not here; set KERAS_HASH_DATA"
)
def test_mutated_photographs(mutated):
    check(mutated / "photographs", 300)


@pytest.mark.slow
def test_ten_thousand_mutated_files(folders, tmp_path, rng):
    pictures(tmp_path / "files", scenes(rng))
    fuzz(folders, (tmp_path / "files", 10_000, 1), seconds=1800)
    check(tmp_path / "files", 10_000)
