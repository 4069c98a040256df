"""Tables of text cells, in which a message can name every bad cell: file, row and field."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssl4rl.data.text import cell_text, first_repeated
from ssl4rl.errors import FirstProblem, UserError, listed, quoted
from ssl4rl.tally import Tally

SUFFIXES = (".csv", ".jsonl", ".parquet")

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
            raise FirstProblem(message)
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


UNNAMED = "(unnamed)"
"""What messages call a column without a name, such as the row numbers that pandas writes."""

Row = tuple[int, dict[str, str]]
"""The number of a row in its file (1-based), and its cells as text, by column; of a column without a name, none."""


@dataclass
class Table:
    """The readable rows of a file.

    A cell that is neither text nor a number (a list, a date) is left out of its row and named in ``unreadable``; it is
    a problem only in a column that somebody asks for.
    """

    path: Path | str
    columns: list[str]
    """Those that have a name: ``""`` is no column, wherever one is looked up."""
    rows: Iterable[Row]
    """Those of a file that was opened (:func:`ssl4rl.data.readers.open_table`) can be iterated over once."""
    unreadable: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """By column, the rows whose cell is not text, and what it is instead."""
    row_names: Sequence[str] = ()
    """What the rows are called where they have no numbers in a file."""
    used: set[str] = field(default_factory=set)
    """The columns that were asked for."""
    found: int = 0
    """How many rows the file has, those that cannot be read included."""
    unnamed: int = 0
    """How many more columns there are, which have no name and are not read."""

    @property
    def every_column(self) -> list[str]:
        """The columns for messages, those without a name last."""
        return [*self.columns, *[UNNAMED] * self.unnamed]

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
        place = Path(self.path).name
        return Tally.of_named(f"{noun} of {place}", self.every_column, self.used, f"unused {noun} of {place}")

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
        hint = f"did you mean {quoted(by_lower[near[0]])}? " if near else ""
        raise UserError(
            f"{self.path}: there is no column {quoted(column)}; {hint}its columns are {listed(self.every_column)}"
            + (f" (set `{key}:` in dataset.yaml to the right one)" if key else "")
        )


def where(path: Path | str, row: int, field: str = "") -> str:
    """``nodes.csv, row 3, field id``."""
    return f"{path}, row {row}" + (f", field {field}" if field else "")


def tables_named(folder: Path, stem: str) -> list[Path]:
    """The files in a folder that are called ``stem``, in capitals or not, whatever their format."""
    return sorted(path for path in folder.iterdir() if path.name.lower().startswith(f"{stem}."))


def find_table(folder: Path, stem: str) -> Path:
    """The one file ``stem.csv|jsonl|parquet`` in the folder.

    Raises:
        UserError: if there is none, several, or an empty one.
    """
    named = tables_named(folder, stem)
    paths = [path for path in named if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not paths:
        others = ", ".join(path.name for path in named)
        hint = f" (found {others}, which is not one of these formats)" if others else ""
        raise UserError(f"{folder} holds no {stem}.csv, {stem}.jsonl or {stem}.parquet{hint}")
    if len(paths) > 1:
        raise UserError(f"{folder} holds {' and '.join(path.name for path in paths)}; keep one of them")
    if not paths[0].stat().st_size:
        raise UserError(f"{paths[0]} is empty")
    return paths[0]


def check_names(place: Path | str, columns: Iterable[str]) -> None:
    """Refuses two columns of one name; of those without one there may be several.

    Raises:
        UserError: if there are two.
    """
    repeated = first_repeated(filter(None, columns))
    if repeated is not None:
        raise UserError(f"{place}: two columns are named {repeated!r}; rename or remove one")


def table_of(
    path: Path | str,
    records: Iterable[tuple[int, Mapping[str, Any]]],
    columns: Sequence[str] = (),
    row_names: Sequence[str] = (),
) -> Table:
    """A table of values of any type, with each row's number."""
    rows: list[Row] = []
    table = Table(path, [], rows, row_names=row_names)
    names = dict.fromkeys(columns)
    for row, record in records:
        names |= dict.fromkeys(record)
        cells = {}
        for key, value in record.items():
            if not key:
                continue
            cell = cell_text(value)
            if cell is None:
                table.unreadable.setdefault(key, []).append((row, type(value).__name__))
            else:
                cells[key] = cell
        rows.append((row, cells))
    table.columns, table.found, table.unnamed = list(filter(None, names)), len(rows), int("" in names)
    return table
