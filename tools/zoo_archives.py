"""Makes the zoo's archives for a release, and the index that pins them.

    python tools/zoo_archives.py [--out dist/zoo] [--check]

Writes `<name>-<version>.tar` for every entry of `zoo/`, to be uploaded to the
release, and `keras_hash/zoo_index.json`, to be committed with the entries. The
archives are the same bytes on every machine: sorted, without times, owners or
modes, and not compressed. With `--check`, writes nothing and fails if the index
is not that of the entries.
"""

import argparse
import hashlib
import io
import json
import pathlib
import sys
import tarfile

from keras_hash import files
from keras_hash import zoo
from keras_hash.zoo import fetch

ROOT = pathlib.Path(__file__).resolve().parent.parent


def archive(folder):
    """The archive of an entry.

    Args:
        folder: path of the entry.

    Returns:
        bytes of a tar file, with what the card names and nothing else.
    """
    zoo.verify_files(folder)
    content = io.BytesIO()
    with tarfile.open(
        fileobj=content, mode="w", format=tarfile.USTAR_FORMAT
    ) as tar:
        for file in sorted(["card.json", *zoo.card(folder)["files"]]):
            data = (folder / file).read_bytes()
            # Its defaults: mode 644, no owner, the year 1970.
            member = tarfile.TarInfo(f"{folder.name}/{file}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


def build(folder):
    """The archives of a folder of entries, and their index.

    Args:
        folder: path of a folder such as `zoo/`.

    Returns:
        The text of the index, and a dict of bytes by file name.
    """
    archives, lines = {}, []
    for path in sorted(folder.glob("*/card.json")):
        name, card = path.parent.name, zoo.card(path.parent)
        if card["name"] != name:
            raise ValueError(
                f"The card of {path.parent} should bear its folder's name. "
                f"Received: name={card['name']!r}"
            )
        file = f"{name}-{card['version']}.tar"
        archives[file] = archive(path.parent)
        pinned = {
            "version": card["version"],
            "archive": file,
            "sha256": hashlib.sha256(archives[file]).hexdigest(),
            "bytes": len(archives[file]),
            "card": dict(card),
        }
        lines.append(f"{json.dumps(name)}: {files.to_json(pinned, None)}")
    # One line an entry: two entries that are added at once do not conflict
    # inside of each other.
    return "{\n" + ",\n".join(lines) + "\n}\n", archives


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "dist/zoo")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    text, archives = build(ROOT / "zoo")
    if arguments.check:
        if not fetch.INDEX.is_file() or fetch.INDEX.read_text() != text:
            sys.exit(f"{fetch.INDEX.name} is stale: run `make zoo-table`.")
        return
    for name, content in archives.items():
        files.write(arguments.out / name, content)
        print(f"{arguments.out / name}: {len(content) / 2**20:.2f} MiB")
    files.write(fetch.INDEX, text)


if __name__ == "__main__":
    main()
