"""Finds nodes by their ids, as another file writes them: in another Unicode form, or as a spreadsheet's numbers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

_WHOLE = re.compile(r"(-?\d+)\.0+")


def _plain(node: str) -> str:
    """What an id is in every spelling: 3.0 is 3, and é is one character."""
    match = _WHOLE.fullmatch(node)
    return match[1] if match else unicodedata.normalize("NFC", node)


def _is_counted(node: str) -> bool:
    """Whether a text is a whole number as Python writes it."""
    return node.isascii() and node.isdecimal() and (node[0] != "0" or node == "0")


class Ids:
    """The numbers of nodes by their ids. ``respelled`` counts the ids that were found in another spelling only.

    Where every node is called by its number, nothing has to be held in memory.
    """

    def __init__(self) -> None:
        self._number_of: dict[str, int] | None = None
        self._count = 0
        self._plain: dict[str, int | None] | None = None
        self._folded: dict[str, str | None] = {}
        self._longest = 0
        self.respelled = 0

    def add(self, node: str) -> int | None:
        """Gives a node the next number; or returns the one that the id has already."""
        if self._number_of is None:
            if node == str(self._count):
                self._count += 1
                return None
            self._number_of = {str(number): number for number in range(self._count)}
        number = self._number_of.setdefault(node, self._count)
        if number != self._count:
            return number
        self._count += 1
        return None

    def _exactly(self, node: str) -> int | None:
        if self._number_of is not None:
            return self._number_of.get(node)
        # Longer texts are no number of a node, and slow to read as numbers.
        number = int(node) if len(node) < 19 and _is_counted(node) else self._count
        return number if number < self._count else None

    def find(self, node: str) -> int | None:
        """The number of a node, by its id as it is, else by one that differs from it in spelling alone."""
        number = self._exactly(node)
        if number is not None:
            return number
        if self._number_of is None:
            number = self._exactly(_plain(node))
        else:
            number = self._by_plain(self._number_of).get(_plain(node))
        self.respelled += number is not None
        return number

    def _by_plain(self, number_of: Mapping[str, int]) -> Mapping[str, int | None]:
        if self._plain is None:
            self._plain = {}
            for each, place in number_of.items():
                key = _plain(each)
                # Two nodes that differ in spelling alone can only be told apart as they are written.
                self._plain[key] = None if key in self._plain else place
                # Kept for hints: a file may have as many unknown ids as edges, and each gets one.
                self._folded[key.casefold()] = None if key.casefold() in self._folded else each
                self._longest = max(self._longest, len(each))
        return self._plain

    def with_zeros(self, node: str) -> str:
        """The id that a spreadsheet would have turned into this one, by dropping zeros in front; ``""`` if none is."""
        number_of = self._number_of or {}
        if not node.isdecimal() or not number_of:
            return ""
        self._by_plain(number_of)
        padded = (node.zfill(length) for length in range(len(node) + 1, min(self._longest, 64) + 1))
        return next((each for each in padded if each in number_of), "")

    def in_other_case(self, node: str) -> str:
        """The id that differs from this one in case alone; ``""`` if none does, or if several do."""
        return (self._folded.get(_plain(node).casefold()) or "") if node else ""
