"""What there is to encode: patterns, and lists in CSV files."""

import csv
import os
import pathlib

import pytest
from PIL import Image

from keras_hash.extras import corpus
from keras_hash.extras.corpus import filesystems


@pytest.mark.parametrize(
    "pattern, found",
    [
        ("a/**/*.jpg", ["1.jpg", "12.jpg", "2.jpg", "b/c/1.jpg"]),
        ("a/*.jpg", ["1.jpg", "12.jpg", "2.jpg"]),
        ("a/?.jpg", ["1.jpg", "2.jpg"]),
        ("a/[!1].jpg", ["2.jpg"]),
        ("a/[1-3].jpg", ["1.jpg", "2.jpg"]),
        ("a/b/c/*", ["1.jpg", "1.jpg.txt"]),
        ("a+(b)/*", ["x"]),
        ("a.c/*", []),
    ],
)
def test_patterns(tmp_path, pattern, found):
    for name in ("1.jpg", "12.jpg", "2.jpg", "b/c/1.jpg", "b/c/1.jpg.txt"):
        path = tmp_path / "a" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    for folder in ("a+(b)", "abc"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x").write_bytes(b"x")
    if not found:
        with pytest.raises(ValueError, match="There is no image to encode"):
            corpus.from_glob(f"{tmp_path}/{pattern}")
        return
    listing = corpus.from_glob(f"{tmp_path}/{pattern}")
    assert listing.table["id"].to_pylist() == found


def test_links_to_files_are_listed_and_to_nothing_not(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "a.png").write_bytes(b"xyz")
    (tmp_path / "photos" / "link.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "photos" / "gone.png").symlink_to(tmp_path / "none.png")
    (tmp_path / "photos" / "folder.png").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "photos" / "pipe.png")
    for pattern in ("photos", "photos/*.png"):
        table = corpus.from_glob(f"{tmp_path}/{pattern}").table
        assert table["id"].to_pylist() == ["link.png"]
        assert table["length"].to_pylist() == [3]


def test_patterns_enter_linked_folders_once(tmp_path):
    album = tmp_path / "elsewhere" / "album"
    album.mkdir(parents=True)
    (tmp_path / "photos" / "own").mkdir(parents=True)
    for place in (album, album.parent, tmp_path / "photos"):
        (place / "a.jpg").write_bytes(b"xyz")
    (tmp_path / "photos" / "linked").symlink_to(album)
    (tmp_path / "photos" / "own" / "up").symlink_to(tmp_path / "photos")
    for pattern, ids in (
        ("**/*.jpg", ["a.jpg", "linked/a.jpg"]),
        ("**", ["a.jpg", "linked/a.jpg"]),
        ("*/*.jpg", ["linked/a.jpg"]),
        ("*.jpg", ["a.jpg"]),
    ):
        listing = corpus.from_glob(f"{tmp_path}/photos/{pattern}")
        assert listing.table["id"].to_pylist() == ids, pattern
        loops = [*listing.left_out.values()]
        assert loops == ["repeated link"] * ("**" in pattern)


def test_what_has_no_ending_is_known_by_how_it_begins(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "photo", "PNG")
    (tmp_path / "notes").write_bytes(b"about photos")
    listing = corpus.from_glob(str(tmp_path))
    assert listing.table["id"].to_pylist() == ["photo"]
    assert [*listing.left_out] == [str(tmp_path / "notes")]


def test_glob_lists_files_in_order(photos, monkeypatch):
    (photos / ".hidden.png").write_bytes(b"x")
    (photos / "0" / "notes.txt").write_bytes(b"xy")
    expected = sorted(str(p) for p in photos.rglob("[!.]*.png"))
    for pattern in (f"{photos}/**/*.png", str(photos), f"{photos}/"):
        listing = corpus.from_glob(pattern)
        assert listing.table["file"].to_pylist() == expected
        ids = [str(pathlib.Path(p).relative_to(photos)) for p in expected]
        assert listing.table["id"].to_pylist() == ids
        sizes = [os.path.getsize(path) for path in expected]
        assert listing.table["length"].to_pylist() == sizes
    # Relative paths, several patterns, files that both of them name.
    monkeypatch.chdir(photos.parent)
    listing = corpus.from_glob(
        "photos/1/*.png", "photos/0/00.png", "photos/*/0*"
    )
    ids = listing.table["id"].to_pylist()
    assert ids == sorted(ids) and {"0/00.png", "1/39.png", "0/08.png"} <= set(
        ids
    )
    assert len(ids) == len(set(ids)) == 25
    # Names stand as they were given.
    assert set(listing.table["file"].to_pylist()) >= {"photos/0/00.png"}
    assert corpus.from_glob("**/*.txt").table["id"].to_pylist() == [
        "photos/0/notes.txt"
    ]
    assert corpus.from_glob("photos/0/notes.txt").table["id"].to_pylist() == [
        "notes.txt"
    ]


def test_patterns_are_texts_of_their_own(photos):
    with pytest.raises(ValueError, match="of its own.*Received: list"):
        corpus.from_glob([str(photos)])
    assert len(corpus.from_glob(pathlib.Path(photos))) == 40


def test_nothing_to_encode(tmp_path):
    for pattern in (f"{tmp_path}/*.png", str(tmp_path)):
        with pytest.raises(ValueError, match="There is no image to encode"):
            corpus.from_glob(pattern)
    (tmp_path / "list.csv").write_text("file\n")
    with pytest.raises(ValueError, match="There is no row"):
        corpus.from_csv(f"{tmp_path}/list.csv", "file")


@pytest.mark.parametrize(
    "ids, expected",
    [
        (["3", "-1", "12"], [3, -1, 12]),
        (["3", "007"], ["3", "007"]),
        (["3", "1e3"], ["3", "1e3"]),
        (["+3"], ["+3"]),
        (["9" * 30], ["9" * 30]),
        (["a,b", 'say "x"', "new\nline"], ["a,b", 'say "x"', "new\nline"]),
    ],
)
def test_ids_of_a_csv_file_keep_what_is_written(tmp_path, ids, expected):
    path = tmp_path / "list.csv"
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["id", "other", "file"])
        writer.writerows([i, "", f"x/{n}.png"] for n, i in enumerate(ids))
    listing = corpus.from_csv(str(path), "file", "id", delimiter=";")
    assert listing.table["id"].to_pylist() == expected
    assert listing.id_type == (
        "int64" if isinstance(expected[0], int) else "string"
    )
    files = [f"{tmp_path}/x/{number}.png" for number in range(len(ids))]
    assert listing.table["file"].to_pylist() == files


@pytest.mark.parametrize(
    "text, message",
    [
        ("file,id\na,1\nb,1\nc,2\nd,2\n", r"1 2 times; 2 ids occur"),
        ("file,id\na,1\n,2\n", "nothing in line 3"),
        ("file,id\na,\n", "Each row of .* should have a 'id'"),
        ("file\na\n", "should have the column 'id'"),
        ("file,id\na\n", "nothing in line 2"),
        ("file,id\n\xff,1\n", "UTF-8|UTF8"),
    ],
)
def test_bad_csv_files(tmp_path, text, message):
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        corpus.from_csv(str(path), "file", "id")
    with pytest.raises(ValueError, match="No such file"):
        corpus.from_csv(f"{tmp_path}/no.csv", "file", "id")


def test_a_path_that_is_there_is_no_pattern(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "photo[1].jpg", "a[b]/x.jpg", "other.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    for given, ids in (
        (("photo.jpg", "photo[1].jpg"), ["photo.jpg", "photo[1].jpg"]),
        (("a[b]/x.jpg",), ["x.jpg"]),
        (("photo[1].jpg", "*.jpg"), ["other.jpg", "photo.jpg", "photo[1].jpg"]),
    ):
        assert corpus.from_glob(*given).table["id"].to_pylist() == ids
    with pytest.raises(ValueError, match="Received: typo.jpg, which is not"):
        corpus.from_glob("photo.jpg", "typo.jpg")


def test_a_quote_without_an_end_takes_in_no_rows(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text('file,id\na.png,"1\nb.png,2\nc.png,3\n')
    with pytest.raises(ValueError, match="line 2: a quote that opens"):
        corpus.from_csv(path, "file", "id")
    # In a column that nobody asked for, too; which may be of any encoding.
    path.write_bytes(b'file,note\na.png,"1\nb.png,2\n')
    with pytest.raises(ValueError, match="line 2: a quote that opens"):
        corpus.from_csv(path, "file")
    path.write_bytes(b"file,note\na.png,caf\xe9\nb.png,2\n")
    assert len(corpus.from_csv(path, "file")) == 2


def test_a_folder_named_tilde_is_not_the_home_folder(tmp_path, monkeypatch):
    home = tmp_path / "home"
    for path in (tmp_path / "~" / "a.png", home / "a.png"):
        path.parent.mkdir()
        path.write_bytes(str(path).encode())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(home))
    (tmp_path / "list.csv").write_text("file\n~/a.png\n")
    for listing in (
        corpus.from_glob("./~/*.png"),
        corpus.from_csv("list.csv", "file"),
        corpus.from_csv("./list.csv", "file"),
        corpus.from_csv(tmp_path / "list.csv", "file"),
    ):
        (path,) = listing.table["file"].to_pylist()
        assert filesystems.read(path) == str(tmp_path / "~/a.png").encode()
    (path,) = corpus.from_glob("~/*.png").table["file"].to_pylist()
    assert filesystems.read(path) == str(home / "a.png").encode()


def test_file_systems_that_cannot_be_read(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("file\na.png\nfoo://x.png\n")
    with pytest.raises(ValueError, match="foo://x.png', in line 3 of"):
        corpus.from_csv(path, "file")
    chained = "simplecache::memory://x.png", "zip://a.png::photos.zip"
    path.write_text("\n".join(["file", *chained]))
    listing = corpus.from_csv(path, "file")
    assert set(chained) & set(listing.table["file"].to_pylist())
    with pytest.raises(ValueError, match="one inside another"):
        corpus.from_glob("zip://**/*.png::photos.zip")
