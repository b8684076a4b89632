"""The small MIRFLICKR: its lists, and what a folder of it may be."""

import numpy as np
import pytest
from PIL import Image

from keras_hash import data
from keras_hash.data import places

HEADER = "file,labels,labels38,split\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of three photos, and a function that lists them."""
    folder = tmp_path / "mirflickr20k"
    (folder / "images").mkdir(parents=True)
    for place in range(3):
        image = Image.new("RGB", (12, 10), (80 * place, 0, 0))
        image.save(folder / "images" / f"im{place}.webp", lossless=True)
    monkeypatch.setenv("KERAS_HASH_DATA", str(tmp_path))

    def write(*rows):
        lines = [HEADER, *(f"images/im{i}.webp,{row}\n" for i, row in rows)]
        (folder / "labels.csv").write_text("".join(lines))

    return write


@pytest.mark.real
@pytest.mark.skipif(places.found("mirflickr20k") is None, reason="not here")
def test_the_real_lists():
    benchmark = data.load("mirflickr20k", validation=0.1)
    sizes = {part: len(rows) for part, rows in benchmark.parts.items()}
    assert sizes["query"] == 2000 and sizes["database"] == 12_665
    assert sizes["train"] + sizes["validation"] == 5000
    assert benchmark.targets.shape == (19_665, 24)
    query, database = (
        benchmark.targets[benchmark.parts[part]].astype("float32")
        for part in ("query", "database")
    )
    assert (query @ database.T > 0).mean() == pytest.approx(0.56, abs=1e-3)
    assert not set(benchmark.parts["train"]) & set(benchmark.parts["database"])
    image = benchmark.images[0]
    assert image.shape == (128, 128, 3) and image.std() > 10


def test_a_folder_is_read(folder):
    folder((0, "sky|sea,x,query"), (1, "sea,x,train"), (2, "dog,x,database"))
    benchmark = data.load("mirflickr20k")
    assert benchmark.images[1][0, 0].tolist() == [80, 0, 0]
    names = np.array(benchmark.labels)
    found = [set(names[row > 0]) for row in benchmark.targets]
    assert found == [{"sky", "sea"}, {"sea"}, {"dog"}]
    assert [list(benchmark.parts[p]) for p in ("train", "query")] == [[1], [0]]


@pytest.mark.parametrize(
    "row", ["moon,x,query", "sky,x,test", "sky,x,", "sky", "sky||sea,x,train"]
)
def test_lines_that_make_no_sense(folder, row):
    folder((0, "sky,x,query"), (1, row))
    with pytest.raises(ValueError, match="labels.csv, line 3: a line should"):
        data.load("mirflickr20k")


def test_a_file_that_is_listed_twice(folder):
    folder((0, "sky,x,query"), (0, "sky,x,train"))
    with pytest.raises(ValueError, match="no other line has"):
        data.load("mirflickr20k")


def test_what_is_missing(folder, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="lacks the file"):
        data.load("mirflickr20k")
    monkeypatch.setattr(places, "folders", lambda name: [tmp_path / "none"])
    with pytest.raises(FileNotFoundError, match="KERAS_HASH_DATA"):
        data.load("mirflickr20k")
