"""Damaged files and a long life, as tools/fuzz.py and tools/soak.py try them.

The tools themselves run for hours: this is a minute of each.
"""

import json

import fuzz
import mutations
import numpy as np
import pytest
import soak


def kept(tmp_path, target):
    return sorted(p.name for p in (tmp_path / target).glob("*-*.txt"))


@pytest.mark.slow
def test_damaged_files(tmp_path, capsys):
    """Hundreds of files of each kind, by the seed alone."""
    arguments = ["--plain", "--runs", "400", "--seconds", "60"]
    failed = fuzz.main([*arguments, "--findings", str(tmp_path)])
    print(capsys.readouterr().out)
    for target in fuzz.TARGETS:
        counts = json.loads((tmp_path / target / "counts.json").read_text())
        assert not kept(tmp_path, target), counts
        assert counts["accepted"] > 5 and counts["refused"] > 5, counts
    assert not failed


@pytest.mark.slow
def test_a_long_life(capsys):
    assert not soak.main(["--minutes", "0.8", "--items", "100000"])
    said = capsys.readouterr().out
    assert "\n0 answers differ\n" in said and said.endswith(": flat\n"), said


def mistaken(folder):
    """A target that does one wrong thing for each kind of finding."""

    def read(content):
        kind = sum(content[:1]) % 6
        if kind == 0:
            raise KeyError("a crash")
        fuzz.expect(kind != 1, "two readers differ")
        if kind == 2:
            raise fuzz.Partial("half a file")
        if kind == 3:
            while True:
                pass
        return kind == 4

    return [bytes([i, i]) for i in range(256)], bytes, read


def test_findings_are_counted_and_kept(tmp_path, monkeypatch):
    """In this process, on a target that is wrong."""
    monkeypatch.setattr(fuzz, "PATIENCE", (0.05, 5))
    monkeypatch.setitem(fuzz.TARGETS, "mistaken", mistaken)
    folder = tmp_path / "mistaken"
    folder.mkdir()
    fuzz.work("mistaken", 60, 60, 0, folder, False)
    counts = json.loads((folder / "counts.json").read_text())
    assert counts["inputs"] == 60 == sum(counts.values()) - 60
    assert all(counts.values()), counts
    for fault in fuzz.FAULTS:
        texts = list(folder.glob(f"{fault}-*.txt"))
        assert 1 <= len(texts) <= fuzz.SUCH
        for text in texts:
            assert (folder / text.stem).exists()
            assert "Traceback" in text.read_text()


def test_soak_sees_what_is_wrong(tmp_path, capsys):
    random = np.random.RandomState(0)
    for name in ("numbers", "names"):
        folder = tmp_path / name
        folder.mkdir()
        one = soak.Soak(name, 300, folder / "an.index", random)
        one.turn(one.drawn(5))
        one.save()
        assert not one.differences and one.done["searches"] == 8
        # One bit of one code, and an index that is written beside.
        one.plain.codes[7, 0] ^= 1
        (folder / "left").touch()
        one.save()
        wrong = [text.split(": ")[1] for text in one.differences]
        assert wrong == ["saved", "read again"]
    assert capsys.readouterr().out.count("DIFFERENT") == 4
    assert soak.flat([100, 101, 104])[2] and not soak.flat([100, 103, 106])[2]


def test_seals_hold():
    """Files that were whole stay so, and damaged ones have checksums again."""
    from keras_hash.data import images
    from tests import photo_files

    whole = photo_files.pngs(np.random.RandomState(0))["png colour 0 depth 8"]
    assert mutations.seal_png(whole) == whole
    broken = bytearray(whole)
    broken[-1] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        images.decode(bytes(broken))
    images.decode(mutations.seal_png(bytes(broken)))
    random = np.random.RandomState(0)
    for _ in range(300):
        content = mutations.mutate(random, [whole, b"", b'{"a": 1}'])
        for seal in (
            mutations.seal_png,
            mutations.seal_index,
            mutations.seal_tar,
        ):
            assert len(seal(content)) == len(content)
