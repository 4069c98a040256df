"""What a report is made of, whatever it is written as: sections of lines, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Table as RichTable

if TYPE_CHECKING:
    from ssl4rl.report.figures import Figure


@dataclass(frozen=True)
class Table:
    """Cells in rows, the first of which is what a row is about."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    @classmethod
    def of(cls, table: RichTable) -> Table:
        """A table as the terminal shows it."""
        columns = [[str(cell) for cell in column.cells] for column in table.columns]
        head = [str(column.header) for column in table.columns]
        return cls(str(table.title or ""), head, list(zip(*columns, strict=True)))

    @property
    def about(self) -> str:
        """What it is called, also where it has no title."""
        return self.title or self.head[0]


@dataclass(frozen=True)
class Picture:
    """A drawing that is not of the run's steps."""

    name: str
    """As part of a file's name."""
    about: str
    """What it shows, in words."""
    data: bytes
    suffix: Literal["svg", "png"]
    table: Table | None = None
    """The same in numbers."""

    @property
    def media_type(self) -> str:
        """As a data URL has it."""
        return "image/svg+xml" if self.suffix == "svg" else "image/png"


@dataclass
class Section:
    """A part of what is said about a run."""

    title: str
    lines: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    texts: Mapping[str, str] = field(default_factory=dict)
    """Files shown as they are, by name."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to say."""
        return not (self.lines or self.tables or self.figures or self.pictures or self.texts)


class Collector(Console):
    """A console that keeps what is printed on it, so that a report says what the terminal says."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []
        self.tables: list[Table] = []

    def print(self, *objects: Any, **_: Any) -> None:
        """Keeps tables as tables, and everything else as lines."""
        for each in objects:
            if isinstance(each, RichTable):
                self.tables.append(Table.of(each))
            else:
                self.lines += [line for line in str(each).splitlines() if line]

    def section(self, title: str) -> Section:
        """What was printed, under a title."""
        return Section(title, self.lines, self.tables)


def interval_text(row: Mapping[str, Any], value: str = "score") -> str:
    """``0.638 [0.595, 0.679]``."""
    return f"{row[value]:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
