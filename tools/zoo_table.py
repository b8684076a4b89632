"""Writes the zoo table into README.md and zoo/README.md, from the cards.

python tools/zoo_table.py [--check]
"""

import argparse
import pathlib
import sys

from keras_hash import files
from keras_hash import zoo

ROOT = pathlib.Path(__file__).resolve().parent.parent
START, END = "<!-- zoo: made by `make table` -->", "<!-- end of zoo -->"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing, fail if stale"
    )
    check = parser.parse_args().check
    for path in (ROOT / "README.md", ROOT / "zoo" / "README.md"):
        text = path.read_text()
        if START not in text or END not in text:
            sys.exit(f"{path.name} lacks the lines {START!r} and {END!r}.")
        before, rest = text.split(START, 1)
        after = rest.split(END, 1)[1]
        new = f"{before}{START}\n{zoo.table()}\n{END}{after}"
        if check and new != text:
            sys.exit(f"{path.name} is stale: run `make table`.")
        if not check:
            files.write(path, new)


if __name__ == "__main__":
    main()
