"""A folder is prepared for one model, one list and shards of a size."""

import json
import pathlib

import pytest

from keras_hash import zoo
from keras_hash.extras import corpus
from keras_hash.extras.corpus import filesystems
from keras_hash.extras.corpus import folder as folder_lib
from tests.extras.corpus.outputs import NAME
from tests.extras.corpus.outputs import OTHER


def test_a_folder_is_for_one_model_and_one_list(photos, tmp_path):
    out = tmp_path / "out"
    listing = corpus.from_glob(str(photos))
    first = folder_lib.prepare(out, NAME, listing, 7)
    assert first.shards == 6 and first.size(5) == 5 and first.images == 40
    assert first.encoder == zoo.card(NAME).maker and first.bits == 30
    rows = [row for n in range(6) for row in first.rows(n).to_pylist()]
    assert rows == listing.table.to_pylist()
    # The entry is there, whole.
    zoo.verify_files(first.model)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    folder_lib.prepare(out, NAME, listing)
    folder_lib.prepare(out, first.model, corpus.from_glob(f"{photos}/**/*.png"))

    (photos / "2.png").write_bytes(b"new")
    with_another = corpus.from_glob(str(photos))
    (photos / "2.png").unlink()
    (photos / "0" / "00.png").write_bytes(b"another length")
    with_other_bytes = corpus.from_glob(str(photos))
    for model, other, size, message in [
        (OTHER, listing, 7, f"codes of {NAME}. Received: {OTHER}"),
        (
            NAME,
            listing,
            8,
            "with images_per_shard=7. Received: images_per_shard=8",
        ),
        (NAME, with_another, None, "40 images before, 41 now; .*2.png is new"),
        (NAME, with_other_bytes, None, "'length': 14.* now"),
    ]:
        with pytest.raises(ValueError, match=message):
            folder_lib.prepare(out, model, other, size)
    after = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert after == before


def test_an_encoder_that_was_trained_again_is_another_one(photos, tmp_path):
    listing = corpus.from_glob(str(photos))
    out = tmp_path / "out"
    folder_lib.prepare(out, NAME, listing)
    path = out / "corpus.json"
    content = json.loads(path.read_text())
    content["encoder"]["files_sha256"] = "0" * 64
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"{NAME} with other weights"):
        folder_lib.prepare(out, NAME, listing)


def test_a_folder_with_other_files_is_refused(photos, tmp_path):
    listing = corpus.from_glob(str(photos))
    with pytest.raises(ValueError, match="holds other files, such as .*00.png"):
        folder_lib.prepare(photos, NAME, listing)
    with pytest.raises(
        ValueError, match="`images_per_shard` should be an int of at least 1"
    ):
        folder_lib.prepare(tmp_path / "out", NAME, listing, 0)
    with pytest.raises(ValueError, match="is not the folder of a corpus"):
        list(corpus.read(str(tmp_path / "out")))


@pytest.mark.parametrize(
    "name", ["images.parquet", "model/card.json", "settings.new", ".new"]
)
def test_files_of_others_stay_whatever_their_names(name, photos, tmp_path):
    mine = tmp_path / "mine" / name
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(ValueError, match="holds other files"):
        folder_lib.prepare(tmp_path / "mine", NAME, corpus.from_glob(photos))
    assert mine.read_bytes() == b"mine"


def test_a_damaged_manifest_is_named(photos, tmp_path):
    out = tmp_path / "out"
    folder_lib.prepare(out, NAME, corpus.from_glob(str(photos)))
    path = out / "corpus.json"
    content = json.loads(path.read_text())
    for key in content:
        for wrong in (None, [], {}):
            path.write_text(json.dumps({**content, key: wrong}))
            with pytest.raises(
                ValueError, match=f"is damaged: .*{key}'.* should"
            ):
                list(corpus.read(str(out)))
    path.write_text(json.dumps({"format": 99, "encoder": [1]}))
    with pytest.raises(ValueError, match="written by a newer keras_hash"):
        list(corpus.read(str(out)))
    path.write_text(path.read_text()[:-5])
    with pytest.raises(ValueError, match="corpus.json is damaged"):
        list(corpus.read(str(out)))


def test_a_kill_while_the_folder_is_prepared(photos, tmp_path, monkeypatch):
    listing = corpus.from_glob(str(photos))
    write = filesystems.write
    for stop in range(9):
        written, out = [], tmp_path / f"out{stop}"

        def killed(path, content, written=written, stop=stop):
            if len(written) == stop:
                path = pathlib.Path(path)
                path.parent.mkdir(parents=True, exist_ok=True)
                # A number that no process has.
                left = path.with_name(f".99999999-1f.new.{path.name}")
                left.write_bytes(content[:9])
                raise KeyboardInterrupt
            written.append(path)
            write(path, content)

        with monkeypatch.context() as patch:
            patch.setattr(filesystems, "write", killed)
            try:
                folder_lib.prepare(out, NAME, listing)
            except KeyboardInterrupt:
                assert not (out / "corpus.json").exists()
            else:
                assert stop >= 8
                break
        prepared = folder_lib.prepare(out, NAME, listing)
        assert prepared.shards == 1
        zoo.verify_files(prepared.model)
        assert not list(out.rglob("*.new*")) + list(out.rglob("*begun*"))
    else:
        pytest.fail("It never ended.")


@pytest.mark.parametrize(
    "images, size, shards",
    [
        (1, 1000, 1),
        (50_000, 1000, 50),
        (10**6, 5000, 200),
        (10**8, 10**5, 1000),
    ],
)
def test_shards_by_default(monkeypatch, tmp_path, images, size, shards):
    class Long:
        id_type, table = "string", None

        def __len__(self):
            return images

    monkeypatch.setattr(folder_lib, "_write", lambda *_, **options: None)
    made = folder_lib.prepare(tmp_path / "out", NAME, Long())
    assert (made.images_per_shard, made.shards) == (size, shards)
    assert sum(made.size(n) for n in range(shards)) == images
