"""Files and folders that are whole or absent."""

import pytest

from keras_hash import files


def test_a_file_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / "made" / "codes.npz"
    for content in ("one", "other"):
        with files.beside(path) as new:
            # Writers that look at the suffix see the right one.
            assert new.parent == path.parent and new.suffix == ".npz"
            assert new.name.startswith(".") and not new.exists()
            new.write_text(content)
        assert path.read_text() == content
    with pytest.raises(OSError, match="disk"), files.beside(path) as new:
        new.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "other"
    files.write(path, b"third")
    assert path.read_bytes() == b"third"
    assert [p.name for p in path.parent.iterdir()] == ["codes.npz"]


def test_a_folder_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / "1"
    with pytest.raises(ValueError), files.beside(path) as new:
        new.mkdir()
        (new / "half").touch()
        raise ValueError
    assert not list(tmp_path.iterdir())
    # What a process of the same number left behind when it was killed.
    new.mkdir()
    (new / "half").touch()
    with files.beside(path) as again:
        assert again == new and not again.exists()
        again.mkdir()
        (again / "whole").touch()
    assert [p.name for p in path.iterdir()] == ["whole"]
    # A folder that holds something is not replaced.
    with pytest.raises(OSError), files.beside(path) as new:
        new.mkdir()
    assert [p.name for p in tmp_path.iterdir()] == ["1"]
    assert [p.name for p in path.iterdir()] == ["whole"]
