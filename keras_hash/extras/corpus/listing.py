"""What there is to encode: the images of globs, TFRecord files or a CSV file.

A listing says where each image lies, without reading it. Its order follows the
input alone, so that the same input is always cut into the same shards.
"""

import concurrent.futures
import dataclasses
import os
import re

import numpy as np
import pyarrow as pa
from pyarrow import compute
from pyarrow import csv

from keras_hash import files
from keras_hash.data import folders
from keras_hash.data.own import check_delimiter
from keras_hash.extras.corpus import filesystems
from keras_hash.extras.corpus import reading


@dataclasses.dataclass(frozen=True)
class Listing:
    """Images in their order.

    Attributes:
        table: a `pyarrow.Table` with the columns `id` (int64 or string), `file`
            (string), `offset` and `length` (int64, bytes; no length where it is
            not known).
        image_feature: str, where the rows are records: feature of the image's
            bytes; else `None`.
        id_feature: str, feature of the id; `None`: the column `id` is the id.
        id_type: `"int64"` or `"string"`.
        left_out: dict from paths to reasons: what a folder or a pattern holds
            beside these.
    """

    table: object
    image_feature: str | None = None
    id_feature: str | None = None
    id_type: str = "string"
    left_out: dict = dataclasses.field(default_factory=dict)

    def __len__(self):
        return self.table.num_rows


def from_glob(*patterns):
    """Image files by their names.

    Args:
        patterns: str, such as `"photos/**/*.jpg"`: `**/` stands for any folders
            or none, `*` and `?` for parts of a name, `[ab]` for one of some
            characters, as in fsspec. A folder stands for the files in it and
            below it whose names end as those of images do. Hidden files and
            folders are left out.

    Returns:
        A `Listing`, sorted by path. Ids are paths relative to the folder that
        all patterns start with, `cats/1.jpg` of `photos/**/*.jpg`.

    Raises:
        ValueError: no file, or a name that is not UTF-8.
    """
    places, left_out, bases = {}, {}, []
    for pattern in patterns:
        base, found, others = _found(pattern, folders.refused_file)
        places |= found
        left_out |= others
        bases.append(base.split("/"))
    _refuse_none(places, "image", patterns, left_out)
    names = sorted(places)
    start = len("/".join(os.path.commonprefix(bases)))
    ids = [name[start:].lstrip("/") for name in names]
    paths, sizes = zip(*map(places.get, names))
    return Listing(_table(ids, paths, None, sizes), left_out=left_out)


def from_csv(path, image_column, id_column=None, delimiter=","):
    """Images that a CSV file lists.

    Args:
        path: str, a UTF-8 file with a line of column names.
        image_column: str, column of paths (or `gs://...`); relative ones start
            from the folder of the file.
        id_column: str, column of ids: int64 where all are whole numbers,
            without zeros in front, and strings otherwise. The paths as they
            stand by default.
        delimiter: str between columns.

    Returns:
        A `Listing`, in the order of the rows.

    Raises:
        ValueError: no such file or column, an empty cell, or an id that occurs
            twice.
    """

    check_delimiter(delimiter)
    id_column = id_column or image_column
    table = _read_csv(path, [image_column, id_column], delimiter)
    folder = path.rpartition("/")[0]
    paths = [
        name
        if files.is_url(name) or name.startswith("/") or not folder
        else filesystems.join(folder, name)
        for name in table[image_column].to_pylist()
    ]
    ids, kind = table[id_column], "string"
    try:
        numbers = ids.cast(pa.int64())
        if compute.all(compute.equal(numbers.cast(pa.string()), ids)).as_py():
            ids, kind = numbers, "int64"
    except pa.ArrowInvalid:
        pass
    refuse_repeated(ids, f"the column {id_column!r} of {path}")
    return Listing(_table(ids, paths, None, None), id_type=kind)


def from_tfrecord(*patterns, image_feature="image", id_feature=None):
    """Images in records of TFRecord files, each a `tf.train.Example`.

    The files are scanned for where records start, not read, and may not be
    compressed.

    Args:
        patterns: str, paths or patterns as for `from_glob`; a folder stands for
            the files with `.tfrecord` in their names.
        image_feature: str, feature with the bytes of an image file.
        id_feature: str, feature with an int or a string; by default the id is
            the running number of the record, files in the order of their names.

    Returns:
        A `Listing`.

    Raises:
        ValueError: no file or record, a file that is cut off or not a
            TFRecord file, or a first record without these features.
    """
    found = {}
    for pattern in patterns:
        found |= _found(pattern, _refused_records)[1]
    _refuse_none(found, "file of records", patterns)
    paths = [found[name][0] for name in sorted(found)]
    # Waiting for a distant file system is most of it.
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        places = list(pool.map(reading.scan, paths))
    records = np.concatenate(places)
    _refuse_none(records, "record", patterns)
    names = np.repeat(np.array(paths, object), [len(part) for part in places])
    table = _table(np.arange(len(records)), names, *records.T)
    kind = _check_features(table, image_feature, id_feature)
    return Listing(table, image_feature, id_feature, kind)


def refuse_repeated(ids, where):
    """Raises where an id occurs twice, with the first and how many do."""
    if compute.count_distinct(ids, mode="all").as_py() == len(ids):
        return
    counts = compute.value_counts(ids)
    repeated = counts.filter(compute.greater(counts.field("counts"), 1))
    first = repeated[0].as_py()
    raise ValueError(
        f"Ids should be unique, in {where}. Received: {first['values']!r} "
        f"{first['counts']} times; {len(repeated)} ids occur more than once"
    )


def _refused_records(name):
    return None if ".tfrecord" in name else "not of records"


def _found(pattern, refused):
    """The folder a pattern starts with, its files, and what is left out.

    Of files paths and sizes: paths stand as they were given, from the current
    folder on or whole. `refused` says of a name in a folder why not.
    """
    there, whole = filesystems.system(pattern)
    left_out = {}
    if there.isdir(whole):
        base = whole
        if filesystems.is_local(pattern) and refused is folders.refused_file:
            inside, others = folders.walk(whole)
            hits = {str(path): there.info(str(path)) for path in inside}
            left_out = {str(path): why for path, why in others.items()}
        else:
            hits = there.find(whole, detail=True)
    else:
        base = re.split(r"[*?[]", whole)[0].rpartition("/")[0]
        # Whoever gives a pattern says which kinds.
        hits, refused = there.glob(whole, detail=True), folders.refused
    here = os.getcwd() + "/"
    places = {}
    for name, about in hits.items():
        # Links are files too where they lead to one.
        is_file = about["type"] == "file" or (
            about.get("islink") and there.isfile(name)
        )
        *above, last = name.removeprefix(base).lstrip("/").split("/")
        reasons = [*map(folders.refused, above), refused(last)]
        reason = next(filter(None, reasons), None)
        if not is_file or (reason and name != whole):
            if is_file:
                left_out[name] = reason
            continue
        if not filesystems.is_local(pattern):
            path = there.unstrip_protocol(name)
        elif os.path.isabs(pattern):
            path = name
        else:
            path = name.removeprefix(here)
        places[name] = path, about["size"]
    return base, places, left_out


def _refuse_none(found, what, patterns, left_out=None):
    if not len(found):
        counts = folders.counted(left_out or {})
        raise ValueError(
            f"There is no {what} to encode; patterns such as 'photos/**/*.jpg' "
            f"go in quotes on the command line. Received: {', '.join(patterns)}"
            + (f"; left out: {counts}" if counts else "")
        )


def _table(ids, paths, offsets, lengths):
    count = len(paths)
    try:
        return pa.table(
            {
                "id": ids,
                "file": pa.array(paths, pa.string()),
                "offset": pa.array(
                    np.zeros(count, "int64") if offsets is None else offsets
                ),
                "length": pa.nulls(count, pa.int64())
                if lengths is None
                else pa.array(lengths, pa.int64()),
            }
        )
    except UnicodeEncodeError as error:
        raise ValueError(
            "Names of files should be UTF-8; rename the file, or give it an id "
            f"by a CSV file. Received: {error.object!r}"
        ) from error


def _read_csv(path, columns, delimiter):
    columns = list(dict.fromkeys(columns))
    try:
        with filesystems.opened(path) as file:
            table = csv.read_csv(
                file,
                parse_options=csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True
                ),
                convert_options=csv.ConvertOptions(
                    include_columns=columns,
                    column_types={name: pa.string() for name in columns},
                    strings_can_be_null=False,
                ),
            )
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        raise ValueError(
            f"{path} should be a CSV file in UTF-8 with the columns {columns}. "
            f"Received: {error}"
        ) from error
    _refuse_none(table, "row", [path])
    for place, name in enumerate(columns):
        cells = compute.utf8_trim_whitespace(table[name])
        empty = compute.index(cells, "").as_py()
        if empty >= 0:
            raise ValueError(
                f"Each row of {path} should have a {name!r}. Received: nothing "
                f"in row {empty + 1} below the names"
            )
        table = table.set_column(place, name, cells)
    return table


def _check_features(table, image_feature, id_feature):
    """Checks the first record; returns the type of the ids."""
    place = {name: table[name][0].as_py() for name in table.column_names}
    record = filesystems.read(place["file"], place["offset"], place["length"])
    try:
        reading.image_of(record, image_feature)
        first = reading.identity_of(record, id_feature) if id_feature else 0
    except ValueError as error:
        try:
            there = (
                f"a record with the features {sorted(reading.features(record))}"
            )
        except ValueError:
            there = "something else"
        raise ValueError(
            f"Records of {place['file']} should be a tf.train.Example with an "
            "image's bytes and, where a feature is named, one id: "
            f"{error}. Received: {there}"
        ) from error
    return "int64" if isinstance(first, int) else "string"
