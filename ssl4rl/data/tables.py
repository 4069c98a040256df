"""Reads csv, jsonl and parquet tables in a way that lets a message name every bad cell: file, row and field."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ssl4rl.data.text import cell_text, first_repeated, present
from ssl4rl.errors import UserError
from ssl4rl.records import parse_json
from ssl4rl.tally import Tally

SUFFIXES = (".csv", ".jsonl", ".parquet")

MOST_ROWS = 1_000_000
"""Rows that a parquet file of any size may state; beyond them, each takes a byte at least."""

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""What a split may be called, in lower case, in a column, a field or as a folder, and the split it means."""

NO_SPLIT = ("", "none", "unlabeled", "unlabelled", "unused")
"""What a row is marked with that is in no split."""


def split_name(word: str) -> str | None:
    """The split that a word means, empty for none; None for a word that means nothing here.

    >>> split_name("Dev"), split_name("unlabeled"), split_name("trian")
    ('val', '', None)
    """
    word = word.strip().lower()
    return "" if word in NO_SPLIT else SPLIT_NAMES.get(word)


class Problems:
    """Collects what is wrong with a user's files; when ``strict``, the first problem is raised instead."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.messages: list[str] = []

    def add(self, message: str) -> None:
        if self.strict:
            raise UserError(message)
        self.messages.append(message)


VALUE_TYPES = ("string", "char", "int", "long", "short", "byte", "float", "double", "boolean")
"""What Neo4j writes behind a property's name: ``title:string``."""


def plain_column(column: str) -> str:
    """What a column is called in lower case; of Neo4j's headers, the property or the role.

    >>> plain_column("Source"), plain_column("title:string"), plain_column("paper:ID(Paper)")
    ('source', 'title', ':id')
    """
    name, _, kind = column.strip().lower().partition(":")
    kind = kind.partition("(")[0]
    if kind.removesuffix("[]") in VALUE_TYPES:
        return name
    return f":{kind}" if kind in ("id", "start_id", "end_id", "type", "label") else column.strip().lower()


@dataclass
class Table:
    """The readable rows of a file: for each, its number in the file (1-based) and its cells as text, by column.

    A cell that is neither text nor a number (a list, a date) is left out of its row and named in ``unreadable``; it is
    a problem only in a column that somebody asks for.
    """

    path: Path | str
    columns: list[str]
    rows: list[tuple[int, dict[str, str]]]
    unreadable: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """By column, the rows whose cell is not text, and what it is instead."""
    row_names: Sequence[str] = ()
    """What the rows are called where they have no numbers in a file."""
    used: set[str] = field(default_factory=set)
    """The columns that were asked for."""
    found: int = 0
    """How many rows the file has, those that cannot be read included."""

    def place(self, row: int, column: str = "") -> str:
        """Where a cell is, for messages."""
        if not self.row_names:
            return where(self.path, row, column)
        return f"{self.path}, {self.row_names[row]}" + (f", field {column}" if column else "")

    def find(self, *names: str) -> str:
        """The first of the columns that exists, as it is written or in any other case; ``""`` if none does."""
        by_plain = {plain_column(column): column for column in reversed(self.columns)}
        found = next((name for name in names if name in self.columns), "")
        found = found or next((by_plain[name] for name in names if name in by_plain), "")
        self.used.update(filter(None, [found]))
        return found

    def report_unreadable(self, problems: Problems) -> None:
        """Reports the cells that are not text in the columns that are used, and leaves their rows out."""
        bad: set[int] = set()
        for column in sorted(self.used & self.unreadable.keys()):
            for row, kind in self.unreadable[column]:
                problems.add(f"{self.place(row, column)}: expected text or a number, not {kind}")
                bad.add(row)
        if bad:
            self.rows = [(row, cells) for row, cells in self.rows if row not in bad]

    def tally_columns(self, noun: str = "columns") -> Tally:
        """How many columns there are, and which of them nobody asked for."""
        columns, place = [column for column in self.columns if column], Path(self.path).name
        return Tally.of_named(f"{noun} of {place}", columns, self.used, f"unused {noun} of {place}")

    def tally_rows(self, read: int) -> Tally:
        """How many rows there are, of which ``read`` were used."""
        place = Path(self.path).name
        return Tally.of(f"rows of {place}", self.found, {f"bad rows of {place}": self.found - read}, read)

    def require(self, column: str, key: str) -> str:
        """The column, which must exist, in any case.

        Raises:
            UserError: if it does not; the message names ``key``, the setting of dataset.yaml that picks the column.
        """
        found = self.find(column, column.lower())
        if found:
            return found
        by_lower = {name.lower(): name for name in self.columns}
        near = difflib.get_close_matches(column.lower(), by_lower, n=1, cutoff=0.7)
        hint = f"did you mean {by_lower[near[0]]!r}? " if near else ""
        raise UserError(
            f"{self.path}: there is no column {column!r}; {hint}its columns are {', '.join(self.columns)}"
            + (f" (set `{key}:` in dataset.yaml to the right one)" if key else "")
        )


def where(path: Path | str, row: int, field: str = "") -> str:
    """``nodes.csv, row 3, field id``."""
    return f"{path}, row {row}" + (f", field {field}" if field else "")


def find_table(folder: Path, stem: str) -> Path:
    """The one file ``stem.csv|jsonl|parquet`` in the folder.

    Raises:
        UserError: if there is none, several, or an empty one.
    """
    paths = [path for suffix in SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()]
    if not paths:
        others = sorted(path.name for path in folder.glob(f"{stem}.*"))
        hint = f" (found {', '.join(others)}, which is not one of these formats)" if others else ""
        raise UserError(f"{folder} holds no {stem}.csv, {stem}.jsonl or {stem}.parquet{hint}")
    if len(paths) > 1:
        raise UserError(f"{folder} holds {' and '.join(path.name for path in paths)}; keep one of them")
    if not paths[0].stat().st_size:
        raise UserError(f"{paths[0]} is empty")
    return paths[0]


def read_table(path: Path, problems: Problems) -> Table:
    """Reads a table; rows that cannot be read are reported and left out.

    Raises:
        UserError: if the file as a whole cannot be read, or holds no rows.
    """
    reader = {".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}[path.suffix]
    before = len(problems.messages)
    table = reader(path, problems)
    if not table.rows and len(problems.messages) == before:
        raise UserError(f"{path} has no rows" + (", so the graph has no edges" if path.stem == "edges" else ""))
    return table


def _decode(path: Path) -> tuple[str, bool]:
    """The text, and whether some of its bytes are not UTF-8 (each becomes a lone surrogate, reported cell by cell)."""
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path} is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig"), False
    except UnicodeDecodeError:
        return content.decode("utf-8-sig", "surrogateescape"), True


def _undecodable(text: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in text)


def _not_utf8(path: Path, row: int, field: str, text: str) -> str:
    byte = next(ord(character) for character in text if "\udc80" <= character <= "\udcff") - 0xDC00
    return f"{where(path, row, field)}: byte 0x{byte:02x} is not UTF-8; save the file as UTF-8"


def _read_csv(path: Path, problems: Problems) -> Table:
    text, suspect = _decode(path)
    rows: list[tuple[int, dict[str, str]]] = []
    columns: list[str] = []
    found = 0
    limit = csv.field_size_limit(len(text) + 1)  # by default a cell of more than 131,072 characters is an error
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        number = 1
        for cells in reader:
            row, number = number, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = _header(path, cells, row)
                continue
            found += 1
            if len(cells) != len(columns):
                hint = " (put quotes around a cell that holds a comma)" if len(cells) > len(columns) else ""
                problems.add(f"{where(path, row)}: the header has {len(columns)} cells, this row {len(cells)}{hint}")
                continue
            record = dict(zip(columns, map(present, cells), strict=True))
            bad = [name for name, cell in record.items() if _undecodable(cell)] if suspect else []
            for name in bad:
                problems.add(_not_utf8(path, row, name, record[name]))
            if not bad:
                rows.append((row, record))
    except csv.Error as error:
        # After a broken quote, nothing can be trusted.
        raise UserError(f"{where(path, number)}: {error} (is a quote missing or not doubled?)") from error
    finally:
        csv.field_size_limit(limit)
    if not columns:
        raise UserError(f"{path} is empty")
    return Table(path, columns, rows, found=found)


def _header(path: Path, cells: list[str], row: int) -> list[str]:
    columns = [cell.strip() for cell in cells]
    for column in filter(_undecodable, columns):
        raise UserError(_not_utf8(path, row, "", column))
    if columns[0].startswith("sep=") or (columns[0].startswith("#") and len(columns) == 1):
        raise UserError(
            f"{where(path, row)}: {columns[0]!r} is not a header; remove such lines, and name the columns in the first"
        )
    if len(columns) == 1:
        for separator, name in ((";", "semicolons"), ("\t", "tabs")):
            if separator in columns[0]:
                raise UserError(f"{path}: the columns are separated by {name}; separate them with commas")
    repeated = first_repeated(columns)
    if repeated is not None:
        raise UserError(f"{path}: two columns are named {repeated!r}")
    return columns


def _read_jsonl(path: Path, problems: Problems) -> Table:
    text, suspect = _decode(path)
    records: list[tuple[int, dict[str, Any]]] = []
    found = 0
    for row, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        found += 1
        try:
            record = parse_json(line)
        except ValueError as error:
            problems.add(f"{where(path, row)}: not valid JSON: {error}")
            continue
        if not isinstance(record, dict):
            problems.add(f'{where(path, row)}: expected a JSON object such as {{"id": "a", "text": "…"}}')
            continue
        if suspect and any(map(_undecodable, record)):
            raise UserError(_not_utf8(path, row, "", "".join(record)))
        bad = [key for key, cell in record.items() if suspect and isinstance(cell, str) and _undecodable(cell)]
        for key in bad:
            problems.add(_not_utf8(path, row, key, record[key]))
        if not bad:
            records.append((row, record))
    return replace(table_of(path, records), found=found)


def _read_parquet(path: Path, problems: Problems) -> Table:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_metadata(path).num_rows
        if rows > MOST_ROWS + path.stat().st_size:
            raise UserError(f"{path} states {rows:,} rows, more than a file of its size has")
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path} is not a readable parquet file: {error}") from error
    try:
        records = list(enumerate(table.to_pylist(), start=1))
    except UnicodeDecodeError:
        records = _decode_cells(path, table, problems)
    return replace(table_of(path, records, table.column_names), found=table.num_rows)


def _decode_cells(path: Path, table: Any, problems: Problems) -> list[tuple[int, dict[str, Any]]]:
    """The rows of a pyarrow table in which some texts are not UTF-8; rows with such texts are reported and left out."""
    records = []
    for number in range(table.num_rows):
        record = {}
        for name in table.column_names:
            try:
                record[name] = table[name][number].as_py()
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                problems.add(f"{where(path, number + 1, name)}: byte 0x{byte:02x} is not UTF-8; write it as UTF-8")
        if len(record) == table.num_columns:
            records.append((number + 1, record))
    return records


def table_of(
    path: Path | str,
    records: Iterable[tuple[int, Mapping[str, Any]]],
    columns: Sequence[str] = (),
    row_names: Sequence[str] = (),
) -> Table:
    """A table of values of any type, with each row's number."""
    table = Table(path, [], [], row_names=row_names)
    names = dict.fromkeys(columns)
    for row, record in records:
        names |= dict.fromkeys(record)
        cells = {}
        for key, value in record.items():
            cell = cell_text(value)
            if cell is None:
                table.unreadable.setdefault(key, []).append((row, type(value).__name__))
            else:
                cells[key] = cell
        table.rows.append((row, cells))
    table.columns, table.found = list(names), len(table.rows)
    return table
