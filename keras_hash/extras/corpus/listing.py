"""What there is to encode: the images of patterns, or of a CSV file.

A listing says where each image lies, without reading it. Its order follows the
input alone, so that the same input is always cut into the same shards.
"""

import dataclasses
import os
import pathlib
import re

import pyarrow as pa
from fsspec import utils
from pyarrow import compute

from keras_hash import files
from keras_hash.data import folders
from keras_hash.data import tables
from keras_hash.extras.corpus import filesystems


@dataclasses.dataclass(frozen=True)
class Listing:
    """Images in their order.

    Attributes:
        table: a `pyarrow.Table` with the columns `id` (int64 or string), `file`
            (string) and `length` (int64, bytes; null where it is not known).
        left_out: dict from paths to reasons: what a folder or a pattern holds
            beside these.
    """

    table: pa.Table
    left_out: dict = dataclasses.field(default_factory=dict)

    def __len__(self):
        return self.table.num_rows

    @property
    def id_type(self):
        """`"int64"` or `"string"`."""
        return str(self.table["id"].type)


def from_glob(*patterns):
    """Image files by their names.

    Args:
        patterns: str, such as `"photos/**/*.jpg"`: `**/` stands for any folders
            or none, `*` and `?` for parts of a name, `[ab]` for one of some
            characters, as in fsspec. A folder stands for the files in it and
            below it whose names end as those of images do (on this machine
            also without an ending, if they begin as images do), and a file that
            is there for itself, whatever its name. Hidden files and folders
            are left out.

    Returns:
        A `Listing`, sorted by path. Ids are paths relative to the folder that
        all patterns start with, `cats/1.jpg` of `photos/**/*.jpg`.

    Raises:
        ValueError: no file, one that is not there, a name that is not UTF-8, or
            one file system inside another, such as `zip://...::...`.
    """
    wrong = [one for one in patterns if not isinstance(one, (str, os.PathLike))]
    if wrong:
        raise ValueError(
            "Each pattern should be a str of its own: `from_glob(*patterns)` "
            f"takes a list. Received: {type(wrong[0]).__name__} {wrong[0]!r}"
        )
    places, left_out, bases = {}, {}, []
    for pattern in map(os.fspath, patterns):
        base, found, others = _found(pattern)
        places |= found
        left_out |= others
        bases.append(base.split("/"))
    if not places:
        counts = folders.by_reason(left_out)
        raise ValueError(
            "There is no image to encode; patterns such as 'photos/**/*.jpg' "
            f"go in quotes on the command line. Received: {', '.join(patterns)}"
            + (f"; left out: {counts}" if counts else "")
        )
    names = sorted(places)
    start = len("/".join(os.path.commonprefix(bases)))
    ids = [name[start:].lstrip("/") for name in names]
    paths, sizes = zip(*map(places.get, names))
    return Listing(_table(ids, paths, pa.array(sizes, pa.int64())), left_out)


def _found(pattern):
    """The folder a pattern starts with, its files, and what is left out.

    Of files paths and sizes: paths stand as they were given, from the current
    folder on or whole.
    """
    if "::" in pattern and not filesystems.is_local(pattern):
        raise ValueError(
            "A pattern should be of one file system, not of one inside "
            "another; unpack or copy the files, or list them in a CSV file. "
            f"Received: {pattern}"
        )
    there, whole = filesystems.system(pattern)
    local = filesystems.is_local(pattern)
    base, refused, left_out = whole, folders.refused_file, {}
    if not there.isdir(whole):
        start = re.split(r"[*?[]", whole)[0]
        base = start.rpartition("/")[0]
        # Whoever gives a pattern says which kinds.
        refused = folders.refused
        if there.exists(whole):
            # Also where its name has a bracket, as browsers give: photo[1].jpg.
            base = whole.rpartition("/")[0]
            hits = {whole: there.info(whole)}
        elif start == whole:
            raise ValueError(
                "Each path should be there; patterns such as "
                "'photos/**/*.jpg' go in quotes on the command line. "
                f"Received: {pattern}, which is not there"
            )
        elif local:
            hits, left_out = _matched(there, base or "/", whole)
        else:
            hits = there.glob(whole, detail=True)
    elif local:
        # It has decided, by how a file begins where its name has no ending.
        refused = folders.refused
        inside, others = folders.walk(whole)
        hits = {str(path): there.info(str(path)) for path in inside}
        left_out = {str(path): why for path, why in others.items()}
    else:
        hits = there.find(whole, detail=True)
    here = os.getcwd() + "/"
    places = {}
    for name, about in hits.items():
        # Links are files too where they lead to one.
        if about["type"] != "file" and not (
            about.get("islink") and there.isfile(name)
        ):
            continue
        *above, last = name.removeprefix(base).lstrip("/").split("/")
        reasons = [*map(folders.refused, above), refused(last)]
        reason = next(filter(None, reasons), None)
        if reason and name != whole:
            left_out[name] = reason
            continue
        path = name if local else there.unstrip_protocol(name)
        if local and not os.path.isabs(pattern):
            path = _plain(name.removeprefix(here))
        places[name] = path, about["size"]
    return base, places, left_out


def _matched(there, base, pattern):
    """Files on this machine that a pattern fits, in linked folders too, as no
    glob finds them; and what is left out."""
    fits = re.compile(utils.glob_translate(pattern)).match
    depth = pattern.count("/", len(base.rstrip("/")) + 1)
    depth = None if "**" in pattern else depth
    inside, others = folders.walk(base, depth=depth)
    hits, left_out = {}, {}
    for path in [*map(str, inside), *map(str, others)]:
        reason = others.get(pathlib.Path(path))
        if reason in (None, folders.NO_IMAGE):
            if fits(path):
                hits[path] = there.info(path)
        elif fits(path) or os.path.isdir(path):
            left_out[path] = reason
    return hits, left_out


def from_csv(path, image_column, id_column=None, delimiter=","):
    """Images that a CSV file lists.

    Args:
        path: str or path of a UTF-8 file with a line of column names.
        image_column: str, column of paths (or `gs://...`); relative ones start
            from the folder of the file.
        id_column: str, column of ids: int64 where all are whole numbers,
            without zeros in front, and strings otherwise. The paths as they
            stand by default.
        delimiter: str between columns.

    Returns:
        A `Listing`, in the order of the rows.

    Raises:
        ValueError: no such file or column, no row, an empty cell, a quote
            without an end, a path that none can be, or an id that occurs twice.
        ImportError: a path needs a file system of fsspec that is not installed.
    """
    tables.check_delimiter(delimiter)
    id_column = id_column or image_column
    path = os.fspath(path)
    lines, table = _read_csv(path, [image_column, id_column], delimiter)
    folder = path.rpartition("/")[0] or "/"[: path.startswith("/")]
    paths = []
    for line, name in zip(lines, table[image_column].to_pylist()):
        if files.is_url(name):
            filesystems.check(name, f"line {line} of {path}")
        elif not name.startswith("/"):
            name = filesystems.join(folder, name) if folder else _plain(name)
        paths.append(name)
    ids = table[id_column]
    try:
        numbers = ids.cast(pa.int64())
        if compute.all(compute.equal(numbers.cast(pa.string()), ids)).as_py():
            ids = numbers
    except pa.ArrowInvalid:
        pass
    counts = compute.value_counts(ids)
    repeated = counts.filter(compute.greater(counts.field("counts"), 1))
    if len(repeated):
        first = repeated[0].as_py()
        raise ValueError(
            f"Ids should be unique, in the column {id_column!r} of {path}. "
            f"Received: {first['values']!r} {first['counts']} times; "
            f"{len(repeated)} ids occur more than once"
        )
    return Listing(_table(ids, paths, pa.nulls(len(ids), pa.int64())))


def _read_csv(path, columns, delimiter):
    """Numbers of lines, and the columns of a CSV file as stripped text, none of
    it empty."""
    columns = list(dict.fromkeys(columns))
    rows = tables.read(path, columns, delimiter, filesystems.opened)
    if not rows:
        raise ValueError(
            "There is no row to encode below the names of the columns. "
            f"Received: {path}"
        )
    for line, cells in rows:
        for name, cell in zip(columns, cells):
            if not cell:
                raise ValueError(
                    f"Each row of {path} should have a {name!r}. Received: "
                    f"nothing in line {line}"
                )
    lines, texts = zip(*rows)
    texts = map(pa.array, zip(*texts))
    return lines, dict(zip(columns, texts))


def _plain(path):
    """A relative path whose first `~` does not stand for the home folder."""
    return f"./{path}" if path.startswith("~") else path


def _table(ids, paths, lengths):
    try:
        paths = pa.array(paths, pa.string())
        return pa.table({"id": ids, "file": paths, "length": lengths})
    except UnicodeEncodeError as error:
        raise ValueError(
            "Names of files should be UTF-8; rename the file, or give it an id "
            f"by a CSV file. Received: {error.object!r}"
        ) from error
