"""The index and the archives that it pins, and the wheel that holds it."""

import functools
import hashlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
import zoo_archives

from keras_hash import zoo
from keras_hash.zoo import fetch
from tests.zoo.fetch.mirror import NAME
from tests.zoo.fetch.mirror import ROOT


def test_the_index_is_that_of_the_zoo(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["zoo_archives.py", "--check"])
    zoo_archives.main()
    index = fetch.index()
    assert list(index) == sorted(
        path.parent.name for path in (ROOT / "zoo").glob("*/card.json")
    )
    stale = tmp_path / "zoo_index.json"
    stale.write_text(fetch.INDEX.read_text().replace("0", "1", 1))
    monkeypatch.setattr(fetch, "INDEX", stale)
    with pytest.raises(SystemExit, match="stale: run `make zoo-table`"):
        zoo_archives.main()
    stale.unlink()
    with pytest.raises(SystemExit, match="stale"):
        zoo_archives.main()
    # Without `--check` it is written, and the archives with it.
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["zoo_archives.py", "--out", str(out)])
    zoo_archives.main()
    assert fetch.index() == index
    for pinned in index.values():
        content = (out / pinned["archive"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == pinned["sha256"]
        assert len(content) == pinned["bytes"]


def test_archives_are_the_same_bytes_everywhere(built, tmp_path):
    """Other times and modes; and the bytes, as made elsewhere."""
    folder = tmp_path / "zoo" / NAME
    shutil.copytree(ROOT / "zoo" / NAME, folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o700)
        os.utime(path, (1, 1))
    (folder / "notes.txt").write_text("not on the card")
    assert zoo_archives.build(tmp_path / "zoo") == built
    (content,) = built[1].values()
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        for member in tar:
            assert member.isreg() and member.name.startswith(f"{NAME}/")
            owner = (member.uid, member.gid, member.uname, member.gname)
            assert owner == (0, 0, "", "") and member.mtime == 0
            assert member.mode == 0o644
    (folder / "card.json").write_text(
        (folder / "card.json").read_text().replace(NAME, "moon", 1)
    )
    with pytest.raises(ValueError, match="Received: name='moon'"):
        zoo_archives.build(tmp_path / "zoo")


INSTALLED = f"""
import hashlib, pathlib, sys
import keras_hash
from keras_hash import zoo
assert pathlib.Path(keras_hash.__file__).is_relative_to(sys.prefix)
assert keras_hash.list_models({NAME!r}) == [{NAME!r}]
images, _ = keras_hash.data.load("digits").arrays("query")
codes = keras_hash.load({NAME!r}).encode(images)
print(zoo.entry_folder({NAME!r}))
print(hashlib.sha256(codes.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_the_wheel_holds_the_zoo_and_the_index(built, tmp_path):
    """Built, installed away from the checkout, with its zoo and without."""
    source = tmp_path / "source"
    source.mkdir()
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("keras_hash", "zoo"):
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run = functools.partial(
        subprocess.run,
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "wheel", "--no-deps", "--no-build-isolation", source])
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert "keras_hash/zoo_index.json" in packed
    for path in (ROOT / "zoo").glob("*/card.json"):
        for file in ["card.json", *zoo.card(path.parent)["files"]]:
            assert f"keras_hash_zoo/{path.parent.name}/{file}" in packed

    # An environment that sees the packages of this one, but not the checkout:
    # paths that come from a .pth file do not have their own .pth files read.
    home = tmp_path / "environment"
    run([sys.executable, "-m", "venv", "--without-pip", home])
    (site,) = home.glob("lib/python*/site-packages")
    outer = [p for p in sys.path if p.endswith("-packages")]
    (site / "outer.pth").write_text("\n".join(outer))
    python = str(home / "bin" / "python")
    run([*pip, "--python", python, "install", "--no-deps", wheel])

    (tmp_path / "mirror").mkdir()
    for file, content in built[1].items():
        (tmp_path / "mirror" / file).write_bytes(content)
    environment = {
        **os.environ,
        "KERAS_HOME": str(tmp_path / "home"),
        "KERAS_HASH_ZOO_URL": (tmp_path / "mirror").as_uri(),
    }
    for variable in ("KERAS_HASH_ZOO", "PYTHONPATH"):
        environment.pop(variable, None)
    expected = zoo.card(ROOT / "zoo" / NAME)["code_sha256"]["query"]
    for place in (site, tmp_path / "home"):
        result = run([python, "-c", INSTALLED], env=environment)
        folder, codes = result.stdout.splitlines()[-2:]
        assert pathlib.Path(folder).is_relative_to(place)
        assert codes == expected
        shutil.rmtree(site / "keras_hash_zoo", ignore_errors=True)
