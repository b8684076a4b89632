"""`keras-hash duplicates`."""

import contextlib
import io
import json
import os
import shutil

import pytest
from PIL import Image
from sklearn import datasets

import keras_hash
from keras_hash import cli
from keras_hash.cli import duplicates as cli_duplicates
from keras_hash.search import duplicates
from tests.cli.command import run

HASH = ("--model", "phash_256")


@pytest.fixture
def photos(tmp_path):
    """Twelve different photos, and copies of some of them."""
    folder = tmp_path / "photos"
    folder.mkdir()
    number = 0
    for photo in datasets.load_sample_images().images:
        for y in (0, 200):
            for x in (0, 200, 400):
                part = photo[y : y + 200, x : x + 200]
                Image.fromarray(part).save(folder / f"{number:02}.png")
                number += 1
    names = {}
    with Image.open(folder / "00.png") as image:
        names["jpeg"] = folder / "00 stored.jpg"
        image.save(names["jpeg"], quality=60)
        names["half"] = folder / "below" / "00 half.png"
        names["half"].parent.mkdir()
        image.resize((100, 100)).save(names["half"])
    names["same"] = folder / "03 again.png"
    shutil.copy(folder / "03.png", names["same"])
    # Older than what it is a copy of: it is the one that is kept.
    os.utime(names["same"], (0, 0))
    (folder / "notes.txt").write_text("no photo")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return folder, {key: str(path) for key, path in names.items()}


def found(*arguments):
    code, out, err = run("duplicates", *arguments, "--json")
    assert code == 0, err
    content = json.loads(out)
    return content, {g["keep"]: g["copies"] for g in content["groups"]}, err


def test_copies_are_found(photos, tmp_path):
    folder, names = photos
    content, groups, err = found(folder, *HASH)
    assert content["images"] == 15
    assert content["looks"] == {"phash_256": 94}
    assert set(groups) == {str(folder / "00.png"), names["same"]}
    copies = groups[str(folder / "00.png")]
    assert set(copies) == {names["jpeg"], names["half"]}
    assert all("bits differ" in why for why in copies.values())
    assert groups[names["same"]] == {str(folder / "03.png"): "same bytes"}
    assert "broken.png" in err and "1 .txt (not an image)" in err
    # Nothing was written there.
    assert len(list(folder.rglob("*"))) == 18
    content, groups, _ = found(folder, *HASH, "--radius", 0)
    assert content["looks"] == {"phash_256": 0}
    assert names["same"] in groups
    code, out, err = run("duplicates", folder, *HASH)
    assert code == 0 and f"keep  {names['same']}" in out
    assert "2 of which have 3 copies that may go" in err


def test_many_files_of_the_same_bytes(photos):
    folder, names = photos
    for number in range(300):
        shutil.copy(names["jpeg"], folder / f"x{number}.jpg")
    _, groups, err = found(folder, *HASH, "--false-rate", "1e-7")
    copies = groups[str(folder / "00.png")]
    assert len(copies) == 302 and names["half"] in copies
    assert "same bytes" not in copies.values()


def test_the_index_goes_on(photos, tmp_path):
    folder, names = photos
    index = tmp_path / "photos.index"
    _, first, err = found(folder, *HASH, "--index", index)
    assert "14 new images" in err
    _, again, err = found(folder, *HASH, "--index", index)
    assert again == first and " 0 new images" in err
    # What was asked for alone, though the index knows more.
    _, some, _ = found(
        folder / "below", folder / "05.png", *HASH, "--index", index
    )
    assert some == {}
    os.remove(names["jpeg"])
    _, less, _ = found(folder, *HASH, "--index", index)
    assert set(less[str(folder / "00.png")]) == {names["half"]}


def test_moved_and_back_and_linked(photos, tmp_path):
    folder, names = photos
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    target = tmp_path / "copies"
    code, _, err = run("duplicates", folder, *HASH, "--move", target)
    assert code == 0 and "Moved 3 files" in err, err
    assert (target / "below" / "00 half.png").exists()
    assert not os.path.exists(names["jpeg"])
    assert found(folder, *HASH)[1] == {}
    code, _, err = run("duplicates", "--undo", target)
    assert code == 0 and "Moved 3 files back" in err
    after = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert after == before
    code, _, err = run("duplicates", folder, *HASH, "--link")
    assert code == 0 and "Linked 1 file " in err
    assert os.path.samefile(names["same"], folder / "03.png")
    # Two names of one file take no more room than one.
    assert list(found(folder, *HASH)[1]) == [str(folder / "00.png")]
    # Both are copies of a larger photo, and of the same bytes all the same.
    again = shutil.copy(names["half"], folder / "again.png")
    code, _, err = run("duplicates", folder, *HASH, "--link")
    assert code == 0 and "Linked 1 file " in err
    assert os.path.samefile(names["half"], again)


def test_photos_that_vanish_meanwhile_end_nothing(photos, monkeypatch):
    folder, names = photos
    near = cli_duplicates._near

    def vanish(*arguments):
        found = near(*arguments)
        os.remove(names["same"])
        os.remove(names["jpeg"])
        return found

    monkeypatch.setattr(cli_duplicates, "_near", vanish)
    code, out, err = run("duplicates", folder, *HASH)
    assert code == 0 and str(names["half"]) in out, err
    for name in ("same", "jpeg"):
        assert f"left out: {names[name]}: it is not there any more" in err
        assert str(names[name]) not in out


def test_what_stays_is_told(photos, tmp_path):
    folder, names = photos
    target = tmp_path / "copies"
    run("duplicates", folder, *HASH, "--move", target)
    shutil.copy(folder / "05.png", names["jpeg"])
    code, _, err = run("duplicates", "--undo", target)
    assert code == 1 and "Moved 2 files back" in err
    assert f"stays: there is another {names['jpeg']} now" in err


def test_the_report(photos, tmp_path):
    folder, _ = photos
    os.rename(folder / "03.png", folder / "<b>&.png")
    report = tmp_path / "found.html"
    code, _, err = run("duplicates", folder, *HASH, "--report", report)
    assert code == 0, err
    text = report.read_text()
    assert text.count("<img") == 5 and text.count("<figure") == 5
    assert "&lt;b&gt;&amp;.png" in text and "<b>&" not in text
    assert "http" not in text.split("<body>")[1]
    assert "differ in up to 94 bits may be those of copies" in " ".join(
        text.split()
    )
    # Damaged files of the same bytes are shown as well.
    shutil.copy(folder / "broken.png", folder / "broken too.png")
    code, _, err = run("duplicates", folder, *HASH, "--report", report)
    assert code == 0 and report.read_text().count("no picture") == 2, err
    lonely = tmp_path / "one"
    lonely.mkdir()
    shutil.copy(folder / "05.png", lonely)
    run("duplicates", lonely, *HASH, "--report", report)
    assert "No copies were found" in report.read_text()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "Nothing to do"),
        (["nowhere"], "No such file"),
        (["."], "There are no images"),
        (["x", "--model", "dshc_digits_30"], "does not say how near"),
        (["x", "--model", "phash_25"], "Did you mean 'phash_256'"),
        (["x", "--false-rate", "1e-12"], "tells rates from"),
        (["x", "--false-rate", "0"], "should be above 0"),
        (["x", "--false-rate", "0.5"], "should be at most 0.001"),
        (["x", "--move", ""], "should name a file or a folder"),
        (["x", "--radius", "-1"], "should be from 0"),
        (["x", "--radius", "3", "--false-rate", "1e-3"], "not allowed with"),
        (["x", "--move", "a", "--link"], "not allowed with"),
        (["x", "--report", "s3://a/b.html"], "s3://"),
        (["--undo", "x"], "There is no moved.jsonl"),
        (["x", "--undo", "x", "--report", "a.html"], "places, report"),
        (["x", "--index", ""], "should name a file or a folder"),
    ],
)
def test_what_is_refused(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    with contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            code = cli.main(["duplicates", *arguments])
        except SystemExit as stopped:
            code = stopped.code
    assert code == 2 and message in err.getvalue()


def test_what_is_refused_before_the_work(photos, tmp_path):
    folder, _ = photos
    for name, more, message in [
        ("dshc_multidigits_10", ["--radius", 0], "by Hamming distances"),
        ("phash_64", ["--index", tmp_path / "i"], "i.phash"),
    ]:
        (tmp_path / "i.phash").write_bytes(b"no index")
        code, _, err = run(
            *("duplicates", folder, "--report", tmp_path / "i.phash"),
            *("--model", name, *more),
        )
        assert code == 2 and message in err
        assert "left out" not in err


def test_a_folder_among_the_photos_is_refused(photos):
    folder, _ = photos
    for inside in (folder, folder / "copies"):
        code, _, err = run("duplicates", folder, *HASH, "--move", inside)
        assert code == 2 and "`--move`" in err
    assert not (folder / "copies").exists()


@pytest.mark.slow
def test_likeness_and_a_second_look(photos):
    """Mirrored and cropped copies, which the perceptual hash does not find."""
    folder, names = photos
    photo = datasets.load_sample_images().images[1]
    Image.fromarray(photo).save(folder / "whole.png")
    Image.fromarray(photo[:, ::-1]).save(folder / "mirrored.png")
    Image.fromarray(photo[15:-15, 20:-20]).save(folder / "cropped.png")
    content, groups, _ = found(folder)
    assert content["looks"] == {"photos_256": 45, "phash_256": 94}
    three = {str(folder / f"{n}.png") for n in ("whole", "mirrored", "cropped")}
    groups = [{keep, *copies} for keep, copies in groups.items()]
    assert three in groups
    copies = {str(folder / "00.png"), names["jpeg"], names["half"]}
    assert any(copies <= group for group in groups)


def test_the_report_replaces_no_index(photos, tmp_path):
    folder, _ = photos
    index = tmp_path / "i"
    found(folder, *HASH, "--index", index)
    for name in (index, f"{index}.phash"):
        code, _, err = run(
            *("duplicates", folder, *HASH, "--index", index, "--report", name)
        )
        assert code == 2 and "which is read" in err
    # Nor a photo of the index that is in none of the places of this run.
    alone, photo = folder / "03.png", folder / "05.png"
    before = photo.read_bytes()
    code, _, err = run(
        *("duplicates", alone, *HASH, "--index", index, "--report", photo)
    )
    assert code == 2 and "a photo of the index" in err
    assert photo.read_bytes() == before
    keras_hash.Index.load(index)


def test_what_was_moved_is_not_found_again_by_a_link(photos, tmp_path):
    folder, _ = photos
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere)
    os.symlink(elsewhere, folder / "link")
    for target in (elsewhere, elsewhere / "copies"):
        code, _, err = run("duplicates", folder, *HASH, "--move", target)
        assert code == 2 and "outside of the photos" in err or "another" in err
    assert not (elsewhere / "copies").exists()


def test_a_rate_that_the_card_does_not_tell(photos):
    folder, _ = photos
    code, _, err = run(
        *("duplicates", folder, "--model", "phash_64", "--false-rate", 1e-12)
    )
    assert code == 2 and "100 times `--false-rate 1e-12`" in err
    code, _, err = run("duplicates", folder, "--model", "dshc_digits_30")
    assert code == 2 and "give a radius, or take photos_256" in err
    assert "100 times" not in err


def test_a_file_that_cannot_be_read_is_left_out(photos):
    folder, names = photos
    gone = str(folder / "gone.png")
    same = duplicates.same_bytes([gone, *map(str, folder.glob("03*"))])
    assert same == {names["same"]: [str(folder / "03.png")]}


def test_one_copy_and_none_are_told_in_english(photos):
    folder, _ = photos
    places = [folder / "03.png", folder / "03 again.png", folder / "broken.png"]
    code, _, err = run("duplicates", *places, *HASH)
    assert code == 0 and "2 images, 1 of which has a copy that may go" in err
    shutil.copy(folder / "broken.png", folder / "broken again.png")
    code, _, err = run(
        "duplicates", *places, folder / "broken again.png", *HASH
    )
    assert code == 0 and "2 images, " in err
    code, _, err = run("duplicates", folder / "03.png", *HASH)
    assert code == 0 and "1 image, no copies" in err
