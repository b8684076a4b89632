"""Archives that lie, and archives that are not whole."""

import hashlib
import io
import json
import tarfile

import pytest

from keras_hash import zoo
from keras_hash.zoo import fetch
from tests.zoo.fetch.mirror import ARCHIVE
from tests.zoo.fetch.mirror import NAME
from tests.zoo.fetch.mirror import left_in


def repacked(archive, *extra):
    """An archive whose hash differs, with members more."""
    content = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as old,
        tarfile.open(
            fileobj=content, mode="w", format=tarfile.GNU_FORMAT
        ) as new,
    ):
        for member in old:
            new.addfile(member, old.extractfile(member))
        for member in extra:
            new.addfile(member)
    return content.getvalue()


def pin(archive):
    """Makes the index name an archive, so that its hash is no protection."""
    index = fetch.index()
    index[NAME]["sha256"] = hashlib.sha256(archive).hexdigest()
    index[NAME]["bytes"] = len(archive)
    fetch.INDEX.write_text(json.dumps(index))


def tree(folder):
    return sorted(
        (str(p.relative_to(folder)), p.lstat().st_size)
        for p in folder.rglob("*")
    )


def outside():
    return tarfile.TarInfo(f"{NAME}/../../outside")


def link():
    member = tarfile.TarInfo(f"{NAME}/link")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return member


def lost():
    member = tarfile.TarInfo(f"{NAME}/lost")
    member.type, member.linkname = tarfile.LNKTYPE, f"{NAME}/nowhere"
    return member


@pytest.mark.parametrize(
    "member", [outside(), link(), lost()], ids=["path", "link", "lost"]
)
def test_hostile_archives(member, remote, server, built, tmp_path):
    (original,) = built[1].values()
    server.content[ARCHIVE] = repacked(original, member)
    pin(server.content[ARCHIVE])
    remote.mkdir(parents=True)
    before = tree(tmp_path)
    with pytest.raises(OSError, match="could not be unpacked.*Received: "):
        zoo.entry_folder(NAME)
    assert tree(tmp_path) == before


def test_archives_that_are_not_whole(remote, server, built):
    (original,) = built[1].values()
    for archive in (b"<html>" * 1000, original[:250_000], bytes(10240)):
        server.content[ARCHIVE] = archive
        pin(archive)
        with pytest.raises(OSError, match="Received: "):
            zoo.entry_folder(NAME)
        assert left_in(remote) == []
    # The same members with other owners are the entry.
    server.content[ARCHIVE] = repacked(original)
    pin(server.content[ARCHIVE])
    zoo.verify_files(NAME)


def test_another_version_does_not_take_the_cached_one(remote, server, built):
    """An entry whose card was measured again is another archive."""
    first = zoo.entry_folder(NAME)
    (original,) = built[1].values()
    archive = repacked(original)
    server.content[ARCHIVE] = archive
    pin(archive)
    assert zoo.entry_folder(NAME) != first
    assert len(left_in(remote)) == 2
