"""What a loader found, what of it it read, and why it skipped the rest: counted, so that nothing is lost unsaid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MOST_NAMED = 8
"""Names of columns, fields or files that are listed in a reason; the others are counted."""


@dataclass(frozen=True)
class Tally:
    """One kind of thing that a loader came upon; ``read`` and all of ``skipped`` add up to ``found``."""

    what: str
    """``files``, ``given edges``, ``rows of nodes.csv``, …"""
    found: int
    read: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    """How many were not read, by reason."""

    @classmethod
    def of(cls, what: str, found: int, skipped: Mapping[str, int] | None = None, read: int | None = None) -> Tally:
        """The tally of ``found`` things; reasons that apply to none are left out.

        ``read`` is what was counted on its own account; without it, it is all that was not skipped.
        """
        reasons = {reason: count for reason, count in (skipped or {}).items() if count}
        return cls(what, found, found - sum(reasons.values()) if read is None else read, reasons)

    @classmethod
    def of_named(cls, what: str, names: Iterable[Any], used: Iterable[Any], reason: str) -> Tally:
        """The tally of things that have names (columns, fields, files), those that are not ``used`` being skipped."""
        every, taken = list(map(str, names)), set(map(str, used))
        unused = [name for name in every if name not in taken]
        return cls.of(what, len(every), {named(reason, unused): len(unused)}, len(every) - len(unused))

    @property
    def sentence(self) -> str:
        """For people: ``3 of 5 read; 2 self-loops``."""
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.skipped.items())
        return f"{self.read:,} of {self.found:,} read{f'; skipped: {reasons}' if reasons else ''}"


def named(reason: str, names: Sequence[str]) -> str:
    """The reason with the names it applies to in brackets.

    >>> named("unused columns", ["year", "venue"])
    'unused columns (year, venue)'
    """
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return f"{reason} ({', '.join(names[:MOST_NAMED])}{more})" if names else reason


def of_folder(folder: Path, read: Iterable[Path | None]) -> Tally:
    """The files and folders in a graph's folder, of which the loader read some."""
    names = sorted(path.name for path in folder.iterdir())
    return Tally.of_named("files", names, [path.name for path in read if path is not None], "other files")


def skipped_in(reading: Sequence[Tally]) -> dict[str, int]:
    """All that was skipped, by reason."""
    skipped: dict[str, int] = {}
    for tally in reading:
        for reason, count in tally.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    return skipped


def reading_rows(reading: Sequence[Tally]) -> list[tuple[str, str]]:
    """For people, a line for each tally."""
    return [(tally.what, tally.sentence) for tally in reading]


def as_data(reading: Sequence[Tally]) -> list[dict[str, Any]]:
    """The tallies for JSON."""
    return [asdict(tally) for tally in reading]


def from_data(content: Sequence[Mapping[str, Any]]) -> list[Tally]:
    """The tallies that :func:`as_data` wrote."""
    return [Tally(**each) for each in content]
