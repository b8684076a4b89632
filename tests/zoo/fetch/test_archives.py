"""Archives that lie, and archives that are not whole."""

import hashlib
import io
import json
import os
import tarfile
import tempfile

import pytest

from keras_hash import zoo
from keras_hash.zoo import fetch
from tests.zoo.fetch.mirror import ARCHIVE
from tests.zoo.fetch.mirror import GRAPH
from tests.zoo.fetch.mirror import NAME
from tests.zoo.fetch.mirror import VERSION
from tests.zoo.fetch.mirror import left_in


def plain(name, data=b"x", **details):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in details.items():
        setattr(member, key, value)
    return member, data


def special(kind, name, target=""):
    return plain(name, b"", type=kind, linkname=target)


def sparse(name, size):
    """A file of 512 bytes that says it is `size` bytes, with a hole."""
    member, _ = plain(name, bytes(512), type=tarfile.GNUTYPE_SPARSE)
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (size - 512, 512)
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(512)


PB = f"{NAME}/{GRAPH}"
LINKS = (tarfile.SYMTYPE, tarfile.LNKTYPE)
DEVICES = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
# An absolute path that this process may write to, and that does not exist.
OUTSIDE = os.path.join(tempfile.gettempdir(), "keras_hash_outside")
HOSTILE = {
    "parent": ("a path", plain("../outside")),
    "parent_inside": ("a path", plain(f"{NAME}/../../outside")),
    "parent_there_and_back": ("a path", plain(f"{NAME}/x/../card.json")),
    "absolute": ("a path", plain(OUTSIDE)),
    "other_entry": ("a path", plain("dshc_cifar10_30/card.json")),
    "not_on_the_card": ("a path", plain(f"{NAME}/{VERSION}/run.py")),
    "no_folder": ("a path", plain("card.json")),
    "twice": ("the same file twice", plain(f"{NAME}/card.json")),
    **{
        f"link_{kind.decode()}": ("not a plain", special(kind, PB, target))
        for kind, target in zip(LINKS, ("/etc/passwd", f"{NAME}/card.json"))
    },
    "link_folder": ("a path", special(tarfile.SYMTYPE, f"{NAME}/x", "/tmp")),
    **{
        f"device_{kind.decode()}": ("not a plain", special(kind, PB))
        for kind in DEVICES
    },
    "folder": ("not a plain", special(tarfile.DIRTYPE, PB)),
    "huge": ("larger than the archive", plain(PB, size=2**40)),
    "sparse": ("not a plain", sparse(PB, 2**32)),
    "other_content": ("does not know", plain(PB, b"not the graph")),
}


def repacked(archive, extra=None, first=True, without=()):
    """An archive with a member more, or with some less."""
    content = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as old,
        tarfile.open(
            fileobj=content, mode="w", format=tarfile.GNU_FORMAT
        ) as new,
    ):
        members = [m for m in old if m.name not in without]
        for member in members:
            new.addfile(member, old.extractfile(member))
        if isinstance(extra, tuple):
            # Its size may lie, so not by `addfile`, which would copy as much.
            extra = extra[0].tobuf(tarfile.GNU_FORMAT) + (
                extra[1] + bytes(-len(extra[1]) % 512)
            )
        if extra:
            new.fileobj.write(extra)
            new.offset += len(extra)
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


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives(kind, remote, server, built, tmp_path):
    message, member = HOSTILE[kind]
    # What is to be refused stands in for the file of that name, if any.
    name = member[0].name if isinstance(member, tuple) else PB
    without = () if kind == "twice" else (name,)
    (original,) = built[1].values()
    archive = repacked(original, member, without=without)
    server.content[ARCHIVE] = archive
    pin(archive)
    remote.mkdir(parents=True)
    before = tree(tmp_path)
    with pytest.raises(ValueError, match=f"{message}.*Received: '"):
        zoo.entry_folder(NAME)
    assert tree(tmp_path) == before
    assert not os.path.lexists(OUTSIDE)


def test_archives_that_are_not_whole(remote, server, built):
    (original,) = built[1].values()
    for archive, message in [
        (b"<html>" * 1000, "not a readable tar file"),
        (original[:250_000], "not a readable tar file"),
        (repacked(original, without=(PB,)), f"without .*'{GRAPH}'"),
        (bytes(10240), f"without .*'{GRAPH}', .*'card.json'"),
    ]:
        server.content[ARCHIVE] = archive
        pin(archive)
        with pytest.raises(ValueError, match=message):
            zoo.entry_folder(NAME)
        assert left_in(remote) == []
    # The same members in another order and with other owners are the entry.
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
