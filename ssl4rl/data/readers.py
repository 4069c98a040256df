"""Reads the rows of csv, jsonl and parquet files, one after another: a file may be larger than memory."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssl4rl.data.tables import Problems, Row, Table, check_names, where
from ssl4rl.data.text import cell_text, present
from ssl4rl.errors import UserError
from ssl4rl.records import parse_json

BATCH = 1 << 16
"""Rows of a parquet file that are read at a time."""

MOST_ROWS = 1_000_000
"""Rows that a parquet file of any size may state; beyond them, each takes a byte at least."""


def read_table(path: Path, problems: Problems) -> Table:
    """Reads a table whole; rows that cannot be read are reported and left out.

    Raises:
        UserError: if the file as a whole cannot be read, or holds no rows.
    """
    table = open_table(path, problems)
    table.rows = list(table.rows)
    return table


def open_table(path: Path, problems: Problems) -> Table:
    """A table whose rows can be iterated over once, and are read while they are.

    Rows that cannot be read are reported then, and left out, as are those with a cell that is neither text nor a number
    in a column that was asked for before.

    Raises:
        UserError: if the file as a whole cannot be read; while it is iterated over, also if it holds no rows.
    """
    before = len(problems.messages)
    columns, rows = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}[path.suffix.lower()](path, problems)
    named = list(filter(None, columns))
    table = Table(path, named, (), unnamed=len(columns) - len(named))
    table.rows = _some(table, rows(table, problems), problems, before)
    return table


def _some(table: Table, rows: Iterator[Row], problems: Problems, before: int) -> Iterator[Row]:
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty and len(problems.messages) == before:
        of_edges = ", so the graph has no edges" if Path(table.path).stem.lower() == "edges" else ""
        raise UserError(f"{table.path} has no rows{of_edges}")


def _is_utf8(path: Path) -> bool:
    """Whether all of a file is UTF-8; where it is not, each wrong byte is read as a lone surrogate and reported.

    Raises:
        UserError: if it is UTF-16 or UTF-32.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        # Without a mark they are valid UTF-8, but one of two or more bytes of each plain letter is zero.
        if (start := file.read(4)).startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in start:
            raise UserError(f"{path} is not UTF-8 but looks like UTF-16; save it as UTF-8")
        file.seek(0)
        try:
            while content := file.read(1 << 20):
                decoder.decode(content)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _undecodable(text: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in text)


def _not_utf8(path: Path, row: int, field: str, text: str) -> str:
    byte = next(ord(character) for character in text if "\udc80" <= character <= "\udcff") - 0xDC00
    return f"{where(path, row, field)}: byte 0x{byte:02x} is not UTF-8; save the file as UTF-8"


def _csv(path: Path, problems: Problems) -> tuple[list[str], Any]:
    suspect = not _is_utf8(path)
    row, cells = next(_csv_lines(path), (0, []))
    if not cells:
        raise UserError(f"{path} is empty")
    columns = _header(path, cells, row)

    def rows(table: Table, problems: Problems) -> Iterator[Row]:
        lines = _csv_lines(path)
        next(lines)
        for row, cells in lines:
            table.found += 1
            if len(cells) != len(columns):
                hint = " (put quotes around a cell that holds a comma)" if len(cells) > len(columns) else ""
                problems.add(f"{where(path, row)}: the header has {len(columns)} cells, this row {len(cells)}{hint}")
                continue
            record = dict(zip(columns, map(present, cells), strict=True))
            record.pop("", None)
            bad = [name for name, cell in record.items() if _undecodable(cell)] if suspect else []
            for name in bad:
                problems.add(_not_utf8(path, row, name, record[name]))
            if not bad:
                yield row, record

    return columns, rows


def _csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not blank, with the number at which each begins."""
    # By default a cell of more than 131,072 characters is an error. The limit is the process's, so it is only raised:
    # two files may be read at a time.
    csv.field_size_limit(max(csv.field_size_limit(), path.stat().st_size + 1))
    number = 1
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            for cells in reader:
                row, number = number, reader.line_num + 1
                if any(map(str.strip, cells)):
                    yield row, cells
    except csv.Error as error:
        # After a broken quote, nothing can be trusted.
        raise UserError(f"{where(path, number)}: {error} (is a quote missing or not doubled?)") from error


def _header(path: Path, cells: list[str], row: int) -> list[str]:
    columns = [cell.strip() for cell in cells]
    for column in filter(_undecodable, columns):
        raise UserError(_not_utf8(path, row, "", column))
    if columns[0].startswith("sep=") or (columns[0].startswith("#") and len(columns) == 1):
        raise UserError(
            f"{where(path, row)}: {columns[0]!r} is not a header; remove such lines, and name the columns in the first"
        )
    if len(columns) == 1:
        for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
            if separator in columns[0]:
                raise UserError(f"{path}: the columns are separated by {name}; separate them with commas")
    check_names(path, columns)
    return columns


def _jsonl(path: Path, problems: Problems) -> tuple[list[str], Any]:
    """Any row may have a column that no other has, so the file is read twice; its problems are reported at once."""
    suspect = not _is_utf8(path)
    names: dict[str, None] = {}
    for _, record in _json_objects(Table(path, [], ()), suspect, problems):
        names |= dict.fromkeys(record)

    def rows(table: Table, problems: Problems) -> Iterator[Row]:
        return _as_text(table, _json_objects(table, suspect, Problems(strict=False)), problems)

    return list(names), rows


def _json_objects(table: Table, suspect: bool, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    path = Path(table.path)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        for row, line in enumerate(file, start=1):
            if not line.strip():
                continue
            table.found += 1
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
                yield row, record


def _parquet(path: Path, problems: Problems) -> tuple[list[str], Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        columns = list(pyarrow.parquet.read_schema(path).names)
        stated = pyarrow.parquet.read_metadata(path).num_rows
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a readable parquet file: {error}") from error
    check_names(path, columns)
    if stated > MOST_ROWS + path.stat().st_size:
        raise UserError(f"{path} states {stated:,} rows, more than a file of its size has")

    def records(table: Table, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(BATCH):
                    first = table.found + 1
                    table.found += batch.num_rows
                    for row, (record, unreadable) in enumerate(records_of(batch), start=first):
                        for name, reason in unreadable.items():
                            if name in table.used:
                                problems.add(f"{where(path, row, name)}: {reason}")
                        if table.used.isdisjoint(unreadable):
                            yield row, record
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is not a readable parquet file: {error}") from error

    def rows(table: Table, problems: Problems) -> Iterator[Row]:
        return _as_text(table, records(table, problems), problems)

    return columns, rows


def records_of(batch: Any) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """The rows of a batch of parquet: the cells by column, and why others cannot be read.

    Some cells are nothing in Python: texts that are not UTF-8, dates after the year 9999.
    """
    try:
        yield from [(record, {}) for record in batch.to_pylist()]
        return
    except (ValueError, OverflowError, ImportError):
        pass
    for number in range(batch.num_rows):
        record, unreadable = {}, {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            try:
                record[name] = column[number].as_py()
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                unreadable[name] = f"byte 0x{byte:02x} is not UTF-8; write it as UTF-8"
            except (ValueError, OverflowError, ImportError) as error:
                unreadable[name] = f"cannot be read as {batch.schema.field(name).type}: {error}"
        yield record, unreadable


def _as_text(table: Table, records: Iterator[tuple[int, dict[str, Any]]], problems: Problems) -> Iterator[Row]:
    for row, record in records:
        cells, bad = {}, False
        for key, value in record.items():
            if not key:
                continue
            text = cell_text(value)
            if text is not None:
                cells[key] = text
            elif key in table.used:
                problems.add(f"{table.place(row, key)}: expected text or a number, not {type(value).__name__}")
                bad = True
        if not bad:
            yield row, cells
