"""Tables of text whose cells may hold whole images: TSV and csv, read row by row."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ssl4rl.data.tables import Problems, check_names, where
from ssl4rl.data.text import present
from ssl4rl.errors import UserError, listed

SEPARATORS = {".tsv": "\t", ".csv": ","}
"""What separates cells, by a file's ending."""


def read_header(path: Path, delimiter: str) -> list[str]:
    """The columns of a csv or TSV file; none if it cannot be read."""
    try:
        # A table in another encoding is recognised all the same: what is wrong with it is said when it is read.
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return next(csv.reader(file, delimiter=delimiter), [])
    except (OSError, csv.Error):
        return []


def read_tsv(
    path: Path, required: Sequence[str], problems: Problems, separator: str = "\t"
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a TSV or a csv, each with its number in the file; cells may hold whole images.

    Rows with a wrong number of cells are reported and left out.

    Raises:
        UserError: if a required column is missing, or from the row on that cannot be read.
    """
    limit = csv.field_size_limit(sys.maxsize)
    number = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=separator, strict=True)
            columns = next(reader, [])
            check_columns(path, columns, required)
            number = reader.line_num + 1
            for cells in reader:
                row, number = number, reader.line_num + 1
                if not any(map(str.strip, cells)):
                    continue  # a blank line
                if len(cells) != len(columns):
                    problems.add(f"{where(path, row)}: the header has {len(columns)} cells, this row {len(cells)}")
                    continue
                yield row, dict(zip(columns, map(present, cells), strict=True))
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from error
    except csv.Error as error:
        raise UserError(f"{where(path, number)}: {error} (is a quote missing or not doubled?)") from error
    finally:
        csv.field_size_limit(limit)


def check_columns(path: Path, columns: Sequence[str], required: Sequence[str]) -> None:
    """Refuses a table without a required column, or with two of one name.

    Raises:
        UserError: if it is such a table.
    """
    missing = [column for column in required if column not in columns]
    if missing:
        names = " or ".join(map(repr, missing))
        raise UserError(f"{path}: there is no column {names}; its columns are {listed(columns)}")
    check_names(path, columns)
