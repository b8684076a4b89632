"""Tables of images and labels: the rows of a CSV file, checked."""

import csv
import io

from keras_hash.data import class_names

_YES = {"1", "1.0", "true", "yes"}
_NO = {"", "0", "0.0", "-1", "false", "no"}


def check_delimiter(delimiter):
    """Refuses what a CSV file cannot have between its columns."""
    wrong = not isinstance(delimiter, str) or len(delimiter) != 1
    if wrong or delimiter in '\r\n"':
        raise ValueError(
            "`delimiter` should be the one character between columns, such as "
            f"';'. Received: delimiter={delimiter!r}"
        )


def _check_header(header, columns, path, delimiter):
    """Refuses a table without a column, or with two of its name."""
    missing = [c for c in columns if c not in header]
    if missing:
        raise ValueError(
            f"{path} should have the column {missing[0]!r}. Received: "
            f"the columns {header}; `delimiter` is {delimiter!r}"
        )
    twice = [c for c in columns if header.count(c) > 1]
    if twice:
        raise ValueError(
            f"{path} should have the column {twice[0]!r} once. "
            f"Received: the columns {header}"
        )


def read(path, columns, delimiter, binary=open):
    """Pairs of line number and stripped cells of the columns; `binary` opens
    files of bytes."""
    try:
        with (
            binary(path, "rb") as content,
            # Columns that nobody asks for may be of any encoding.
            io.TextIOWrapper(
                content, "utf-8-sig", "surrogateescape", newline=""
            ) as file,
        ):
            # Strict: a quote without an end would take in the rows below.
            reader = csv.DictReader(
                file, delimiter=delimiter, restval="", strict=True
            )
            header = reader.fieldnames or []
            _check_header(header, columns, path, delimiter)
            found = []
            for row in rows(reader, path):
                # Under no name: what is behind the last column.
                if any(cell.strip() for cell in row.get(None, ())):
                    raise ValueError(
                        f"{path}, line {reader.line_num}: there are more cells "
                        f"than columns, {len(header)}. Received: {row[None]} "
                        "behind them; quote a cell that holds the delimiter"
                    )
                cells = [row[c].strip() for c in columns]
                # Raises where these are not UTF-8.
                "".join(cells).encode()
                found.append((reader.line_num, cells))
            return found
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read: {error.strerror or error}"
        ) from error
    except (UnicodeError, csv.Error) as error:
        raise ValueError(
            f"{path} should be a CSV file in UTF-8. Received: {error}"
        ) from error


def rows(reader, path):
    """The rows; an error says where the row begins that cannot be read."""
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            if "limit" in str(error):
                raise ValueError(
                    f"{path}, line {line}: a cell is too long. "
                    f"Received: {error}"
                ) from error
            raise ValueError(
                f"{path}, line {line}: a quote that opens a cell should also "
                "close it; inside of the cell it is written twice. "
                f"Received: {error}"
            ) from error
        if row is None:
            return
        yield row


def columns_of(label_columns, separator):
    """The columns of labels: one of names, or several of 0 and 1."""
    columns = (
        [label_columns]
        if isinstance(label_columns, str)
        else class_names.distinct(label_columns, "label_columns")
    )
    # A list of one would make labels of its cells, 0 and 1.
    listed = not isinstance(label_columns, str)
    if (listed and len(columns) < 2) or (len(columns) > 1 and separator):
        raise ValueError(
            "`label_columns` should be one column, as a str, or with "
            "`separator=None` a list of two or more. Received: "
            f"label_columns={label_columns!r}, separator={separator!r}"
        )
    return columns


def names_of(cells, columns, separator, where):
    """The labels of a row."""
    if len(columns) == 1:
        parts = cells[0].split(separator) if separator else cells
        # A label that is there twice counts once.
        return list(dict.fromkeys(p.strip() for p in parts if p.strip()))
    for column, cell in zip(columns, cells):
        if cell.lower() not in _YES | _NO:
            raise ValueError(
                f"{where}: column {column!r} should be 0 or 1. "
                f"Received: {cell!r}"
            )
    return [c for c, cell in zip(columns, cells) if cell.lower() in _YES]
